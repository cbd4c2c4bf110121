import { Redis } from 'ioredis';
import { servicesOfTestRun, withRedisDatabase } from '#stack';

const CLAIMED = 'test-run:databases-claimed';
const AN_HOUR_S = 3_600;

/**
 * The number of a database that nobody else in this test run has, on either of its Redis servers. Test files run side
 * by side, and a worker takes the jobs of everybody whose database it shares.
 *
 * @throws Error when a Redis that was given (`REDIS_URL`) has fewer databases than a run needs.
 */
export async function claimRedisDatabase(): Promise<number> {
  const redis = new Redis(servicesOfTestRun().redisUrl);
  try {
    const number = await redis.incr(CLAIMED);
    // Where the server outlives the run, numbers start over.
    await redis.expire(CLAIMED, AN_HOUR_S);
    const [, databases] = (await redis.config('GET', 'databases')) as [string, string];
    if (number >= Number(databases)) throw new Error(`tests need more than the ${databases} databases of this Redis`);
    return number;
  } finally {
    redis.disconnect();
  }
}

/** The first Redis of the test run, with a database of one's own. */
export async function ownRedisUrl(): Promise<string> {
  return withRedisDatabase(servicesOfTestRun().redisUrl, await claimRedisDatabase());
}
