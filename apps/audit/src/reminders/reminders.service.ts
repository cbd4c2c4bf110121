import { Inject, Injectable } from '@nestjs/common';
import type { GuardStore } from '#guard';
import { AppLogger } from '#observability';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import { GUARD_STORE } from '../guard-store.js';
import { MailsRepository } from '../notifications/mails.repository.js';
import { EnrolledTemplatesRepository } from './templates.repository.js';

const DAY_MS = 24 * 3_600_000;
const PAGE = 200;
/** Days before the end at which a mail goes out. */
const REMIND_AT = [14, 1] as const;
const EVERY_MS = 3_600_000;

/**
 * Mails about faces that must soon be enrolled again. Looks hourly at every enrolment whose end is near, so a process
 * that was away for days makes up for it; a mail's id is the template and the reminder, so each is sent once.
 */
@Injectable()
export class RemindersService {
  private nextAt = 0;

  constructor(
    @Inject(AUDIT_CONFIG) private readonly config: AuditConfig,
    @Inject(GUARD_STORE) private readonly guard: GuardStore,
    private readonly templates: EnrolledTemplatesRepository,
    private readonly mails: MailsRepository,
    private readonly logger: AppLogger,
  ) {}

  async sweep(): Promise<void> {
    if (Date.now() < this.nextAt) return;
    await this.remind(new Date());
    this.nextAt = Date.now() + EVERY_MS;
  }

  async remind(now: Date): Promise<void> {
    const first = this.config.RE_ENROLMENT_DAYS - Math.max(0, ...this.limits);
    for (let age = first; age <= this.config.RE_ENROLMENT_DAYS; age++) {
      const day = new Date(now.getTime() - age * DAY_MS).toISOString().slice(0, 10);
      await this.remindOfDay(day, now);
    }
  }

  /** Where a face counts for a week only, a reminder a fortnight before its end would come as it is enrolled. */
  private get limits(): number[] {
    return REMIND_AT.filter((days) => days < this.config.RE_ENROLMENT_DAYS);
  }

  private async remindOfDay(day: string, now: Date): Promise<void> {
    let after = '';
    for (;;) {
      const page = await this.templates.enrolledOn(day, after, PAGE);
      for (const template of page) {
        await this.remindOf(template, now).catch((err: unknown) =>
          this.logger.warn({ userId: template.userId, err }, 'not reminded, the next sweep tries again'),
        );
      }
      const last = page.at(-1);
      if (!last || page.length < PAGE) return;
      after = last.templateId;
    }
  }

  private async remindOf({ templateId, userId, at }: { templateId: string; userId: string; at: Date }, now: Date) {
    const until = new Date(at.getTime() + this.config.RE_ENROLMENT_DAYS * DAY_MS);
    const left = (until.getTime() - now.getTime()) / DAY_MS;
    // The nearest one only: after a week away the first is of no use beside the second.
    const limit = this.limits.filter((days) => left <= days).at(-1);
    if (limit === undefined || left <= 0) return;
    const summary = await this.guard.summary(userId);
    // A face that was demanded anew already counts no more.
    if (summary?.state !== 'active' || summary.templateId !== templateId || summary.reEnrolBy) return;
    const params = { days: Math.ceil(left), until: until.toISOString() };
    const mailId = `re-enrol-${templateId}-${limit}`;
    await this.mails.insert([{ _id: mailId, userId, template: 're_enrolment_reminder', params, createdAt: now }]);
  }
}
