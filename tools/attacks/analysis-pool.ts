import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Frame } from '#testing';
import '../../apps/inference/src/model/no-telemetry.js';
import type { ModelBytes } from '../../apps/inference/src/model/onnx.js';
import type { StepAnalysis } from '../../apps/inference/src/pipeline/analyse.js';
import { NativeGate } from '../../apps/inference/src/threads/native-gate.js';
import type { Look } from './camera.js';
import type { Film } from './film.js';
import type { KeptAnalyses } from './kept-analyses.js';

export interface AnalysisTask {
  id: number;
  film: Film;
  look: Look;
  /** The frames as sent, or what the product finds in them. */
  wanted: 'frames' | 'analysis';
}

/** What a thread is started with. */
export interface AnalysisThreadData {
  models: ModelBytes;
  gate: SharedArrayBuffer;
}

export type AnalysisMessage =
  | { kind: 'ready' }
  | { kind: 'frames'; id: number; frames: Frame[] }
  | { kind: 'analysis'; id: number; analysis: StepAnalysis }
  | { kind: 'failed'; id: number; error: string };

interface Waiting {
  task: AnalysisTask;
  resolve: (message: AnalysisMessage) => void;
  reject: (error: Error) => void;
}

/** Threads that film and analyse steps with the product's pipeline. What is asked twice under one key is done once. */
export class AnalysisPool {
  private readonly idle: Worker[] = [];
  private readonly workers: Worker[] = [];
  private readonly gates: NativeGate[] = [];
  private readonly waiting: Waiting[] = [];
  private readonly running = new Map<number, Waiting>();
  private readonly known = new Map<string, Promise<StepAnalysis>>();
  private nextId = 0;

  private constructor(private readonly kept: KeptAnalyses | null) {}

  static async start(models: ModelBytes, threads: number, kept: KeptAnalyses | null = null): Promise<AnalysisPool> {
    const pool = new AnalysisPool(kept);
    await Promise.all(Array.from({ length: threads }, () => pool.open(models)));
    return pool;
  }

  /** Steps that were analysed, each once. */
  get analysed(): number {
    return this.known.size;
  }

  get threads(): number {
    return this.workers.length;
  }

  /** @param key names film and look together. */
  analyse(key: string, film: () => Promise<Film>, look: Look): Promise<StepAnalysis> {
    const known = this.known.get(key);
    if (known) return known;
    const kept = this.kept?.find(key, look);
    const found = kept ? Promise.resolve(kept) : this.analyseAnew(key, film, look);
    this.known.set(key, found);
    return found;
  }

  private async analyseAnew(key: string, film: () => Promise<Film>, look: Look): Promise<StepAnalysis> {
    const message = await this.run(await film(), look, 'analysis');
    if (message.kind !== 'analysis') throw new Error(`a thread answered ${message.kind}`);
    this.kept?.keep(key, look, message.analysis);
    return message.analysis;
  }

  /** The frames that a camera would send. */
  async film(film: Film, look: Look): Promise<Frame[]> {
    const message = await this.run(film, look, 'frames');
    if (message.kind !== 'frames') throw new Error(`a thread answered ${message.kind}`);
    // A buffer crosses to another thread as plain bytes.
    return message.frames.map(({ tMs, jpeg }) => ({ tMs, jpeg: Buffer.from(jpeg) }));
  }

  async stop(): Promise<void> {
    for (const gate of this.gates) gate.close();
    await Promise.all(this.gates.map((gate) => gate.untilIdle()));
    await Promise.all(this.workers.map((w) => w.terminate()));
  }

  private run(film: Film, look: Look, wanted: AnalysisTask['wanted']): Promise<AnalysisMessage> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ task: { id: this.nextId++, film, look, wanted }, resolve, reject });
      this.dispatch();
    });
  }

  private open(models: ModelBytes): Promise<void> {
    return new Promise((resolve, reject) => {
      const gate = new NativeGate();
      const workerData: AnalysisThreadData = { models, gate: gate.memory };
      const worker = new Worker(path.join(__dirname, 'analysis-thread-main.js'), { workerData, env: {} });
      this.gates.push(gate);
      this.workers.push(worker);
      worker.on('message', (message: AnalysisMessage) => {
        if (message.kind === 'ready') resolve();
        else this.settle(message);
        this.idle.push(worker);
        this.dispatch();
      });
      worker.on('error', (error) => {
        reject(error);
        // Whatever broke, no answer of this thread will come: fail loudly rather than wait for ever.
        for (const { reject: lost } of this.running.values()) lost(error);
      });
    });
  }

  private settle(message: Exclude<AnalysisMessage, { kind: 'ready' }>): void {
    const found = this.running.get(message.id);
    this.running.delete(message.id);
    if (message.kind === 'failed') found?.reject(new Error(`analysis failed: ${message.error}`));
    else found?.resolve(message);
  }

  private dispatch(): void {
    while (this.idle.length > 0 && this.waiting.length > 0) {
      const next = this.waiting.shift()!;
      this.running.set(next.task.id, next);
      this.idle.pop()!.postMessage(next.task);
    }
  }
}
