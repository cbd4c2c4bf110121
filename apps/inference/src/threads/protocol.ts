import type { MessagePort } from 'node:worker_threads';
import type { Action, StepVerdict } from '#contracts';
import type { AntispoofSample, EmbeddingSample } from '../pipeline/analyse.js';
import type { ModelBytes } from '../model/onnx.js';

/** What a thread is started with. */
export interface ThreadData {
  models: ModelBytes;
  /** Memory of the `NativeGate`. */
  gate: SharedArrayBuffer;
}

/** One step to analyse. `body` is moved, not copied. */
export interface ThreadTask {
  kind: 'task';
  id: number;
  body: Uint8Array;
  action: Action;
  /** Leads to a thread that had nothing to do when this task began. */
  helper: MessagePort | null;
}

/** Run nets for whoever holds the other end, until it is closed. */
interface ThreadAssistance {
  kind: 'assist';
  port: MessagePort;
}

export interface StepOutcome {
  verdict: StepVerdict;
  embeddings: EmbeddingSample[];
  antispoof: AntispoofSample[];
  frames: number;
}

/** Give up this task, and stay: its answer is `failed`. */
interface ThreadCancellation {
  kind: 'cancel';
  id: number;
}

/** Give up the task, if any, and end. */
interface ThreadStop {
  kind: 'stop';
}

export type ThreadOrder = ThreadTask | ThreadAssistance | ThreadCancellation | ThreadStop;

/** `ready` once, after the models ran for the first time; then one answer a task. */
export type ThreadMessage =
  | { kind: 'ready' }
  | { kind: 'done'; id: number; outcome: StepOutcome }
  | { kind: 'failed'; id: number; error: string };
