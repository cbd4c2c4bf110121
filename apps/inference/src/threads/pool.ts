import path from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Action } from '#contracts';
import { RetryableError } from '#queue';
import { movable } from '../memory.js';
import '../model/no-telemetry.js';
import type { ModelBytes } from '../model/onnx.js';
import { NativeGate } from './native-gate.js';
import type { StepOutcome, ThreadData, ThreadMessage, ThreadOrder } from './protocol.js';

export interface PoolOptions {
  threads: number;
  models: ModelBytes;
  /** A task that takes longer costs its thread. */
  taskMs?: number;
  /** How long a thread that was asked to end may take before it is made to. */
  endMs?: number;
  /** Told before the process ends itself, as a thread does not come back from native code. */
  onStuck?: () => void;
  /** The thread's compiled file; tests replace it. */
  file?: string;
}

interface Task {
  id: number;
  body: Uint8Array;
  action: Action;
  resolve: (outcome: StepOutcome) => void;
  reject: (error: Error) => void;
}

interface Thread {
  worker: Worker;
  gate: NativeGate;
  ready: boolean;
  task: Task | null;
  timer: NodeJS.Timeout | null;
}

const TASK_MS = 12_000;
const START_MS = 60_000;
const RESTART_MS = 500;
const YOUNG_GENERATION_MB = 2;
/** How long a thread may take to end by itself: a frame's worth of work, with time to spare. */
const END_MS = 2_000;
/** A native call that lasts longer is taken for one that never ends. */
const STUCK_MS = 30_000;

/**
 * Threads that analyse steps, one task each at a time; waiting tasks queue up in order. A thread that dies or hangs is
 * replaced, and its task fails with a retryable error.
 */
export class ThreadPool {
  private readonly threads = new Set<Thread>();
  private readonly waiting: Task[] = [];
  private readonly restarts = new Set<NodeJS.Timeout>();
  private stopped = false;
  private nextId = 0;

  constructor(private readonly options: PoolOptions) {}

  /** Starts all threads; settled when every model ran once on each. Rejects when one cannot start. */
  async start(): Promise<void> {
    const started = Array.from({ length: this.options.threads }, () => this.open());
    try {
      await Promise.all(started);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  get ready(): boolean {
    return [...this.threads].filter((t) => t.ready).length === this.options.threads;
  }

  /**
   * The body's memory is taken over: the caller must not use it again.
   *
   * @param signal gives the task up, waiting or in work; in work it ends between two runs of a net.
   */
  async analyse(body: Uint8Array, action: Action, signal?: AbortSignal): Promise<StepOutcome> {
    if (this.stopped) throw new RetryableError('the threads have been stopped');
    if (signal?.aborted) {
      body.fill(0);
      throw new RetryableError('the task was given up');
    }
    const id = this.nextId++;
    const giveUp = (): void => this.giveUp(id);
    try {
      return await new Promise((resolve, reject) => {
        this.waiting.push({ id, body, action, resolve, reject });
        signal?.addEventListener('abort', giveUp, { once: true });
        this.dispatch();
      });
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    for (const timer of this.restarts) clearTimeout(timer);
    for (const task of this.waiting.splice(0)) task.reject(new RetryableError('the threads have been stopped'));
    await Promise.all([...this.threads].map((thread) => this.end(thread)));
  }

  private open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const gate = new NativeGate();
      const worker = new Worker(this.options.file ?? path.join(__dirname, 'thread.js'), {
        workerData: { models: this.options.models, gate: gate.memory } satisfies ThreadData,
        // Nothing of the environment is needed there, the template key least of all.
        env: {},
        // Decoded pictures lie outside the heap and go when it is swept: a small young generation is swept often.
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      });
      const thread: Thread = { worker, gate, ready: false, task: null, timer: null };
      this.threads.add(thread);
      thread.timer = setTimeout(() => void this.end(thread), START_MS);
      worker.on('message', (message: ThreadMessage) => {
        if (message.kind === 'ready') {
          thread.ready = true;
          resolve();
        }
        this.settle(thread, message);
      });
      // An error is followed by the exit; without a listener it would end the process.
      worker.on('error', () => undefined);
      worker.on('exit', () => {
        reject(new RetryableError('a thread ended before it was ready'));
        this.lost(thread);
      });
    });
  }

  private giveUp(id: number): void {
    const at = this.waiting.findIndex((task) => task.id === id);
    const [waiting] = at < 0 ? [] : this.waiting.splice(at, 1);
    waiting?.body.fill(0);
    waiting?.reject(new RetryableError('the task was given up'));
    for (const { worker, task } of this.threads)
      if (task?.id === id) worker.postMessage({ kind: 'cancel', id } satisfies ThreadOrder);
  }

  /**
   * Asks first. What does not answer hangs in JavaScript, where it can be terminated, or is in native code, on a busy
   * machine or while models are loaded: that must be waited for, or the process ends with it (see `NativeGate`).
   */
  private async end(thread: Thread): Promise<void> {
    thread.ready = false;
    const ended = new Promise((resolve) => thread.worker.once('exit', resolve));
    thread.worker.postMessage({ kind: 'stop' } satisfies ThreadOrder);
    const force = setTimeout(() => void this.force(thread), this.options.endMs ?? END_MS);
    await ended;
    clearTimeout(force);
  }

  private async force({ worker, gate }: Thread): Promise<void> {
    gate.close();
    if (await gate.untilIdle(STUCK_MS)) return void (await worker.terminate());
    this.options.onStuck?.();
    // By a signal that leaves no time to run into the same wall: others take up the jobs, a supervisor starts us again.
    process.kill(process.pid, 'SIGKILL');
  }

  private settle(thread: Thread, message: ThreadMessage): void {
    if (thread.timer) clearTimeout(thread.timer);
    thread.timer = null;
    const task = thread.task;
    thread.task = null;
    if (message.kind === 'done') task?.resolve(message.outcome);
    if (message.kind === 'failed') task?.reject(new RetryableError(`analysis failed: ${message.error}`));
    this.dispatch();
  }

  private lost(thread: Thread): void {
    this.threads.delete(thread);
    if (thread.timer) clearTimeout(thread.timer);
    thread.task?.reject(new RetryableError('the thread of this task was lost'));
    if (this.stopped) return;
    const timer = setTimeout(() => {
      this.restarts.delete(timer);
      // A thread that cannot start ends, and is tried again from its `exit`.
      if (!this.stopped) void this.open().catch(() => undefined);
    }, RESTART_MS);
    this.restarts.add(timer);
  }

  private dispatch(): void {
    for (const thread of this.threads) {
      if (!thread.ready || thread.task) continue;
      const task = this.waiting.shift();
      if (!task) return;
      thread.task = task;
      thread.timer = setTimeout(() => void this.end(thread), this.options.taskMs ?? TASK_MS);
      const body = movable(task.body);
      const helper = this.helper();
      const message: ThreadOrder = { kind: 'task', id: task.id, body, action: task.action, helper };
      thread.worker.postMessage(message, helper ? [body.buffer, helper] : [body.buffer]);
    }
  }

  /** A way to a thread that would have nothing to do: then one step is shared, and decided sooner. */
  private helper(): MessagePort | null {
    const idle = this.waiting.length > 0 ? undefined : [...this.threads].find((t) => t.ready && !t.task);
    if (!idle) return null;
    const { port1, port2 } = new MessageChannel();
    idle.worker.postMessage({ kind: 'assist', port: port2 } satisfies ThreadOrder, [port2]);
    return port1;
  }
}
