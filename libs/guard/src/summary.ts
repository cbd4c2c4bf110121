import type { AttemptView, GuardDocument, GuardSummary } from './types.js';

const MINUTE = 60_000;

/** What sessions and staff see of a guard at a moment of the database's clock. */
export function summarise(guard: GuardDocument, now: Date, strikesToDisable: number): GuardSummary {
  const leftMs = guard.lockedUntil ? guard.lockedUntil.getTime() - now.getTime() : 0;
  return {
    userId: guard._id,
    state: guard.state,
    consentVersion: guard.consentVersion,
    enrolled: guard.template !== null,
    everEnrolled: guard.firstEnrolledAt !== null,
    everHadFactor: guard.everHadFactor === true || guard.firstEnrolledAt !== null,
    templateId: guard.template?.id ?? null,
    templateModelDigest: guard.template?.modelDigest ?? null,
    faceRequired: guard.faceRequired,
    strikes: guard.strikes,
    lockedUntil: leftMs > 0 ? guard.lockedUntil : null,
    lockedMinutes: leftMs > 0 ? Math.ceil(leftMs / MINUTE) : 0,
    lockEpoch: guard.lockEpoch,
    reEnrolBy: guard.reEnrolBy,
    heldUntil: guard.template?.heldUntil ?? null,
    boundFrom: guard.template?.boundFrom ?? null,
    optOuts: guard.optOuts,
    extraTime: guard.extraTime,
    shortChallenges: guard.shortChallenges === true,
    disabledByStrikes: guard.consecutiveStrikes >= strikesToDisable,
  };
}

/** An attempt exists only for the session that began it. */
export function viewAttempt(
  guard: GuardDocument,
  i: { attemptId: string; sessionId: string },
  now: Date,
  strikesToDisable: number,
): AttemptView {
  const { reservation } = guard;
  if (reservation?.attemptId === i.attemptId && reservation.sessionId === i.sessionId)
    return { kind: 'live', reservation, now };
  const attempt = guard.recent.find((a) => a.attemptId === i.attemptId && a.sessionId === i.sessionId);
  return attempt
    ? { kind: 'ended', attempt, guard: summarise(guard, now, strikesToDisable), now }
    : { kind: 'unknown' };
}
