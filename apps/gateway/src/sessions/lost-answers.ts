import { Inject, Injectable } from '@nestjs/common';
import { isSessionOf, UserRepository } from '#accounts';
import type { GuardStore } from '#guard';
import { GUARD } from '../face/guard.module.js';
import { type ActiveSession, type RotatedBy, SessionService } from './session.service.js';

/**
 * An answer that held a new token and was lost on its way: the same request with the same old token gets it again, until
 * the new token is used, for a minute. Otherwise the old token is as dead as any.
 */
@Injectable()
export class LostAnswers {
  constructor(
    private readonly sessions: SessionService,
    private readonly users: UserRepository,
    @Inject(GUARD) private readonly guard: GuardStore,
  ) {}

  /** Null unless account and guard are as they were: credentials renewed, a lock, a disabled account end it. */
  async find(token: string, by: RotatedBy): Promise<ActiveSession | null> {
    const session = await this.sessions.rotated(token, by);
    if (!session) return null;
    const { userId } = session.record;
    const [user, face] = await Promise.all([this.users.findById(userId), this.guard.summary(userId)]);
    const stands = user && isSessionOf(user, session.record) && face?.state === 'active';
    return stands && face.lockEpoch === session.lockEpoch ? session : null;
  }
}
