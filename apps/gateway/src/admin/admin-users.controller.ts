import { randomUUID } from 'node:crypto';
import { Controller, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import type { UserRow } from '#accounts';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { GUARD } from '../face/guard.module.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { CurrentUser } from '../http/session.guard.js';

const userParams = z.strictObject({ id: z.uuid() });

/** What staff may do to another person's account. */
@Controller('v1/admin/users')
export class AdminUsersController {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly nudge: AuditNudge,
  ) {}

  @Post(':id/unlock')
  @HttpCode(204)
  @Accepts({ params: userParams })
  @Answers({ summary: 'Ends the lock of a face', errors: ['not_found'] })
  async unlock(
    @CurrentUser() officer: UserRow,
    @Param() { id }: z.infer<typeof userParams>,
    @RequestOrigin() origin: Origin,
  ): Promise<void> {
    const outcome = await this.guard.change(id, { kind: 'unlock', actorId: officer._id }, origin, randomUUID());
    if (outcome.kind === 'not_found') throw new Problem('not_found');
    this.nudge.drain(id);
  }
}
