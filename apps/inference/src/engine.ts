import type { Action } from '#contracts';
import type { AttemptRules } from './pipeline/judge-attempt.js';
import type { StepOutcome } from './threads/protocol.js';

/** What the use cases need of the threads and the models. */
export interface Engine {
  /** Takes over the body's memory. Rejects with a RetryableError, also when the signal says that it is to be given up. */
  analyse(body: Uint8Array, action: Action, signal?: AbortSignal): Promise<StepOutcome>;
  readonly ready: boolean;
  readonly modelDigest: string;
  readonly thresholdId: string;
  /** What the judgement over an attempt needs to know of the models. */
  readonly rules: AttemptRules;
}

export const ENGINE = Symbol('engine');
