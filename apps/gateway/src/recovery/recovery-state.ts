/** `credentialEpoch`: the account's when the code is made, or tried. One that was mailed under other credentials is dead. */
interface Code {
  codeMac: string;
  sessionId: string;
  credentialEpoch: number;
}

/** One document of `recovery_codes`: a user's live code and what limits it. `_id` is the userId. */
export interface RecoveryState {
  _id: string;
  rev: number;
  live: (Code & { expiresAt: Date; triesLeft: number }) | null;
  /** When codes were made, the last hour. */
  issued: Date[];
  /** When codes were tried, the last day. */
  tried: Date[];
}

export const RECOVERY_LIMITS = { lifeMs: 10 * 60_000, triesPerCode: 5, codesPerHour: 3, triesPerDay: 15 } as const;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export type Issued = { kind: 'issued'; next: RecoveryState } | { kind: 'refused'; retryAfterSeconds: number };
export type Tried =
  { kind: 'right' | 'wrong'; next: RecoveryState } | { kind: 'none' } | { kind: 'refused'; retryAfterSeconds: number };

export const noRecovery = (userId: string): RecoveryState => ({
  _id: userId,
  rev: 0,
  live: null,
  issued: [],
  tried: [],
});

/** A new code replaces the one before. */
export function issue(state: RecoveryState, code: Code, now: Date): Issued {
  const issued = since(state.issued, now, HOUR_MS);
  if (issued.length >= RECOVERY_LIMITS.codesPerHour) return refused(issued, now, HOUR_MS);
  const live = {
    ...code,
    expiresAt: new Date(now.getTime() + RECOVERY_LIMITS.lifeMs),
    triesLeft: RECOVERY_LIMITS.triesPerCode,
  };
  return { kind: 'issued', next: { ...state, rev: state.rev + 1, live, issued: [...issued, now] } };
}

/** A code works once, in the session that asked for it. Every try is counted, a right one as well. */
export function tryCode(state: RecoveryState, code: Code, now: Date): Tried {
  const tried = since(state.tried, now, DAY_MS);
  if (tried.length >= RECOVERY_LIMITS.triesPerDay) return refused(tried, now, DAY_MS);
  const { live } = state;
  const isOf = live?.sessionId === code.sessionId && live.credentialEpoch === code.credentialEpoch;
  if (!live || !isOf || live.expiresAt <= now || live.triesLeft <= 0) return { kind: 'none' };
  const right = live.codeMac === code.codeMac;
  const next = {
    ...state,
    rev: state.rev + 1,
    live: right ? null : { ...live, triesLeft: live.triesLeft - 1 },
    tried: [...tried, now],
  };
  return { kind: right ? 'right' : 'wrong', next };
}

const since = (times: readonly Date[], now: Date, ms: number): Date[] =>
  times.filter((time) => time.getTime() > now.getTime() - ms);

function refused(times: readonly Date[], now: Date, ms: number): { kind: 'refused'; retryAfterSeconds: number } {
  const oldest = times[0] ?? now;
  return { kind: 'refused', retryAfterSeconds: Math.ceil((oldest.getTime() + ms - now.getTime()) / 1_000) };
}
