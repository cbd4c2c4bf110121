import { Injectable } from '@nestjs/common';
import { Accounts, type Renewal, type UserRow } from '#accounts';
import type { Origin } from '#contracts';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { type ActiveSession, SessionService } from './session.service.js';

/** The one way by which the gateway renews credentials: `Accounts.renew`, and the sessions that Redis has. */
@Injectable()
export class CredentialRenewal {
  constructor(
    private readonly accounts: Accounts,
    private readonly sessions: SessionService,
    private readonly nudge: AuditNudge,
  ) {}

  /** `stays`: the session in which the password was changed. Null when the renewal cannot be any more. */
  async renew(userId: string, renewal: Renewal, origin: Origin, stays?: ActiveSession): Promise<UserRow | null> {
    const user = await this.accounts.renew(userId, renewal, origin);
    if (!user) return null;
    // Not waited for by requests beside this one: the account itself says that the session stays.
    if (stays) await this.sessions.update(stays, { ...stays.record, epoch: user.sessionEpoch });
    await this.sessions.endAll(userId, stays?.record.sessionId);
    this.nudge.drain(userId);
    return user;
  }
}
