/** `credentialEpoch`: the account's when the code is made, or tried. One that was mailed under other credentials is dead. */
interface Code {
  codeMac: string;
  sessionId: string;
  credentialEpoch: number;
}

interface LiveCode extends Code {
  expiresAt: Date;
  triesLeft: number;
}

/** One document of `recovery_codes`: a user's live codes and what limits them. `_id` is the userId. */
export interface RecoveryState {
  _id: string;
  rev: number;
  /** The account's `recoveryGeneration` whose budgets these are: a newer one has spent nothing yet. */
  generation: number;
  /** One a session, so that nobody's new code voids another's. */
  live: LiveCode[];
  /** When codes were made, the last hour. */
  issued: Date[];
  /** When codes were tried, the last day. */
  tried: Date[];
}

export const RECOVERY_LIMITS = { lifeMs: 10 * 60_000, triesPerCode: 5, codesPerHour: 3, triesPerDay: 15 } as const;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export type Issued =
  { kind: 'issued'; expiresAt: Date; next: RecoveryState } | { kind: 'refused'; retryAfterSeconds: number };
export type Tried =
  { kind: 'right' | 'wrong'; next: RecoveryState } | { kind: 'none' } | { kind: 'refused'; retryAfterSeconds: number };

export const noRecovery = (userId: string, generation = 0): RecoveryState => ({
  _id: userId,
  rev: 0,
  generation,
  live: [],
  issued: [],
  tried: [],
});

/** As the account's generation has it: what was spent before is not this one's. */
const ofGeneration = (state: RecoveryState, generation: number): RecoveryState =>
  generation > state.generation ? { ...noRecovery(state._id, generation), rev: state.rev } : state;

/** A new code replaces that of the same session. */
export function issue(before: RecoveryState, generation: number, code: Code, now: Date): Issued {
  const state = ofGeneration(before, generation);
  const issued = since(state.issued, now, HOUR_MS);
  if (issued.length >= RECOVERY_LIMITS.codesPerHour) return refused(issued, now, HOUR_MS);
  const expiresAt = new Date(now.getTime() + RECOVERY_LIMITS.lifeMs);
  const others = state.live.filter((one) => one.expiresAt > now && one.sessionId !== code.sessionId);
  const live = [...others, { ...code, expiresAt, triesLeft: RECOVERY_LIMITS.triesPerCode }];
  return { kind: 'issued', expiresAt, next: { ...state, rev: state.rev + 1, live, issued: [...issued, now] } };
}

/** A code works once, in the session that asked for it. Every try is counted, a right one as well. */
export function tryCode(before: RecoveryState, generation: number, code: Code, now: Date): Tried {
  const state = ofGeneration(before, generation);
  const tried = since(state.tried, now, DAY_MS);
  if (tried.length >= RECOVERY_LIMITS.triesPerDay) return refused(tried, now, DAY_MS);
  const live = liveCodes(state, code.credentialEpoch, now).find((one) => one.sessionId === code.sessionId);
  if (!live) return { kind: 'none' };
  const right = live.codeMac === code.codeMac;
  const others = state.live.filter((one) => one !== live);
  const next = {
    ...state,
    rev: state.rev + 1,
    live: right ? others : [...others, { ...live, triesLeft: live.triesLeft - 1 }],
    tried: [...tried, now],
  };
  return { kind: right ? 'right' : 'wrong', next };
}

/** Those that would still be taken. */
export const liveCodes = (state: RecoveryState, credentialEpoch: number, now: Date): LiveCode[] =>
  state.live.filter((one) => one.credentialEpoch === credentialEpoch && one.expiresAt > now && one.triesLeft > 0);

/** None of them is taken any more; what was spent stays spent. */
export const withoutCodes = (state: RecoveryState): RecoveryState => ({ ...state, rev: state.rev + 1, live: [] });

const since = (times: readonly Date[], now: Date, ms: number): Date[] =>
  times.filter((time) => time.getTime() > now.getTime() - ms);

function refused(times: readonly Date[], now: Date, ms: number): { kind: 'refused'; retryAfterSeconds: number } {
  const oldest = times[0] ?? now;
  return { kind: 'refused', retryAfterSeconds: Math.ceil((oldest.getTime() + ms - now.getTime()) / 1_000) };
}
