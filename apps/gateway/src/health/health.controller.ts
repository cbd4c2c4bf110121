import { Controller, Get } from '@nestjs/common';
import { HealthCheckService, HealthIndicatorService, MongooseHealthIndicator } from '@nestjs/terminus';
import { Public } from '../http/session.guard.js';
import { RedisStore } from '../redis/redis.js';

const ANSWER_MS = 1_000;

@Controller('health')
@Public()
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly mongo: MongooseHealthIndicator,
    private readonly redis: RedisStore,
  ) {}

  /** The process answers. What it depends on is not its life. */
  @Get('live')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  @Get('ready')
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
