import { Inject, Injectable } from '@nestjs/common';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { AddressLimiter, Limiter, refuseAfter } from '../redis/limiter.js';
import { RedisStore } from '../redis/redis.js';
import { Keys } from '../store/keys.js';

const HOUR_SECONDS = 3_600;

/** Bounds what anybody can set off without a password, in an hour. Never tells whether an account exists. */
@Injectable()
export class RequestThrottle {
  private readonly mails: Limiter;
  private readonly logins: Limiter;
  private readonly byAddress: Record<'anonymous' | 'registration', AddressLimiter>;

  constructor(redis: RedisStore, keys: Keys, @Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    const anHour = (points: number) => ({ points, seconds: HOUR_SECONDS });
    this.mails = new Limiter(redis, keys, 'ask-mail_of_account', anHour(config.MAILS_PER_ACCOUNT_PER_HOUR));
    this.logins = new Limiter(redis, keys, 'ask-login_of_account', anHour(config.LOGINS_PER_ACCOUNT_PER_HOUR));
    this.byAddress = {
      anonymous: new AddressLimiter(redis, keys, 'ask-anonymous', anHour(config.ANONYMOUS_REQUESTS_PER_HOUR)),
      registration: new AddressLimiter(redis, keys, 'ask-registration', anHour(config.REGISTRATIONS_PER_HOUR)),
    };
  }

  /** `anonymous`: requests by people without a session, and wrong tokens of mailed links. */
  async take(scope: 'anonymous' | 'registration', address: string | undefined): Promise<void> {
    refuseAfter((await this.byAddress[scope].take(address)).refusedMs);
  }

  /** Mails that one account can be made to send: verification, reset, change of address. */
  async takeMail(userId: string): Promise<void> {
    refuseAfter((await this.mails.take(userId)).refusedMs);
  }

  /** Logins that succeed: a bound of the sessions and events that one right password makes. */
  async takeLogin(userId: string): Promise<void> {
    refuseAfter((await this.logins.take(userId)).refusedMs);
  }

  /** As `takeMail`, where a refusal must not show. `kind`: mails that are counted by themselves. */
  async mayMail(userId: string, kind?: 'login_link'): Promise<boolean> {
    return (await this.mails.take(kind ? `${userId} ${kind}` : userId)).refusedMs === null;
  }
}
