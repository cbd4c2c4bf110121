import { z } from 'zod';
import { actionSchema, CAPTURE_LIMITS, framesTtlSeconds, qualityCodeSchema } from '#contracts';
import type { RecentAttempt, Reservation } from '#guard';
import { sessionAnswer, sessionAnswerSchema } from '../sessions/session-record.js';
import type { ActiveSession } from '../sessions/session.service.js';

export const stepSchema = z
  .strictObject({ index: z.int(), count: z.int(), action: actionSchema, windowMs: z.int() })
  .meta({ id: 'Step' });
type StepView = z.infer<typeof stepSchema>;

const remaining = { attemptsRemaining: z.int().optional() };
const capturingSchema = z.strictObject({
  status: z.literal('capturing'),
  expiresAt: z.iso.datetime(),
  step: stepSchema,
});
const decidingSchema = z.strictObject({ status: z.literal('deciding') });
export const liveAnswerSchema = z
  .discriminatedUnion('status', [capturingSchema, decidingSchema])
  .meta({ id: 'Progress' });

/** Everything a client can learn of an attempt. No score, and never which check failed. */
export const attemptAnswerSchema = z
  .discriminatedUnion('status', [
    capturingSchema,
    decidingSchema,
    z.strictObject({ status: z.literal('verified'), session: sessionAnswerSchema }),
    z.strictObject({ status: z.enum(['not_verified', 'cancelled', 'expired']), ...remaining }),
    z.strictObject({ status: z.literal('retry'), quality: qualityCodeSchema, ...remaining }),
    z.strictObject({ status: z.literal('locked'), minutes: z.int(), lockedUntil: z.iso.datetime() }),
    z.strictObject({ status: z.enum(['enrolled', 'practised', 'error']) }),
  ])
  .meta({ id: 'Outcome' });
export type AttemptAnswer = z.infer<typeof attemptAnswerSchema>;

/** The step that is awaited, or that all have come. */
export function liveAnswer(reservation: Reservation): z.infer<typeof liveAnswerSchema> {
  const step = stepView(reservation);
  return step
    ? { status: 'capturing', expiresAt: reservation.captureUntil.toISOString(), step }
    : { status: 'deciding' };
}

export const verifiedAnswer = ({ token, record }: ActiveSession): AttemptAnswer => ({
  status: 'verified',
  session: sessionAnswer(token, record),
});

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
  if (!action) return null;
  return { index: reservation.next, count: reservation.actions.length, action, windowMs: reservation.windowMs };
}

/** Twice the frames with extra time. */
export const framesMaxOf = (reservation: Reservation): number =>
  reservation.windowMs > CAPTURE_LIMITS.windowMaxMs ? CAPTURE_LIMITS.framesMaxExtraTime : CAPTURE_LIMITS.framesMax;

/** How long frames of the attempt live, and are known again, seconds. */
export const ttlSecondsOf = ({ revealedAt, captureUntil }: Reservation): number =>
  framesTtlSeconds({ begunAt: revealedAt[0] ?? captureUntil, captureUntil });

const MINUTE_MS = 60_000;

function locked(lockedUntil: Date, now: Date): AttemptAnswer {
  const minutes = Math.max(1, Math.ceil((lockedUntil.getTime() - now.getTime()) / MINUTE_MS));
  return { status: 'locked', minutes, lockedUntil: lockedUntil.toISOString() };
}
