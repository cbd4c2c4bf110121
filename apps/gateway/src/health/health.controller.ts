import { Controller, Get } from '@nestjs/common';
import { HealthCheckService, HealthIndicatorService, MongooseHealthIndicator } from '@nestjs/terminus';
import { z } from 'zod';
import type { Origin } from '#contracts';
import { BlobStore, JobQueue, tryWrite } from '#queue';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { RedisStore } from '../redis/redis.js';
import { Drain } from './drain.js';

const ANSWER_MS = 1_000;
const statusSchema = z.strictObject({ status: z.string() });
const connectionSchema = z.strictObject({ address: z.string().nullable() });
const readySchema = z.strictObject({
  status: z.literal('ok'),
  /** What does not work although accounts and sessions do; empty when everything does. */
  degraded: z.array(z.enum(['no_workers', 'no_queue', 'no_frame_store'])),
});
type Ready = z.output<typeof readySchema>;

@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly mongo: MongooseHealthIndicator,
    private readonly redis: RedisStore,
    private readonly jobs: JobQueue,
    private readonly blobs: BlobStore,
    private readonly drain: Drain,
  ) {}

  /** The process answers. What it depends on is not its life. */
  @Get('live')
  @Answers({ summary: 'The process answers', schema: statusSchema, safe: true })
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** Without workers or a place for frames nobody's face is judged, but people log in all the same: ready, and it is said. */
  @Get('ready')
  @Answers({
    summary: 'MongoDB answers, Redis takes writes, and the process is not about to end; what face recognition lacks',
    schema: readySchema,
    safe: true,
  })
  async ready(): Promise<Ready> {
    await this.health.check([
      () => this.mongo.pingCheck('mongodb', { timeout: ANSWER_MS }),
      () => this.redisCheck(),
      () => this.drainCheck(),
    ]);
    return { status: 'ok', degraded: await this.lacking() };
  }

  private async lacking(): Promise<Ready['degraded']> {
    const [workers, queue, frames] = await Promise.allSettled([
      this.jobs.workers('face'),
      this.jobs.tryWrite(),
      this.blobs.tryWrite(),
    ]);
    const degraded: Ready['degraded'] = [];
    if (workers.status === 'fulfilled' && workers.value === 0) degraded.push('no_workers');
    if (workers.status === 'rejected' || queue.status === 'rejected') degraded.push('no_queue');
    if (frames.status === 'rejected') degraded.push('no_frame_store');
    return degraded;
  }

  /** For who sets up a proxy: whether the gateway takes the client's address or the proxy's. */
  @Get('connection')
  @Answers({ summary: 'The address by which limits and events know the caller', schema: connectionSchema, safe: true })
  connection(@RequestOrigin() { ipAddress }: Origin): z.infer<typeof connectionSchema> {
    return { address: ipAddress ?? null };
  }

  private drainCheck() {
    const indicator = this.indicators.check('process');
    return this.drain.begun ? indicator.down() : indicator.up();
  }

  private async redisCheck() {
    const indicator = this.indicators.check('redis');
    try {
      await this.redis.ask(tryWrite);
      return indicator.up();
    } catch {
      return indicator.down();
    }
  }
}
