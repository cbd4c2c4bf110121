import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { clientNetworksOf } from '#contracts';
import { Problem } from '../http/problem.js';
import type { Keys } from '../store/keys.js';
import type { RedisStore } from './redis.js';

interface Budget {
  points: number;
  seconds: number;
}

interface Taken {
  /** How many there are now, this one included. */
  count: number;
  /** Over the limit: milliseconds until the window ends. */
  refusedMs: number | null;
}

/**
 * A count with an end, in Redis: so many in a window that begins with the first. The only place that counts so. What is
 * counted stands there as a keyed digest: neither addresses nor accounts can be read out of it.
 */
export class Limiter {
  private readonly counts: RateLimiterRedis;

  constructor(
    private readonly redis: RedisStore,
    private readonly keys: Keys,
    name: string,
    private readonly budget: Budget,
  ) {
    const { points, seconds } = budget;
    this.counts = new RateLimiterRedis({ storeClient: redis.client, keyPrefix: name, points, duration: seconds });
  }

  /** Counts one, also when it is refused. */
  take(of: string): Promise<Taken> {
    return this.redis.ask(async () => {
      try {
        return { count: (await this.counts.consume(this.keyOf(of))).consumedPoints, refusedMs: null };
      } catch (rejected) {
        // The library rejects with a value for "no" and with an Error for "cannot say".
        if (rejected instanceof RateLimiterRes)
          return { count: rejected.consumedPoints, refusedMs: rejected.msBeforeNext };
        throw rejected;
      }
    });
  }

  /** Takes one back that turned out not to count. */
  async giveBack(of: string): Promise<void> {
    await this.redis.ask(() => this.counts.reward(this.keyOf(of)));
  }

  /** Forgets what was counted; false where nothing was. */
  forget(of: string): Promise<boolean> {
    return this.redis.ask(() => this.counts.delete(this.keyOf(of)));
  }

  /** The same answer as of one who takes too many; counts nothing. */
  async refusedMs(of: string): Promise<number | null> {
    const so = await this.redis.ask(() => this.counts.get(this.keyOf(of)));
    return so && so.consumedPoints > this.budget.points ? so.msBeforeNext : null;
  }

  private keyOf(of: string): string {
    return this.keys.mac('address', of).toString('base64url');
  }
}

/** A site has many networks; one customer may have all of them. */
const SITE_FACTOR = 4;

/** The same by address: an IPv4 address or the /64 of an IPv6 address, and beside it the /48 with four times as much. */
export class AddressLimiter {
  private readonly network: Limiter;
  private readonly site: Limiter;

  constructor(redis: RedisStore, keys: Keys, name: string, { points, seconds }: Budget) {
    this.network = new Limiter(redis, keys, name, { points, seconds });
    this.site = new Limiter(redis, keys, `${name}-site`, { points: points * SITE_FACTOR, seconds });
  }

  /** `about`: what is counted by itself for each address, an account for instance. */
  async take(address: string | undefined, about = ''): Promise<Taken> {
    const { network, site } = clientNetworksOf(address);
    const taken = await this.network.take(about + network);
    if (taken.refusedMs !== null || site === null) return taken;
    return { ...taken, refusedMs: (await this.site.take(about + site)).refusedMs };
  }

  async giveBack(address: string | undefined, about = ''): Promise<void> {
    const { network, site } = clientNetworksOf(address);
    await this.network.giveBack(about + network);
    if (site !== null) await this.site.giveBack(about + site);
  }

  /** What was counted of its network; false where nothing was. The site gets one back. */
  async forget(address: string | undefined, about = ''): Promise<boolean> {
    const { network, site } = clientNetworksOf(address);
    if (site !== null) await this.site.giveBack(about + site);
    return this.network.forget(about + network);
  }

  async refusedMs(address: string | undefined): Promise<number | null> {
    const { network, site } = clientNetworksOf(address);
    return (await this.network.refusedMs(network)) ?? (site === null ? null : this.site.refusedMs(site));
  }
}

/** The answer to who is over a limit. */
export function refuseAfter(refusedMs: number | null): void {
  if (refusedMs !== null) throw new Problem('too_many_requests', { retryAfterSeconds: refusedMs / 1_000 });
}
