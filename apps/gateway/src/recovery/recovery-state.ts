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

/** By which token a code was used, and the ids of what that writes, so that a repeat writes nothing twice. */
export interface RecoveryUse {
  /** Of the session's token that came with the code. */
  tokenMac: string;
  opId: string;
  eventId: string;
}

/** One document of `recovery_codes`: a user's live codes and what limits them. `_id` is the userId. */
export interface RecoveryState {
  _id: string;
  rev: number;
  /** The account's `recoveryGeneration` whose budgets these are: a newer one has spent nothing yet. */
  generation: number;
  /** One a session, so that nobody's new code voids another's. */
  live: LiveCode[];
  /** The code that was right last: its request may come again until its session was raised. */
  spent?: (Code & { at: Date; use: RecoveryUse }) | null;
  /** When codes were made, the last hour. */
  issued: Date[];
  /** When codes were tried, the last day. */
  tried: Date[];
}

export const RECOVERY_LIMITS = {
  lifeMs: 10 * 60_000,
  repeatMs: 60_000,
  triesPerCode: 5,
  codesPerHour: 3,
  triesPerDay: 15,
} as const;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export type Issued =
  { kind: 'issued'; expiresAt: Date; next: RecoveryState } | { kind: 'refused'; retryAfterSeconds: number };
export type Tried =
  | { kind: 'right'; use: RecoveryUse; next: RecoveryState }
  | { kind: 'again'; use: RecoveryUse }
  | { kind: 'wrong'; next: RecoveryState }
  | { kind: 'none' }
  | { kind: 'refused'; retryAfterSeconds: number };

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
  const next = { ...state, rev: state.rev + 1, live, spent: null, issued: [...issued, now] };
  return { kind: 'issued', expiresAt, next };
}

/**
 * A code works once, in the session that asked for it. Every try is counted, a right one as well. With the same token it is
 * the same use again for a minute: whoever still has that token had no answer.
 */
export function tryCode(
  before: RecoveryState,
  generation: number,
  { use, ...code }: Code & { use: RecoveryUse },
  now: Date,
): Tried {
  const state = ofGeneration(before, generation);
  const { spent } = state;
  const isAgain =
    spent?.codeMac === code.codeMac &&
    spent.use.tokenMac === use.tokenMac &&
    spent.sessionId === code.sessionId &&
    spent.credentialEpoch === code.credentialEpoch;
  if (isAgain && spent.at.getTime() > now.getTime() - RECOVERY_LIMITS.repeatMs)
    return { kind: 'again', use: spent.use };
  const tried = since(state.tried, now, DAY_MS);
  if (tried.length >= RECOVERY_LIMITS.triesPerDay) return refused(tried, now, DAY_MS);
  const live = liveCodes(state, code.credentialEpoch, now).find((one) => one.sessionId === code.sessionId);
  if (!live) return { kind: 'none' };
  const others = state.live.filter((one) => one !== live);
  const next = { ...state, rev: state.rev + 1, tried: [...tried, now] };
  if (live.codeMac !== code.codeMac) {
    return { kind: 'wrong', next: { ...next, live: [...others, { ...live, triesLeft: live.triesLeft - 1 }] } };
  }
  return { kind: 'right', use, next: { ...next, live: others, spent: { ...code, at: now, use } } };
}

/** Those that would still be taken. */
export const liveCodes = (state: RecoveryState, credentialEpoch: number, now: Date): LiveCode[] =>
  state.live.filter((one) => one.credentialEpoch === credentialEpoch && one.expiresAt > now && one.triesLeft > 0);

const since = (times: readonly Date[], now: Date, ms: number): Date[] =>
  times.filter((time) => time.getTime() > now.getTime() - ms);

function refused(times: readonly Date[], now: Date, ms: number): { kind: 'refused'; retryAfterSeconds: number } {
  const oldest = times[0] ?? now;
  return { kind: 'refused', retryAfterSeconds: Math.ceil((oldest.getTime() + ms - now.getTime()) / 1_000) };
}
