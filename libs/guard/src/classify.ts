import type { MatchResult, Purpose, StepVerdict } from '#contracts';

/**
 * What an attempt's end means ("What burns a strike"): `failed` (a), `retry` (b), `abandoned` (c), `free` (d);
 * `success` and `practised` cost nothing and enter no ring.
 */
export type AttemptClass = 'success' | 'practised' | 'failed' | 'retry' | 'abandoned' | 'free';

/** Verdicts on a present face that did not do what was asked. */
export const FAILED_VERDICTS = ['wrong_action', 'no_action', 'discontinuous', 'not_one_person'] as const;

export type AttemptEnd =
  | { kind: 'decision'; judgement: MatchResult['judgement']; stalledTwice: boolean }
  | { kind: 'cancel' | 'own_change' | 'officer_change' }
  | { kind: 'overdue'; transportLost: boolean; deciding: boolean };

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
  if (how.kind === 'officer_change') return 'free';
  if (verdicts.some(failed)) return 'failed';
  if (how.kind === 'decision' && judgedBad(how.judgement, verdicts)) return 'failed';
  if (unusable(verdicts[0] ?? null)) return 'retry';
  switch (how.kind) {
    case 'cancel':
    case 'own_change':
      return 'abandoned';
    case 'overdue':
      return how.transportLost || how.deciding ? 'free' : 'abandoned';
    case 'decision':
      if (verdicts.some(unusable) || how.stalledTwice) return 'abandoned';
      if (purpose === 'practice') return 'practised';
      return how.judgement === 'ok' && verdicts.every((v) => v?.kind === 'done') ? 'success' : 'free';
  }
}

function judgedBad(judgement: MatchResult['judgement'], verdicts: readonly (StepVerdict | null)[]): boolean {
  if (judgement === 'spoof' || judgement === 'not_one_person') return true;
  return judgement === 'mismatch' && !verdicts.some(unusable);
}
