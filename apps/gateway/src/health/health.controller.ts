import { Controller, Get } from '@nestjs/common';
import { HealthCheckService, HealthIndicatorService, MongooseHealthIndicator } from '@nestjs/terminus';
import { z } from 'zod';
import { Answers } from '../http/answers.js';
import { RedisStore } from '../redis/redis.js';

const ANSWER_MS = 1_000;
const statusSchema = z.strictObject({ status: z.string() });

@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly mongo: MongooseHealthIndicator,
    private readonly redis: RedisStore,
  ) {}

  /** The process answers. What it depends on is not its life. */
  @Get('live')
  @Answers({ summary: 'The process answers', schema: statusSchema })
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  @Get('ready')
  @Answers({ summary: 'Redis and MongoDB answer, too', schema: statusSchema })
  async ready(): Promise<{ status: string }> {
    const { status } = await this.health.check([
      () => this.mongo.pingCheck('mongodb', { timeout: ANSWER_MS }),
      () => this.redisCheck(),
    ]);
    return { status };
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
