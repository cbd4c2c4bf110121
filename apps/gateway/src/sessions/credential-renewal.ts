import { Injectable } from '@nestjs/common';
import { Accounts, type PendingDraft, type Renewal, type UserRow } from '#accounts';
import type { Origin } from '#contracts';
import { AppLogger } from '#observability';
import { type ActiveSession, SessionService } from './session.service.js';

/** The one way by which the gateway renews credentials: `Accounts.renew`, and the sessions that Redis has. */
@Injectable()
export class CredentialRenewal {
  constructor(
    private readonly accounts: Accounts,
    private readonly sessions: SessionService,
    private readonly logger: AppLogger,
  ) {}

  /**
   * `stays`: the session in which the password was changed. Null when the renewal cannot be any more. Once the account is
   * changed nothing is answered as if it were not: it says itself which session stays, and that no other does.
   */
  async renew(
    userId: string,
    renewal: Renewal,
    origin: Origin,
    o: { stays?: ActiveSession; follows?: (draft: PendingDraft) => Promise<unknown> } = {},
  ): Promise<UserRow | null> {
    const { stays, follows } = o;
    const user = await this.accounts.renew(userId, renewal, origin, follows);
    if (!user) return null;
    try {
      if (stays) await this.sessions.update(stays, { ...stays.record, epoch: user.sessionEpoch });
      await this.sessions.endAll(userId, stays?.record.sessionId);
    } catch (err) {
      this.logger.warn({ userId, err }, 'ended sessions are still in Redis; the account refuses them');
    }
    return user;
  }
}
