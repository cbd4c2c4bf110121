import { Injectable } from '@nestjs/common';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { Problem } from '../http/problem.js';
import { Keys } from '../store/keys.js';
import { RedisStore } from '../redis/redis.js';

const WINDOW_SECONDS = 15 * 60;
/** Tries in a window. Successes are given back, so only failures count. */
const TRIES = { pair: 10, account: 50, address: 100 } as const;
type Scope = keyof typeof TRIES;
const SCOPES = Object.keys(TRIES) as Scope[];

/**
 * Slows guessing of passwords: by account and address together, by account, by address. An account is throttled, never
 * locked (CWE-645): the pair is the tight limit, so a stranger's tries do not keep the owner out.
 */
@Injectable()
export class LoginThrottle {
  private readonly limiters: Record<Scope, RateLimiterRedis>;

  constructor(
    private readonly redis: RedisStore,
    private readonly keys: Keys,
  ) {
    const limiter = (scope: Scope): RateLimiterRedis =>
      new RateLimiterRedis({
        storeClient: redis.client,
        keyPrefix: `login-${scope}`,
        points: TRIES[scope],
        duration: WINDOW_SECONDS,
      });
    this.limiters = { pair: limiter('pair'), account: limiter('account'), address: limiter('address') };
  }

  /** Counts a try before it is checked, so that parallel tries cannot slip through. */
  async take(email: string, address: string): Promise<void> {
    for (const [scope, key] of this.scopes(email, address)) {
      const refusal = await this.redis.ask(() => consume(this.limiters[scope], key));
      if (refusal) throw new Problem('too_many_requests', { retryAfterSeconds: refusal.msBeforeNext / 1000 });
    }
  }

  async giveBack(email: string, address: string): Promise<void> {
    for (const [scope, key] of this.scopes(email, address)) {
      await this.redis.ask(() => this.limiters[scope].reward(key));
    }
  }

  private scopes(email: string, address: string): [Scope, string][] {
    const account = this.keys.mac('address', email).toString('base64url');
    const key: Record<Scope, string> = { pair: `${account}:${address}`, account, address };
    return SCOPES.map((scope) => [scope, key[scope]]);
  }
}

/** The library rejects with a value for "no" and with an Error for "cannot say". */
async function consume(limiter: RateLimiterRedis, key: string): Promise<RateLimiterRes | null> {
  try {
    await limiter.consume(key);
    return null;
  } catch (rejected) {
    if (rejected instanceof RateLimiterRes) return rejected;
    throw rejected;
  }
}
