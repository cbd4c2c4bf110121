import type { GuardLimits } from '#contracts';
import type { GuardClock } from './pipeline.js';

/** The times of a capture that the guard enforces. */
export interface CaptureTimes {
  windowMinMs: number;
  windowMaxMs: number;
  bodyMs: number;
  attemptTtlMs: number;
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
