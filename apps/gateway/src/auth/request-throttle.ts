import { Inject, Injectable } from '@nestjs/common';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { Problem } from '../http/problem.js';
import { RedisStore } from '../redis/redis.js';
import { Keys } from '../store/keys.js';

const HOUR_SECONDS = 3_600;

/** What can be asked for how often in an hour. */
const PER_HOUR = {
  /** Mails that one account can be made to send: verification, reset, change of address. */
  mail_of_account: 5,
  /** Requests by people without a session, and tries of mailed links, from one address. */
  anonymous: 100,
} as const;

type Scope = keyof typeof PER_HOUR | 'registration';

/** Bounds what anybody can set off without a password. Never tells whether an account exists. */
@Injectable()
export class RequestThrottle {
  private readonly limiters: Record<Scope, RateLimiterRedis>;

  constructor(
    private readonly redis: RedisStore,
    private readonly keys: Keys,
    @Inject(GATEWAY_CONFIG) config: GatewayConfig,
  ) {
    const limiter = (scope: Scope, points: number): RateLimiterRedis =>
      new RateLimiterRedis({ storeClient: redis.client, keyPrefix: `ask-${scope}`, points, duration: HOUR_SECONDS });
    this.limiters = {
      mail_of_account: limiter('mail_of_account', PER_HOUR.mail_of_account),
      anonymous: limiter('anonymous', PER_HOUR.anonymous),
      registration: limiter('registration', config.REGISTRATIONS_PER_HOUR),
    };
  }

  async take(scope: Scope, of: string): Promise<void> {
    const msBeforeNext = await this.refusal(scope, of);
    if (msBeforeNext !== null) throw new Problem('too_many_requests', { retryAfterSeconds: msBeforeNext / 1_000 });
  }

  /** The same where a refusal must not show. */
  async mayTake(scope: Scope, of: string): Promise<boolean> {
    return (await this.refusal(scope, of)) === null;
  }

  private refusal(scope: Scope, of: string): Promise<number | null> {
    const key = this.keys.mac('address', of).toString('base64url');
    return this.redis.ask(async () => {
      try {
        await this.limiters[scope].consume(key);
        return null;
      } catch (rejected) {
        if (rejected instanceof RateLimiterRes) return rejected.msBeforeNext;
        throw rejected;
      }
    });
  }
}
