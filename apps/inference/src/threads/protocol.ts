import type { Action, StepVerdict } from '#contracts';
import type { AntispoofSample, EmbeddingSample } from '../pipeline/analyse.js';
import type { ModelBytes } from '../model/onnx.js';

/** What a thread is started with. */
export interface ThreadData {
  models: ModelBytes;
}

/** One step to analyse. `body` is moved, not copied. */
export interface ThreadTask {
  id: number;
  body: Uint8Array;
  action: Action;
}

export interface StepOutcome {
  verdict: StepVerdict;
  embeddings: EmbeddingSample[];
  antispoof: AntispoofSample[];
  frames: number;
}

/** `ready` once, after the models ran for the first time; then one answer a task. */
export type ThreadMessage =
  | { kind: 'ready' }
  | { kind: 'done'; id: number; outcome: StepOutcome }
  | { kind: 'failed'; id: number; error: string };
