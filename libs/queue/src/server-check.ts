import type { Redis } from 'ioredis';
import { checkServer, ConfigError, redisServer, type ServerPolicy } from '#config';
import type { AppLogger } from '#observability';
import { asking } from './connections.js';
import type { QueueModuleOptions } from './options.js';

/**
 * What a process refuses to start on: an old Redis (production), and one that throws away what it holds when it is full:
 * it would lose jobs, sessions and frames without a word.
 *
 * @throws ConfigError
 */
export async function checkRedis(
  redis: Redis,
  variable: 'REDIS_URL' | 'REDIS_BLOB_URL',
  { oldServer }: QueueModuleOptions,
  logger: AppLogger,
): Promise<void> {
  try {
    const warning = judge(await asking(() => redis.info()), variable, oldServer ?? 'warn');
    if (warning) logger.warn({ state: 'old_redis' }, warning);
  } catch (error) {
    // Whoever refuses to start leaves no connection open.
    redis.disconnect();
    throw error;
  }
}

function judge(info: string, variable: string, policyOfOld: ServerPolicy): string | null {
  const read = (name: string): string => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? '';
  const policy = read('maxmemory_policy');
  if (policy !== '' && policy !== 'noeviction')
    throw new ConfigError([{ variable, must: 'must name a Redis with maxmemory-policy noeviction: a full one may refuse, but not forget' }]); // prettier-ignore
  const { server, version } = redisServer(info);
  return checkServer(server, version, policyOfOld);
}
