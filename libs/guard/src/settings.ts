import type { GuardLimits } from '#contracts';
import type { GuardClock } from './pipeline.js';

/** The times of a capture that the guard enforces. */
export interface CaptureTimes {
  windowMinMs: number;
  windowMaxMs: number;
  bodyMs: number;
  /** What each step adds to the time of its attempt, without and with extra time. */
  stepMs: number;
  stepMsExtraTime: number;
  decideMs: number;
  decideRunsMax: number;
}

export interface GuardSettings {
  limits: GuardLimits;
  capture: CaptureTimes;
  clock: GuardClock;
  /** Ids of events, made beforehand for whatever the update may turn out to write. */
  newId: () => string;
}
