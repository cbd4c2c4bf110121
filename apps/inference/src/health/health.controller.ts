import { Controller, Get, Inject } from '@nestjs/common';
import {
  HealthCheck,
  type HealthCheckResult,
  HealthCheckService,
  type HealthIndicatorResult,
  HealthIndicatorService,
} from '@nestjs/terminus';
import { Metrics } from '#observability';
import { BlobStore, JobQueue } from '#queue';
import { ENGINE, type Engine } from '../engine.js';

const TIMEOUT_MS = 1_500;

@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly queue: JobQueue,
    private readonly blobs: BlobStore,
    @Inject(ENGINE) private readonly engine: Engine,
    metrics: Metrics,
  ) {
    metrics.whenRead(['models_ready'], () => {
      metrics.set('models_ready', {}, this.engine.ready ? 1 : 0);
      return Promise.resolve();
    });
  }

  @Get('live')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** Ready: every thread has run every model, and both Redis take writes. */
  @Get('ready')
  @HealthCheck()
  ready(): Promise<HealthCheckResult> {
    const writes = (name: string, attempt: () => Promise<void>) => () =>
      this.indicators.check(name).attempt(attempt).withTimeout(TIMEOUT_MS);
    return this.health.check([
      (): HealthIndicatorResult => {
        const models = this.indicators.check('models');
        return this.engine.ready ? models.up() : models.down();
      },
      writes('queue', () => this.queue.tryWrite()),
      writes('blobs', () => this.blobs.tryWrite()),
    ]);
  }
}
