import { Injectable } from '@nestjs/common';
import type { JobPayload } from '#contracts';
import { JobHandler } from '#queue';
import { DrainService } from './events/drain.service.js';
import { MailerService } from './notifications/mailer.service.js';
import { ErasureService } from './privacy/erasure.service.js';

/** Jobs are nudges: each says where to look, and a job that is lost is made up for by the next sweep. */
@Injectable()
export class AuditProcessor {
  constructor(
    private readonly drains: DrainService,
    private readonly mailer: MailerService,
    private readonly erasures: ErasureService,
  ) {}

  @JobHandler('audit.drain')
  async drain({ userId }: JobPayload<'audit.drain'>): Promise<void> {
    await (userId === null ? this.drains.drainSystem() : this.drains.drainUser(userId));
  }

  @JobHandler('audit.mail')
  async mail({ mailId }: JobPayload<'audit.mail'>): Promise<void> {
    await this.mailer.deliver(mailId);
  }

  @JobHandler('audit.erase')
  async erase({ erasureId }: JobPayload<'audit.erase'>): Promise<void> {
    await this.erasures.run(erasureId);
  }
}
