import { randomUUID } from 'node:crypto';
import { Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { Accounts, UserRepository, type UserRow } from '#accounts';
import { type ErasureRow, erasureRowSchema } from '#contracts';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { Problem } from '../http/problem.js';
import { CurrentUser } from '../http/session.guard.js';
import { SessionService } from '../sessions/session.service.js';
import { refusingLastAdmin } from '../users/last-admin.js';
import { ErasureRepository } from './erasure.repository.js';

const erasureParams = z.strictObject({ id: z.uuid() });

const receiptSchema = z
  .strictObject({
    erasureId: z.uuid(),
    state: erasureRowSchema.shape.state,
    requestedAt: z.iso.datetime(),
    completedAt: z.iso.datetime().optional(),
  })
  .meta({ id: 'Erasure' });
type Receipt = z.infer<typeof receiptSchema>;

@Controller('v1/privacy/erasures')
export class ErasuresController {
  constructor(
    private readonly erasures: ErasureRepository,
    private readonly accounts: Accounts,
    private readonly users: UserRepository,
    private readonly sessions: SessionService,
    private readonly nudge: AuditNudge,
  ) {}

  /** The subject is whoever is signed in: no path names another. The ledger row comes first; all else can be repeated. */
  @Post()
  @HttpCode(202)
  @Answers({
    summary: 'Erases the account and everything biometric',
    schema: receiptSchema,
    errors: ['last_admin'],
    idempotent: true,
  })
  async request(@CurrentUser() user: UserRow): Promise<Receipt> {
    await refusingLastAdmin(this.accounts.leaveOffice(user));
    const row = await this.erasures.insertOrFind({
      _id: randomUUID(),
      userId: user._id,
      requestedBy: user._id,
      requestedAt: new Date(),
      state: 'requested',
    });
    await this.users.raiseSessionEpoch(user._id);
    await this.sessions.endAll(user._id);
    this.nudge.erase(row._id);
    return receipt(row);
  }

  /** The session is gone by then: whoever holds the receipt's random id may ask. It says nothing about whom. */
  @Get(':id')
  @Accepts({ params: erasureParams })
  @Answers({ summary: 'How far an erasure is', schema: receiptSchema, safe: true, errors: ['not_found'] })
  async state(@Param() { id }: z.infer<typeof erasureParams>): Promise<Receipt> {
    const row = await this.erasures.find(id);
    if (!row) throw new Problem('not_found');
    return receipt(row);
  }
}

const receipt = (row: ErasureRow): Receipt => ({
  erasureId: row._id,
  state: row.state,
  requestedAt: row.requestedAt.toISOString(),
  ...(row.completedAt ? { completedAt: row.completedAt.toISOString() } : {}),
});
