import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppLogger } from '#observability';
import { JobQueue } from '#queue';

/** Tells the audit service that something waits. It would find it by itself within seconds, so a failure is no fault. */
@Injectable()
export class AuditNudge {
  constructor(
    private readonly jobs: JobQueue,
    private readonly logger: AppLogger,
  ) {}

  /** A user's guard, or (null) some system outbox, holds events. */
  drain(userId: string | null): void {
    this.send(this.jobs.enqueue('audit.drain', { userId }, `drain-${randomUUID()}`), 'audit.drain');
  }

  mail(mailId: string): void {
    this.send(this.jobs.enqueue('audit.mail', { mailId }, `mail-${mailId}`), 'audit.mail');
  }

  erase(erasureId: string): void {
    this.send(this.jobs.enqueue('audit.erase', { erasureId }, `erase-${erasureId}`), 'audit.erase');
  }

  private send(nudge: Promise<void>, job: string): void {
    nudge.catch((err: unknown) => this.logger.warn({ job, err }, 'nudge not sent'));
  }
}
