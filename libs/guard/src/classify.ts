import type { MatchResult, Purpose, StepVerdict, UnjudgedResult } from '#contracts';

/**
 * What an attempt's end means ("What burns a strike"): `failed` (a), `retry` (b), `abandoned` (c), `free` and `excused`
 * (d): never charged. `free` has a ring of its own; `excused` (an outage that the gateway saw, an officer's change),
 * `success` and `practised` enter none.
 */
export type AttemptClass = 'success' | 'practised' | 'failed' | 'retry' | 'abandoned' | 'free' | 'excused';

/** Verdicts on a present face that did not do what was asked. */
export const FAILED_VERDICTS = ['wrong_action', 'no_action', 'discontinuous', 'not_one_person'] as const;

export type AttemptEnd =
  | { kind: 'decision'; judgement: MatchResult['judgement']; stalledTwice: boolean }
  | { kind: 'cancel' | 'own_change' | 'officer_change' }
  | { kind: 'unjudged'; reason: UnjudgedResult['reason'] }
  | { kind: 'overdue'; outage: boolean; deciding: boolean; workersGone: boolean };

const failed = (v: StepVerdict | null): boolean => v !== null && FAILED_VERDICTS.some((kind) => kind === v.kind);
const unusable = (v: StepVerdict | null): boolean => v?.kind === 'quality';

/**
 * The same judgement as the pipeline of `settle`, in TypeScript: the model that the database is tested against. The
 * order is the rule: a face that was there and failed costs a strike whatever happened afterwards.
 */
export function classifyAttempt(
  purpose: Purpose,
  verdicts: readonly (StepVerdict | null)[],
  how: AttemptEnd,
): AttemptClass {
  if (how.kind === 'officer_change') return 'excused';
  if (verdicts.some(failed)) return 'failed';
  if (how.kind === 'decision' && judgedBad(how.judgement, verdicts)) return 'failed';
  if (unusable(verdicts[0] ?? null)) return 'retry';
  switch (how.kind) {
    case 'cancel':
    case 'own_change':
      return 'abandoned';
    case 'unjudged':
      return 'free';
    case 'overdue':
      // Nobody can tell a person who left from one whose network did: what stops shopping for a challenge is the draw.
      return how.outage || (how.deciding && how.workersGone) ? 'excused' : 'free';
    case 'decision':
      if (verdicts.some(unusable) || how.judgement === 'too_few_samples') return 'abandoned';
      if (how.stalledTwice) return 'free';
      if (purpose === 'practice') return 'practised';
      return how.judgement === 'ok' && verdicts.every((v) => v?.kind === 'done') ? 'success' : 'free';
  }
}

function judgedBad(judgement: MatchResult['judgement'], verdicts: readonly (StepVerdict | null)[]): boolean {
  if (judgement === 'spoof' || judgement === 'not_one_person') return true;
  return judgement === 'mismatch' && !verdicts.some(unusable);
}
