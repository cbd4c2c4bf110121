import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { type JobName, type JobPayload, JOBS, type QueueName, QUEUES } from '#contracts';
import { AppLogger } from '#observability';
import { asking, askingConnection, connect, tryWrite } from './connections.js';
import { QUEUE_OPTIONS, type QueueModuleOptions } from './options.js';
import { checkRedis } from './server-check.js';

/** Longest that the end of a process waits for its queues. */
const CLOSE_MS = 2_000;

/** The sending side of the queues. */
@Injectable()
export class JobQueue implements OnModuleInit, OnApplicationShutdown {
  private readonly redis: Redis;
  private readonly queues = new Map<QueueName, Queue>();
  private started: Promise<void> | null = null;

  constructor(
    @Inject(QUEUE_OPTIONS) private readonly options: QueueModuleOptions,
    private readonly logger: AppLogger,
  ) {
    this.redis = askingConnection(options.redisUrl);
  }

  onModuleInit(): Promise<void> {
    return this.start();
  }

  /** For whoever has something to say before all modules are ready; a repeat waits for the same start. */
  start(): Promise<void> {
    this.started ??= this.open();
    return this.started;
  }

  private async open(): Promise<void> {
    await connect(this.redis);
    await checkRedis(this.redis, 'REDIS_URL', this.options, this.logger);
    for (const name of QUEUES) {
      const queue = new Queue(name, { connection: this.redis, skipWaitingForReady: true });
      queue.on('error', () => undefined);
      // BullMQ asks for the server's version first; cut off in the middle of that, it would never answer again.
      await queue.waitUntilReady();
      this.queues.set(name, queue);
    }
  }

  /**
   * Adds a job. A job of the same id that still waits or runs makes this a no-op, so a repeat is safe.
   *
   * @param ahead how many jobs its sender has waiting or in work: it waits behind all jobs of those who have fewer.
   * @throws ZodError when the payload is not what the contract says; TransportDownError, at once, without Redis.
   */
  async enqueue<N extends JobName>(name: N, payload: JobPayload<N>, jobId: string, ahead = 0): Promise<void> {
    const job = JOBS[name];
    const data: unknown = job.payload.parse(payload);
    await asking(() =>
      this.queue(job.queue).add(name, data, {
        jobId,
        priority: ahead,
        attempts: job.tries,
        backoff: { type: 'exponential', delay: job.backoffMs },
        // An id that is kept makes the next `add` a silent no-op: nothing ended is kept.
        removeOnComplete: true,
        removeOnFail: true,
      }),
    );
  }

  /** Jobs that wait or run. */
  async depth(name: QueueName): Promise<number> {
    return asking(() => this.queue(name).getJobCountByTypes('waiting', 'prioritized', 'active', 'delayed'));
  }

  async counts(name: QueueName): Promise<{ waiting: number; active: number; delayed: number }> {
    const { waiting = 0, active = 0, delayed = 0 } = await asking(() => this.queue(name).getJobCounts('waiting', 'active', 'delayed')); // prettier-ignore
    return { waiting, active, delayed };
  }

  /** Workers connected to a queue at this moment. Redis lists the clients of all its numbered databases: ours count. */
  async workers(name: QueueName): Promise<number> {
    const clients = await asking(() => this.queue(name).getWorkers());
    return clients.filter((client) => client.db === String(this.redis.options.db ?? 0)).length;
  }

  /** Rejects with TransportDownError when Redis does not answer, or takes no writes. */
  async tryWrite(): Promise<void> {
    await asking(() => tryWrite(this.redis));
  }

  async onApplicationShutdown(): Promise<void> {
    // A queue whose Redis went away may wait for an answer that never comes.
    const close = () => Promise.allSettled([...this.queues.values()].map((queue) => queue.close()));
    await asking(close, CLOSE_MS).catch(() => undefined);
    this.redis.disconnect();
  }

  private queue(name: QueueName): Queue {
    const queue = this.queues.get(name);
    if (!queue) throw new Error('the queue module has not been initialised');
    return queue;
  }
}
