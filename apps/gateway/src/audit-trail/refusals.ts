import { Injectable } from '@nestjs/common';
import type { EventReason, Origin } from '#contracts';
import { Problem } from '../http/problem.js';
import { SystemOutbox } from './system-outbox.js';

/** What was given and not taken. `password` and `client_secret` are those of a login, which has an event type of its own. */
type Credential =
  'password' | 'client_secret' | 'current_password' | 'recovery_code' | 'mailed_link' | 'session' | 'client_token';
type Why = Extract<EventReason, 'wrong_credential' | 'throttled' | 'account_barred'>;

/** Every credential that was refused, in one place: counted by kind, person and minute, and never in a guard's outbox. */
@Injectable()
export class Refusals {
  constructor(private readonly outbox: SystemOutbox) {}

  /** `userId`: null where nobody can be said to be meant. `link`: which mailed link. */
  record(
    credential: Credential,
    reason: Why,
    o: { userId: string | null; origin: Origin; clientId?: string | undefined; link?: string },
  ): void {
    const { link, clientId, ...whose } = o;
    const isLogin = credential === 'password' || credential === 'client_secret';
    this.outbox.record({
      ...whose,
      type: isLogin ? 'login_failed' : 'credential_refused',
      reason,
      ...(clientId === undefined ? {} : { clientId }),
      ...(isLogin ? {} : { detail: { credential, ...(link === undefined ? {} : { link }) } }),
    });
  }

  /** A mailed link that is not taken, to be thrown. `found`: whose it was, when it came too late: the account has moved on. */
  ofLink(link: string, found: { userId: string } | null, origin: Origin): Problem {
    this.record('mailed_link', 'wrong_credential', { userId: found?.userId ?? null, origin, link });
    return new Problem('token_invalid');
  }
}

/** Tells of a refusal by a throttle, and passes it on. */
export async function recordThrottled(taken: Promise<void>, record: () => void): Promise<void> {
  try {
    await taken;
  } catch (error) {
    if (error instanceof Problem && error.code === 'too_many_requests') record();
    throw error;
  }
}
