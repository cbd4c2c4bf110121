import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppLogger } from '#observability';
import { JobQueue } from '#queue';

/** Gets a mail on its way at once. Without it the next sweep does, so a failure is no fault. */
@Injectable()
export class MailNudge {
  constructor(
    private readonly queue: JobQueue,
    private readonly logger: AppLogger,
  ) {}

  async send(mailId: string): Promise<void> {
    try {
      await this.queue.enqueue('audit.mail', { mailId }, randomUUID());
    } catch (err) {
      this.logger.warn({ mailId, err }, 'no nudge sent, the sweep will find the mail');
    }
  }
}
