import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Action, ModelManifest } from '#contracts';
import { AppLogger } from '#observability';
import type { Engine } from '../engine.js';
import { readModelFiles } from '../model/model-files.js';
import { rulesOf } from '../model/model-inputs.js';
import type { AttemptRules } from '../pipeline/judge-attempt.js';
import { ModelsReporter } from './models-report.js';
import { ThreadPool } from './pool.js';
import type { StepOutcome } from './protocol.js';

export const ENGINE_OPTIONS = Symbol('engine options');
export interface EngineOptions {
  manifestPath: string;
  threads: number;
}

/**
 * The life of the models in this process: locate, verify, load, warm, before any job is taken (Nest waits for
 * `onModuleInit` before workers start at bootstrap); released after the last job has ended.
 */
@Injectable()
export class ThreadEngine implements Engine, OnModuleInit, OnApplicationShutdown {
  private pool: ThreadPool | null = null;
  private manifest: ModelManifest | null = null;

  constructor(
    @Inject(ENGINE_OPTIONS) private readonly options: EngineOptions,
    private readonly reporter: ModelsReporter,
    private readonly logger: AppLogger,
  ) {}

  async onModuleInit(): Promise<void> {
    const started = performance.now();
    const { threads } = this.options;
    const { manifest, bytes } = await this.orTell(readModelFiles(this.options.manifestPath));
    const pool = new ThreadPool({ threads, models: bytes, onStuck: () => this.tellStuck() });
    await this.orTell(pool.start(), manifest.digest);
    this.pool = pool;
    this.manifest = manifest;
    this.logger.info(
      { modelDigest: manifest.digest, threads, ms: Math.round(performance.now() - started) },
      'models loaded',
    );
    await this.reporter.tell({ outcome: 'loaded', modelDigest: manifest.digest });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool?.stop();
  }

  get ready(): boolean {
    return this.pool?.ready ?? false;
  }

  get modelDigest(): string {
    return this.loaded().digest;
  }

  get thresholdId(): string {
    return this.loaded().thresholds.match.id;
  }

  get rules(): AttemptRules {
    return rulesOf(this.loaded());
  }

  analyse(body: Uint8Array, action: Action, signal?: AbortSignal): Promise<StepOutcome> {
    if (!this.pool) throw new Error('the engine has not been started');
    return this.pool.analyse(body, action, signal);
  }

  private tellStuck(): void {
    this.logger.error({ state: 'stuck_thread' }, 'a thread does not come back from native code: this process ends');
  }

  private async orTell<T>(work: Promise<T>, modelDigest?: string): Promise<T> {
    try {
      return await work;
    } catch (error) {
      await this.reporter.tell({ outcome: 'refused', ...(modelDigest === undefined ? {} : { modelDigest }) });
      throw error;
    }
  }

  private loaded(): ModelManifest {
    if (!this.manifest) throw new Error('the engine has not been started');
    return this.manifest;
  }
}
