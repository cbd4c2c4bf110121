import { Controller, Get } from '@nestjs/common';
import { HealthCheckService, HealthIndicatorService, MongooseHealthIndicator } from '@nestjs/terminus';
import { z } from 'zod';
import { Answers } from '../http/answers.js';
import { RedisStore } from '../redis/redis.js';
import { Drain } from './drain.js';

const ANSWER_MS = 1_000;
const statusSchema = z.strictObject({ status: z.string() });

@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly mongo: MongooseHealthIndicator,
    private readonly redis: RedisStore,
    private readonly drain: Drain,
  ) {}

  /** The process answers. What it depends on is not its life. */
  @Get('live')
  @Answers({ summary: 'The process answers', schema: statusSchema, safe: true })
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  @Get('ready')
  @Answers({
    summary: 'Redis and MongoDB answer, too, and the process is not about to end',
    schema: statusSchema,
    safe: true,
  })
  async ready(): Promise<{ status: string }> {
    const { status } = await this.health.check([
      () => this.mongo.pingCheck('mongodb', { timeout: ANSWER_MS }),
      () => this.redisCheck(),
      () => this.drainCheck(),
    ]);
    return { status };
  }

  private drainCheck() {
    const indicator = this.indicators.check('process');
    return this.drain.begun ? indicator.down() : indicator.up();
  }

  private async redisCheck() {
    const indicator = this.indicators.check('redis');
    try {
      await this.redis.ask((redis) => redis.ping());
      return indicator.up();
    } catch {
      return indicator.down();
    }
  }
}
