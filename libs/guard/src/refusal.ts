import type { EventType } from '#contracts';
import type { GuardSettings } from './settings.js';
import type { BeginInput, BeginRefusal, GuardDocument, Reservation } from './types.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
export const BUSY_RETRY_SECONDS = 5;
/**
 * What a password alone writes as often as it likes, within the limits of logins: these rows of an outbox never make a
 * begin wait. That audit has been away too long is told by the oldest row, whatever it is.
 */
export const UNCOUNTED_EVENTS: readonly EventType[] = [
  'login_ok',
  'login_failed',
  'logout',
  'session_ended',
  'refused',
];
export const OUTBOX_LAG_MS = 15 * MINUTE;
/** The clock of an update is read before it waits for its turn, at most this long. */
export const TURN_MS = 2 * SECOND;

const later = (time: Date, ms: number): Date => new Date(time.getTime() + ms);
const secondsUntil = (time: Date, now: Date): number =>
  Math.max(1, Math.ceil((time.getTime() - now.getTime()) / SECOND));

/** The end of the current step's window plus the time its body may take. */
export const stepEndOf = (r: Reservation, s: GuardSettings): Date =>
  later(r.revealedAt.at(-1) ?? r.captureUntil, r.windowMs + s.capture.bodyMs);

export const isCaptureOverdue = (r: Reservation, now: Date, s: GuardSettings): boolean =>
  r.decideUntil === null && (now > r.captureUntil || now > stepEndOf(r, s));

/** Whether a begin would settle the reservation (`isAbandoned` of the pipeline). */
export function isAbandoned(r: Reservation, now: Date, s: GuardSettings): boolean {
  if (r.decideUntil === null) return isCaptureOverdue(r, now, s);
  return now > later(r.decideUntil, (s.capture.decideRunsMax - r.run) * s.capture.decideMs);
}

/**
 * Rule 2 as a pure function: the first reason not to begin, or null. The same order as the pipeline's, which alone
 * decides; this one answers what needs no write, and is the model the pipeline is tested against.
 */
export function refusalOf(g: GuardDocument, input: BeginInput, now: Date, s: GuardSettings): BeginRefusal | null {
  const verify = input.purpose === 'verify';
  if (g.state !== 'active') return { code: 'account_inactive' };
  if (verify && g.consecutiveStrikes >= s.limits.strikesToDisable) return { code: 'face_disabled' };
  if (verify && g.lockedUntil && g.lockedUntil > now)
    return {
      code: 'face_locked',
      minutes: Math.ceil((g.lockedUntil.getTime() - now.getTime()) / MINUTE),
      lockedUntil: g.lockedUntil,
    };
  if (g.consentVersion === null) return { code: 'consent_required' };
  if (g.consentVersion !== input.currentConsentVersion) return { code: 'consent_outdated' };
  if (verify && !g.template) return { code: 'enrolment_required' };
  if (verify && g.template && mustEnrolAgain(g, g.template, input, now, s)) return { code: 're_enrolment_required' };
  if (g.reservation) return inProgress(g.reservation, input, now);
  if (g.ops.includes(input.attemptId))
    return { code: 'attempt_in_progress', retryAfterSeconds: 1, attemptId: input.attemptId };
  return capReached(g, now, s);
}

function mustEnrolAgain(
  g: GuardDocument,
  template: NonNullable<GuardDocument['template']>,
  input: BeginInput,
  now: Date,
  s: GuardSettings,
): boolean {
  if (template.modelDigest !== input.currentModelDigest) return true;
  if (g.reEnrolBy && g.reEnrolBy <= later(now, TURN_MS)) return true;
  return later(template.enrolledAt, s.limits.reEnrolDays * DAY) <= now;
}

const inProgress = (r: Reservation, input: BeginInput, now: Date): BeginRefusal => ({
  code: 'attempt_in_progress',
  retryAfterSeconds: secondsUntil(r.decideUntil ?? r.captureUntil, now),
  attemptId: r.sessionId === input.sessionId ? r.attemptId : null,
});

function capReached(g: GuardDocument, now: Date, s: GuardSettings): BeginRefusal | null {
  const { uncharged, freeEnds = [] } = g;
  const caps = [
    { ring: uncharged, limit: s.limits.unchargedPerDay, ms: DAY },
    { ring: uncharged, limit: s.limits.unchargedPer10Min, ms: 10 * MINUTE },
    { ring: freeEnds, limit: s.limits.freePerDay, ms: DAY },
    { ring: freeEnds, limit: s.limits.freePer10Min, ms: 10 * MINUTE },
  ];
  for (const { ring, limit, ms } of caps) {
    const inTime = ring.filter((time) => time > later(now, -ms));
    const leaves = inTime[inTime.length - limit];
    if (leaves) return { code: 'too_many_attempts', retryAfterSeconds: secondsUntil(later(leaves, ms), now) };
  }
  const lags = g.outboxSince !== null && g.outboxSince < later(now, -OUTBOX_LAG_MS);
  const counted = g.outbox.filter((entry) => !(entry.kind === 'event' && UNCOUNTED_EVENTS.includes(entry.event.type)));
  if (counted.length >= s.limits.outboxMax || lags) return { code: 'busy', retryAfterSeconds: BUSY_RETRY_SECONDS };
  return null;
}

/** What a begin needs besides its reservation, as seen just before it: the update includes only those stages. */
export interface BeginPlan {
  /** An abandoned reservation may have to be settled first. */
  settles: boolean;
  /** The lock may have to be told by a `refused` event. */
  tells: boolean;
}

export function planBegin(
  g: GuardDocument,
  input: BeginInput,
  now: Date,
  s: GuardSettings,
): { refusal: BeginRefusal | null; plan: BeginPlan } {
  const settles = g.reservation !== null && isAbandoned(g.reservation, now, s);
  const refusal = refusalOf(g, input, now, s);
  // Settling may cost the third strike, and so this very begin is told of the lock.
  return { refusal, plan: { settles, tells: settles || refusal?.code === 'face_locked' } };
}
