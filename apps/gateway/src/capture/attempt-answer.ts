import { type Action, CAPTURE_LIMITS, CHALLENGE_STEPS, type QualityCode } from '#contracts';
import type { RecentAttempt, Reservation } from '#guard';
import type { sessionAnswer } from '../sessions/session-record.js';

interface StepView {
  index: number;
  count: number;
  action: Action;
  windowMs: number;
}

/** Everything a client can learn of an attempt. No score, and never which check failed. */
export type AttemptAnswer =
  | { status: 'capturing'; expiresAt: string; step: StepView }
  | { status: 'deciding' }
  | { status: 'verified'; session: ReturnType<typeof sessionAnswer> }
  | { status: 'not_verified' | 'cancelled' | 'expired'; attemptsRemaining?: number }
  | { status: 'retry'; quality: QualityCode; attemptsRemaining?: number }
  | { status: 'locked'; minutes: number; lockedUntil: string }
  | { status: 'enrolled' | 'practised' | 'error' };

/** The step that is awaited, or that all have come. */
export function liveAnswer(reservation: Reservation): Extract<AttemptAnswer, { status: 'capturing' | 'deciding' }> {
  const step = stepView(reservation);
  return step
    ? { status: 'capturing', expiresAt: reservation.captureUntil.toISOString(), step }
    : { status: 'deciding' };
}

/** The end of an attempt that grants nothing. `verified` is not among them: it takes the guard's redeem. */
export function endedAnswer(attempt: RecentAttempt, now: Date): AttemptAnswer {
  const remaining = attempt.attemptsRemaining === null ? {} : { attemptsRemaining: attempt.attemptsRemaining };
  switch (attempt.outcome) {
    case 'retry':
      return { status: 'retry', quality: attempt.quality ?? 'unreadable', ...remaining };
    case 'locked':
      return locked(attempt.lockedUntil ?? now, now);
    case 'not_verified':
    case 'cancelled':
    case 'expired':
      return { status: attempt.outcome, ...remaining };
    case 'enrolled':
    case 'practised':
    case 'error':
      return { status: attempt.outcome };
    case 'verified':
      // Verified, and not taken in time.
      return { status: 'expired' };
  }
}

export function stepView(reservation: Reservation): StepView | null {
  const action = reservation.actions[reservation.next - 1];
  if (reservation.next > CHALLENGE_STEPS || !action) return null;
  return { index: reservation.next, count: CHALLENGE_STEPS, action, windowMs: reservation.windowMs };
}

/** Twice the frames with extra time. */
export const framesMaxOf = (reservation: Reservation): number =>
  reservation.windowMs > CAPTURE_LIMITS.windowMaxMs ? 2 * CAPTURE_LIMITS.framesMax : CAPTURE_LIMITS.framesMax;

const MINUTE_MS = 60_000;

function locked(lockedUntil: Date, now: Date): AttemptAnswer {
  const minutes = Math.max(1, Math.ceil((lockedUntil.getTime() - now.getTime()) / MINUTE_MS));
  return { status: 'locked', minutes, lockedUntil: lockedUntil.toISOString() };
}
