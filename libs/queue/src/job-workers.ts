import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core';
import { type Job, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { type JobName, JOBS, type QueueName, QUEUES } from '#contracts';
import { AppLogger, Metrics, withCorrelation } from '#observability';
import { copiesOf, waitingConnection } from './connections.js';
import { PermanentError, RetryableError } from './errors.js';
import { BlobStore } from './blob-store.js';
import { JOB_HANDLER, type JobContext } from './job-handler.js';
import { JobQueue } from './job-queue.js';
import { QUEUE_OPTIONS, type QueueModuleOptions } from './options.js';

type Call = (payload: unknown, context: JobContext) => Promise<void>;

/** How long jobs in work may take to finish after SIGTERM; then they are left for redelivery. */
export const SHUTDOWN_GRACE_MS = 20_000;
/** How long a worker without work may take to end: one that waits on a Redis that went away and came back never does. */
const IDLE_CLOSE_MS = 1_000;

/**
 * A worker that was killed is noticed after lockDuration + stalledInterval: its job is with another in about 3.5 s.
 * `maxStalledCount` stays high on purpose: handlers themselves answer for a job that kills its workers (`stalledCount`).
 */
const REDELIVERY = { lockDuration: 2_000, stalledInterval: 1_000, maxStalledCount: 50 } as const;

/** The receiving side: finds the handlers, refuses to start when one is missing or doubled, runs them. */
@Injectable()
export class JobWorkers implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly handlers = new Map<JobName, Call>();
  private readonly running = new Set<Promise<void>>();
  private readonly workers: { worker: Worker; connection: Redis; copies: readonly Redis[] }[] = [];

  constructor(
    @Inject(QUEUE_OPTIONS) private readonly options: QueueModuleOptions,
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly reflector: Reflector,
    private readonly logger: AppLogger,
    private readonly metrics: Metrics,
    private readonly jobs: JobQueue,
    private readonly blobs: BlobStore,
  ) {}

  async onModuleInit(): Promise<void> {
    const problems: string[] = [];
    for (const { instance } of this.discovery.getProviders() as { instance?: unknown }[]) {
      if (typeof instance !== 'object' || instance === null) continue;
      const prototype = Object.getPrototypeOf(instance) as Record<string, unknown> | null;
      if (!prototype) continue;
      for (const key of this.scanner.getAllMethodNames(prototype)) {
        const method = prototype[key];
        if (typeof method !== 'function') continue;
        const name = this.reflector.get<JobName | undefined>(JOB_HANDLER, method);
        if (name === undefined) continue;
        if (this.handlers.has(name)) problems.push(`job ${name} has more than one handler`);
        if (!this.options.consumes.includes(name)) problems.push(`job ${name} has a handler but is not consumed here`);
        this.handlers.set(name, (payload, context) => (method as Call).call(instance, payload, context));
      }
    }
    for (const name of this.options.consumes) {
      if (!this.handlers.has(name)) problems.push(`job ${name} has no handler`);
    }
    if (problems.length > 0) {
      // Whoever refuses to start leaves no connection open.
      this.blobs.onApplicationShutdown();
      await this.jobs.onApplicationShutdown();
      throw new Error(`job handlers: ${problems.join('; ')}`);
    }
  }

  async onApplicationBootstrap(): Promise<void> {
    for (const queue of QUEUES) {
      if (this.options.consumes.some((name) => JOBS[name].queue === queue)) this.workers.push(this.open(queue));
    }
    // A worker that is cut off while it opens its connections never recovers; one that is ready does.
    await Promise.all(this.workers.map(({ worker }) => worker.waitUntilReady()));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(
      this.workers.map(async ({ worker, connection, copies }) => {
        const idle = Promise.allSettled(this.running).then(() => after(IDLE_CLOSE_MS));
        await Promise.race([worker.close(), idle, after(SHUTDOWN_GRACE_MS)]);
        // One that is not through by now never comes to this, and its timer would keep the process.
        await worker['lockManager'].close();
        // One that has lost its Redis would try to reach it for ever, and keep the process.
        for (const each of [connection, ...copies]) each.disconnect();
      }),
    );
  }

  private open(queue: QueueName): { worker: Worker; connection: Redis; copies: readonly Redis[] } {
    const connection = waitingConnection(this.options.redisUrl);
    const copies = copiesOf(connection);
    const worker = new Worker(
      queue,
      (job) => withCorrelation(job.id ?? queue, () => this.counted(this.measured(job))),
      {
        connection,
        concurrency: this.options.concurrency,
        ...REDELIVERY,
        // How long a worker pauses after it lost Redis; BullMQ's own 15 s would outlast the outage.
        runRetryDelay: 500,
      },
    );
    worker.on('error', (err) => this.logger.warn({ queue, err }, 'queue connection'));
    worker.on('failed', (job, err) => this.logger.warn({ queue, job: job?.name, jobId: job?.id, err }, 'job failed'));
    return { worker, connection, copies };
  }

  private async counted(work: Promise<void>): Promise<void> {
    this.running.add(work);
    try {
      await work;
    } finally {
      this.running.delete(work);
    }
  }

  private async measured(job: Job): Promise<void> {
    const name = job.name as JobName;
    // Whoever reaches Redis may have put a job of any name there.
    if (!this.handlers.has(name)) return this.run(job);
    this.metrics.observe('job_wait_seconds', { job: name }, ((job.processedOn ?? Date.now()) - job.timestamp) / 1000);
    const from = performance.now();
    const took = (result: 'done' | 'failed'): void =>
      this.metrics.observe('job_seconds', { job: name, result }, (performance.now() - from) / 1000);
    try {
      await this.run(job);
    } catch (error) {
      took('failed');
      throw error;
    }
    took('done');
  }

  private async run(job: Job): Promise<void> {
    const name = job.name as JobName;
    const handler = this.handlers.get(name);
    const definition = JOBS[name] as (typeof JOBS)[JobName] | undefined;
    if (!handler || !definition) throw new UnrecoverableError('a job that nothing here handles');
    const payload = definition.payload.safeParse(job.data);
    if (!payload.success) throw new UnrecoverableError('a payload that is not what the contract says');

    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(new RetryableError('time is over')), definition.timeoutMs);
    try {
      await Promise.race([
        handler(payload.data, {
          jobId: job.id ?? '',
          stalledCount: job.stalledCounter,
          triesLeft: Math.max(0, definition.tries - job.attemptsMade - 1),
          signal: abort.signal,
        }),
        aborted(abort.signal),
      ]);
    } catch (error) {
      // BullMQ keeps the message of a failed job in Redis: only the kind of the error goes there.
      const kind = error instanceof Error ? error.name : 'unknown';
      this.logger.warn({ job: name, jobId: job.id, err: error }, 'job handler threw');
      throw error instanceof PermanentError ? new UnrecoverableError(kind) : new RetryableError(kind);
    } finally {
      clearTimeout(timer);
    }
  }
}

const after = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
