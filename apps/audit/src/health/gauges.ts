import { Injectable, type OnModuleInit } from '@nestjs/common';
import { QUEUES } from '#contracts';
import { Metrics } from '#observability';
import { JobQueue } from '#queue';
import { Checkpointer } from '../log/checkpointer.js';
import { MailsRepository } from '../notifications/mails.repository.js';

/** What is asked of Redis and MongoDB when measurements are read. Here alone: every gateway that asked would ask the same. */
@Injectable()
export class Gauges implements OnModuleInit {
  constructor(
    private readonly metrics: Metrics,
    private readonly jobs: JobQueue,
    private readonly mails: MailsRepository,
    private readonly checkpoints: Checkpointer,
  ) {}

  onModuleInit(): void {
    this.metrics.whenRead(['queue_jobs', 'queue_workers'], () => this.queues());
    this.metrics.whenRead(['mails_waiting', 'oldest_mail_seconds'], async () => {
      const { waiting, oldestSeconds } = await this.mails.backlog();
      this.metrics.set('mails_waiting', {}, waiting);
      this.metrics.set('oldest_mail_seconds', {}, oldestSeconds);
    });
    this.metrics.whenRead(['log_refused'], () => {
      this.metrics.set('log_refused', {}, this.checkpoints.refusal === null ? 0 : 1);
      return Promise.resolve();
    });
  }

  private async queues(): Promise<void> {
    await Promise.all(
      QUEUES.map(async (queue) => {
        const [counts, workers] = await Promise.all([this.jobs.counts(queue), this.jobs.workers(queue)]);
        for (const state of ['waiting', 'active', 'delayed'] as const) this.metrics.set('queue_jobs', { queue, state }, counts[state]); // prettier-ignore
        this.metrics.set('queue_workers', { queue }, workers);
      }),
    );
  }
}
