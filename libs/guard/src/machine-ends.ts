import type { EnrolResult, EventReason, EventType, MatchResult, OutboxEvent } from '#contracts';
import { type AttemptClass, type AttemptEnd, FAILED_VERDICTS } from './classify.js';
import type { AttemptOutcome, RecentAttempt, Reservation } from './types.js';

export const decisionFields = (result: MatchResult | EnrolResult): Partial<OutboxEvent> => ({
  modelDigest: result.modelDigest,
  ...(result.kind === 'match' ? { thresholdId: result.thresholdId } : {}),
});

interface Shown {
  type: EventType;
  outcome: AttemptOutcome;
  reason?: EventReason;
  quality?: RecentAttempt['quality'];
}

/** How an end reads in the audit trail and to the client. */
export function describeEnd(r: Reservation, how: AttemptEnd, cls: AttemptClass): Shown {
  const poor = r.verdict.find((v) => v?.kind === 'quality');
  const quality = poor?.kind === 'quality' ? poor.code : null;
  switch (cls) {
    case 'success':
      return r.purpose === 'enrol'
        ? { type: 'enrolled', outcome: 'enrolled' }
        : { type: 'success', outcome: 'verified' };
    case 'practised':
      return { type: 'abandoned', outcome: 'practised' };
    case 'failed': {
      const verdict = r.verdict.find((v) => FAILED_VERDICTS.some((kind) => kind === v?.kind));
      const reason = verdict?.kind ?? (how.kind === 'decision' ? how.judgement : undefined);
      return { type: 'failed', outcome: 'not_verified', reason: reason as EventReason };
    }
    case 'retry':
      return { type: 'failed', outcome: 'retry', reason: 'quality', quality };
    case 'free':
    case 'excused':
      if (cls === 'free' && how.kind === 'overdue' && !how.deciding) return { type: 'expired', outcome: 'expired' };
      return { type: 'error', outcome: 'error', reason: freeReason(how) };
    case 'abandoned':
      if (how.kind === 'cancel') return { type: 'cancelled', outcome: 'cancelled' };
      if (how.kind === 'own_change') return { type: 'abandoned', outcome: 'cancelled', reason: 'own_change' };
      return { type: 'abandoned', outcome: 'retry', reason: 'quality', quality: quality ?? 'too_few_frames' };
  }
}

function freeReason(how: AttemptEnd): EventReason {
  if (how.kind === 'officer_change') return 'officer_change';
  if (how.kind === 'unjudged') return how.reason;
  if (how.kind === 'decision' && how.stalledTwice) return 'stalled_twice';
  return how.kind === 'overdue' && how.outage ? 'transport_lost' : 'worker_failed';
}
