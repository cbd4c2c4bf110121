import { Controller, Get } from '@nestjs/common';
import {
  HealthCheck,
  type HealthCheckResult,
  HealthCheckService,
  type HealthIndicatorResult,
  HealthIndicatorService,
  MongooseHealthIndicator,
} from '@nestjs/terminus';
import { JobQueue } from '#queue';
import { Checkpointer } from '../log/checkpointer.js';

const TIMEOUT_MS = 1_500;

@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly mongo: MongooseHealthIndicator,
    private readonly queue: JobQueue,
    private readonly checkpoints: Checkpointer,
  ) {}

  @Get('live')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** Ready: MongoDB answers, and Redis takes writes. */
  @Get('ready')
  @HealthCheck()
  ready(): Promise<HealthCheckResult> {
    return this.health.check([
      () => this.mongo.pingCheck('mongodb', { timeout: TIMEOUT_MS }),
      () =>
        this.indicators
          .check('redis')
          .attempt(() => this.queue.tryWrite())
          .withTimeout(TIMEOUT_MS),
      () => this.log(),
    ]);
  }

  /** A log that is not signed is stored all the same: readiness tells whoever has to mend it. */
  private log(): HealthIndicatorResult {
    const { refusal } = this.checkpoints;
    const log = this.indicators.check('log');
    return refusal === null ? log.up() : log.down({ state: refusal });
  }
}
