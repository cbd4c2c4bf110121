import { randomUUID } from 'node:crypto';
import { Controller, Delete, HttpCode, Inject } from '@nestjs/common';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { type Principal } from '../http/principal.js';
import { CurrentSession } from '../http/session.guard.js';
import { guardOf } from './authority.js';
import { GUARD } from './guard.module.js';
import { TemplateRepository } from './template.repository.js';

@Controller('v1/face/enrolment')
export class EnrolmentController {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly templates: TemplateRepository,
    private readonly nudge: AuditNudge,
  ) {}

  /** Works with a password alone; enrolling another face afterwards does not. */
  @Delete()
  @HttpCode(204)
  @Answers({ summary: 'Removes the face', errors: ['account_inactive'] })
  async delete(@CurrentSession() session: Principal, @RequestOrigin() origin: Origin): Promise<void> {
    const { userId } = session.record;
    await guardOf(this.guard, session);
    await this.guard.change(userId, { kind: 'unenrol' }, origin, randomUUID());
    await this.templates.deleteAllOf(userId);
    this.nudge.drain(userId);
  }
}
