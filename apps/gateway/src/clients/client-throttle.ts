import { Injectable } from '@nestjs/common';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { Problem } from '../http/problem.js';
import { RedisStore } from '../redis/redis.js';

/** Wrong credentials from one address in a quarter of an hour. Right ones are not counted. */
const WRONG = { points: 20, duration: 15 * 60 } as const;
/** Questions of one client in ten seconds: a backend asks once a request, a loop that ran wild much more often. */
const ASKED = { points: 5_000, duration: 10 } as const;

/** Slows guessing of client secrets by address, never by client, whom a stranger could shut out. Bounds what one client asks. */
@Injectable()
export class ClientThrottle {
  private readonly wrong: RateLimiterRedis;
  private readonly asked: RateLimiterRedis;

  constructor(private readonly redis: RedisStore) {
    this.wrong = new RateLimiterRedis({ storeClient: redis.client, keyPrefix: 'client-wrong', ...WRONG });
    this.asked = new RateLimiterRedis({ storeClient: redis.client, keyPrefix: 'client-asked', ...ASKED });
  }

  async assertMayTry(address: string): Promise<void> {
    const so = await this.redis.ask(() => this.wrong.get(address));
    if (so && so.consumedPoints >= WRONG.points) throw tooMany(so);
  }

  async countWrong(address: string): Promise<void> {
    await this.redis.ask(() => this.wrong.penalty(address));
  }

  async countAsked(clientId: string): Promise<void> {
    const refusal = await this.redis.ask(async () => {
      try {
        await this.asked.consume(clientId);
        return null;
      } catch (rejected) {
        if (rejected instanceof RateLimiterRes) return rejected;
        throw rejected;
      }
    });
    if (refusal) throw tooMany(refusal);
  }
}

const tooMany = ({ msBeforeNext }: RateLimiterRes): Problem =>
  new Problem('too_many_requests', { retryAfterSeconds: msBeforeNext / 1000 });
