import { type Action, ACTIONS, type StepVerdict } from '#contracts';
import { allowedActions, drawChallenge } from '#guard';
import { samplesOf, type StepAnalysis } from '../../apps/inference/src/pipeline/analyse.js';
import {
  type AttemptRules,
  chooseMean,
  judgeAttempt,
  liveOf,
  type StepFindings,
} from '../../apps/inference/src/pipeline/judge-attempt.js';
import { judgeStep } from '../../apps/inference/src/pipeline/judge-step.js';
import type { AnalysisPool } from './analysis-pool.js';
import { lookOf } from './camera.js';
import type { Actor } from './footage.js';
import { stageOf } from './stage.js';
import { below, randomOf } from './random.js';
import { type Answer, type Answerer, type Cast, performance, type Strategy } from './strategies.js';

/** One attempt and how it ended. Which check failed is known here, in the product's audit trail, and nowhere else. */
export interface Played {
  person: string;
  actions: readonly Action[];
  /** What was shown, one a step: the names of the films. */
  shown: string[];
  /** One a step; a quality verdict by its code. */
  verdicts: string[];
  /** `verified`, the first verdict that is not `done`, or what the judgement over all steps found. */
  reason: string;
  similarity: number | null;
  /** What the anti-spoof makes of it, where it came so far that this decides; null elsewhere. */
  live?: number | null;
}

export interface Bench {
  pool: AnalysisPool;
  rules: AttemptRules;
}

export const nameOf = (v: StepVerdict): string => (v.kind === 'quality' ? `quality:${v.code}` : v.kind);

/** Films an answer and lets the product analyse it. */
export function analysed(pool: AnalysisPool, { key, film }: Answer, scene: string): Promise<StepAnalysis> {
  return pool.analyse(`${scene}|${key}`, film, lookOf(randomOf('look', scene), `${scene}|${key}`));
}

const findings = (a: StepAnalysis, action: Action): StepFindings => ({
  verdict: judgeStep(a.track, samplesOf(a), action),
  embeddings: a.embeddings,
  antispoof: a.antispoof,
});

/** Enrolment variants lie beyond those of attempts: no attempt shows a filming that is in the template. */
const ENROLLED = 1_000_000;

/** A template as an enrolment makes it: differing frontal frames over several steps. Null without a usable face. */
export async function enrolled(bench: Bench, actor: Actor, fps: number): Promise<Float32Array | null> {
  const cast: Cast = { victim: actor, others: [], fps, variant: ENROLLED, stage: stageOf(bench.pool) };
  const actions = [...(actor.takes.neutral.length > 0 ? (['neutral'] as const) : []), ...actor.gestures];
  const steps = await Promise.all(
    actions.map((action) => {
      const { key, footage } = performance(cast, actor, action);
      const answer = { key: `enrol/${key}`, film: async () => (await footage()).film };
      return analysed(bench.pool, answer, `${actor.name}/${cast.variant}`);
    }),
  );
  return chooseMean(steps, bench.rules.recognisers);
}

/** The product's draw, by a seeded generator. */
export function drawnFor(actor: Actor, name: readonly (string | number)[]): Action[] {
  const optOuts = ACTIONS.filter((a) => !actor.gestures.includes(a));
  const random = randomOf('challenge', ...name);
  return drawChallenge(allowedActions(optOuts), (max) => below(random, max));
}

/** Plays one attempt against the product's judgement; steps are revealed one at a time. */
export async function play(
  bench: Bench,
  template: Float32Array | null,
  cast: Cast,
  strategy: Strategy,
  name: readonly (string | number)[],
  actions: readonly Action[] = drawnFor(cast.victim, name),
): Promise<Played> {
  const answer: Answerer = strategy.prepare(cast, randomOf('attempt', ...name), actions);
  const scene = `${cast.victim.name}/${cast.variant}`;
  const steps: StepFindings[] = [];
  const shown: string[] = [];
  for (const [i, action] of actions.entries()) {
    const film = answer(action, i);
    shown.push(film.key);
    steps.push(findings(await analysed(bench.pool, film, scene), action));
  }
  const person = cast.victim.name;
  const verdicts = steps.map((s) => nameOf(s.verdict));
  if (!template) return { person, actions, shown, verdicts, reason: 'not_enrolled', similarity: null };
  const { judgement, similarity } = judgeAttempt(steps, template, bench.rules);
  const reason =
    judgement === 'ok'
      ? 'verified'
      : judgement === 'not_compared'
        ? // Poor quality outweighs the rest, as in the product.
          (verdicts.find((v) => v.startsWith('quality:')) ?? verdicts.find((v) => v !== 'done') ?? judgement)
        : judgement;
  const decides = reason === 'verified' || reason === 'spoof';
  return { person, actions, shown, verdicts, reason, similarity, live: decides ? liveOf(steps) : null };
}
