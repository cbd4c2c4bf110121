import type { MatchResult, StepVerdict } from '#contracts';
import { type AntispoofSample, type EmbeddingSample, fitOnes, LIVE_MIN, medianLive } from './analyse.js';
import { meanFace, type Part } from './recognisers.js';
import { cosine } from './vector.js';

export const ATTEMPT = {
  /** Median P(live) below which an attempt is denied. Above it nothing is claimed. */
  liveMin: LIVE_MIN,
  /** Anti-spoof samples of all steps without which an attempt counts as not checked: a step of a far or turned face has few. */
  antispoofMin: 9,
  /** Frames in a template and in a probe. */
  chosen: 3,
  /** A frame may be chosen for being different only if it is nearly as good as the best. */
  fitnessShareMin: 0.6,
} as const;

/** What is known of one step when the attempt is judged. */
export interface StepFindings {
  verdict: StepVerdict;
  embeddings: readonly EmbeddingSample[];
  antispoof: readonly AntispoofSample[];
}

/** What belongs to the set of models: its parts, and the cosines that were measured with it. */
export interface AttemptRules {
  readonly recognisers: readonly Part[];
  /** From this similarity on, a probe is of the template's person. */
  readonly match: number;
  /** Below this, the mean faces of two steps are two people's. */
  readonly onePerson: number;
}

export type Judgement = MatchResult['judgement'];

/**
 * The judgement over all steps. Poor quality in any step: nothing is compared and no similarity exists. A step that
 * failed on a present face: not compared either, but the similarity is noted for the audit trail. An attempt that the
 * anti-spoof saw too little of: `too_few_samples`, a matter of quality.
 *
 * @param template unit vector; null compares nothing (practice, enrolment).
 */
export function judgeAttempt(
  steps: readonly StepFindings[],
  template: Float32Array | null,
  rules: AttemptRules,
): { judgement: Judgement; similarity: number | null } {
  if (steps.length === 0 || steps.some((s) => s.verdict.kind === 'quality'))
    return { judgement: 'not_compared', similarity: null };
  const probe = chooseMean(steps, rules.recognisers);
  const similarity = template && probe ? cosine(probe, template) : null;
  if (!probe || steps.some((s) => s.verdict.kind !== 'done')) return { judgement: 'not_compared', similarity };
  if (!isOnePerson(steps, rules)) return { judgement: 'not_one_person', similarity };
  if (steps.reduce((sum, s) => sum + s.antispoof.length, 0) < ATTEMPT.antispoofMin)
    return { judgement: 'too_few_samples', similarity };
  if (isSpoof(steps)) return { judgement: 'spoof', similarity };
  if (!template) return { judgement: 'ok', similarity: null };
  return { judgement: similarity !== null && similarity >= rules.match ? 'ok' : 'mismatch', similarity };
}

/** Every step has a face, and the mean faces of every two steps are alike; of the fit frames, where a step has any. */
export function isOnePerson(
  steps: readonly StepFindings[],
  { recognisers, onePerson }: Pick<AttemptRules, 'recognisers' | 'onePerson'>,
): boolean {
  if (steps.some((s) => s.embeddings.length === 0)) return false;
  const means = steps.map(({ embeddings }) => {
    const fit = fitOnes(embeddings);
    return meanFace(
      recognisers,
      (fit.length > 0 ? fit : embeddings).map((e) => e.embedding),
    );
  });
  return means.every((a, i) => means.slice(0, i).every((b) => cosine(a, b) >= onePerson));
}

/** Denies only: a median above the limit proves nothing. Both crops must look live on a frame. */
export function isSpoof(steps: readonly Pick<StepFindings, 'antispoof'>[]): boolean {
  const live = liveOf(steps);
  return live !== null && live < ATTEMPT.liveMin;
}

/** Median P(live) of the lower of both crops; null without a sample. */
export function liveOf(steps: readonly Pick<StepFindings, 'antispoof'>[]): number | null {
  return medianLive(steps.flatMap((s) => s.antispoof));
}

/**
 * Mean of up to three frames over all steps: the fittest, then those that differ most from the chosen ones while nearly
 * as fit. Null without a single frame.
 */
export function chooseMean(
  steps: readonly Pick<StepFindings, 'embeddings'>[],
  recognisers: readonly Part[],
): Float32Array | null {
  const all = steps.flatMap((s) => [...s.embeddings]).sort((a, b) => b.fitness - a.fitness);
  const best = all[0];
  if (!best) return null;
  const good = all.filter((e) => e.fitness >= ATTEMPT.fitnessShareMin * best.fitness);
  const chosen = [best];
  while (chosen.length < ATTEMPT.chosen) {
    let next: EmbeddingSample | null = null;
    let farthest = Infinity;
    for (const e of good) {
      if (chosen.includes(e)) continue;
      const nearest = Math.max(...chosen.map((c) => cosine(c.embedding, e.embedding)));
      if (nearest < farthest) {
        farthest = nearest;
        next = e;
      }
    }
    if (!next) break;
    chosen.push(next);
  }
  return meanFace(
    recognisers,
    chosen.map((e) => e.embedding),
  );
}
