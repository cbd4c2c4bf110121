import type { Purpose } from './face.js';

/** Limits of one capture (API.md of the protocol `gestures/1`). Times in ms, sizes in bytes. */
export const CAPTURE_LIMITS = {
  fpsMin: 15,
  fpsMax: 30,
  framesMax: 120,
  /** For a user with extra time. */
  framesMaxExtraTime: 240,
  frameBytesMax: 512 * 1024,
  framePixelsMax: 4_000_000,
  bytesMax: 4 * 1024 * 1024,
  windowMinMs: 300,
  windowMaxMs: 6_000,
  bodyMs: 10_000,
  /** An attempt ends so long after its begin for each of its steps. */
  stepMs: 30_000,
  /** For a user with extra time. */
  stepMsExtraTime: 40_000,
  decideMs: 12_000,
  decideRunsMax: 3,
} as const;

/** A change of address that somebody else may have made: how long it can be undone, and what an undone one holds up. */
export const ADDRESS_LIMITS = { undoDays: 7, holdHours: 24 } as const;

/** Limits of the guard (one user). All configurable; these are the defaults. */
export const GUARD_LIMITS = {
  strikesToLock: 3,
  lockMinutes: 30,
  strikesToDisable: 50,
  strikesForReview: 10,
  strikeRingDays: 7,
  unchargedPer10Min: 10,
  unchargedPerDay: 30,
  /** Ends that nobody is charged for and that no outage explains. */
  freePer10Min: 3,
  freePerDay: 10,
  /** How long an undecided attempt's actions stay the beginning of the next one. */
  shownMinutes: 15,
  recentMax: 32,
  outboxMax: 50,
  reEnrolDays: 180,
  holdHours: 24,
  redeemSeconds: 60,
  lockMailPer30Min: 1,
  lockMailPerDay: 4,
} as const;
export type GuardLimits = { [K in keyof typeof GUARD_LIMITS]: number };

/** Whether an ended capture of this purpose can cost a strike. */
export const canStrike = (purpose: Purpose): boolean => purpose === 'verify';
