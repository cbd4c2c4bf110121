import { Inject, Injectable } from '@nestjs/common';
import type { UserRow } from '#accounts';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { AddressLimiter, Limiter, refuseAfter } from '../redis/limiter.js';
import { RedisStore } from '../redis/redis.js';
import { Keys } from '../store/keys.js';

const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 24 * HOUR_SECONDS;

/**
 * Who can set off mails to a person: anybody (a reset, a link for one login), or a session. Each has three tenths of what
 * a person may get, so that none takes the others' way, and a tenth is left for who begins anew after a reset.
 */
type MailShare = 'reset' | 'login_link' | 'session';
const SHARE = 0.3;
/** Of logins from a new device or network; who is told of three in an hour knows. */
const LOGIN_MAILS = { perHour: 3, perDay: 10 };

/** Bounds what anybody can set off without a password, in an hour. Never tells whether an account exists. */
@Injectable()
export class RequestThrottle {
  private readonly mails: readonly { share: Limiter; all: Limiter }[];
  private readonly logins: Limiter;
  private readonly loginMails: readonly Limiter[];
  private readonly byAddress: Record<'anonymous' | 'registration', AddressLimiter>;

  constructor(redis: RedisStore, keys: Keys, @Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    const anHour = (points: number) => ({ points, seconds: HOUR_SECONDS });
    const mails = (name: string, points: number, seconds: number) => ({
      share: new Limiter(redis, keys, `ask-mail_share_${name}`, { points: Math.ceil(points * SHARE), seconds }),
      all: new Limiter(redis, keys, `ask-mail_${name}`, { points, seconds }),
    });
    this.mails = [
      mails('hour', config.MAILS_PER_ACCOUNT_PER_HOUR, HOUR_SECONDS),
      mails('day', config.MAILS_PER_ACCOUNT_PER_DAY, DAY_SECONDS),
    ];
    this.logins = new Limiter(redis, keys, 'ask-login_of_account', anHour(config.LOGINS_PER_ACCOUNT_PER_HOUR));
    this.loginMails = [
      new Limiter(redis, keys, 'tell-login_hour', { points: LOGIN_MAILS.perHour, seconds: HOUR_SECONDS }),
      new Limiter(redis, keys, 'tell-login_day', { points: LOGIN_MAILS.perDay, seconds: DAY_SECONDS }),
    ];
    this.byAddress = {
      anonymous: new AddressLimiter(redis, keys, 'ask-anonymous', anHour(config.ANONYMOUS_REQUESTS_PER_HOUR)),
      registration: new AddressLimiter(redis, keys, 'ask-registration', anHour(config.REGISTRATIONS_PER_HOUR)),
    };
  }

  /** `anonymous`: requests by people without a session, and wrong tokens of mailed links. */
  async take(scope: 'anonymous' | 'registration', address: string | undefined): Promise<void> {
    refuseAfter((await this.byAddress[scope].take(address)).refusedMs);
  }

  /** Mails that are asked for in a session: a verification, a change of address, a recovery code. */
  async takeMail(user: Pick<UserRow, '_id' | 'recoveryGeneration'>): Promise<void> {
    refuseAfter(await this.refusedMail(user._id, 'session', ` ${user.recoveryGeneration}`));
  }

  /** Logins that succeed: a bound of the sessions and events that one right password makes. */
  async takeLogin(userId: string): Promise<void> {
    refuseAfter((await this.logins.take(userId)).refusedMs);
  }

  /** Mails of logins from elsewhere: a right password and many addresses must not fill a mailbox. */
  async mayTellOfLogin(userId: string): Promise<boolean> {
    for (const limiter of this.loginMails) if ((await limiter.take(userId)).refusedMs !== null) return false;
    return true;
  }

  /** Mails that anybody can ask for: a refusal must not show. */
  async mayMail(userId: string, share: Exclude<MailShare, 'session'>): Promise<boolean> {
    return (await this.refusedMail(userId, share)) === null;
  }

  /** Security notices are not asked for, and do not count here. What its share refuses takes nothing of the whole. */
  private async refusedMail(userId: string, share: MailShare, generation = ''): Promise<number | null> {
    for (const window of this.mails) {
      const { refusedMs } = await window.share.take(`${userId} ${share}${generation}`);
      if (refusedMs !== null) return refusedMs;
    }
    for (const window of this.mails) {
      const { refusedMs } = await window.all.take(userId);
      if (refusedMs !== null) return refusedMs;
    }
    return null;
  }
}
