import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { redisServer } from '#config';
import type { QueueName } from '#contracts';
import { asking, askingConnection } from './connections.js';

export interface RedisFacts {
  server: 'redis' | 'valkey';
  /** The server's own, as `INFO` names it: 8.0.6. */
  version: string;
  /** `noeviction` and others; null where the server does not tell. */
  evictionPolicy: string | null;
  /** Whether it writes what it holds to disk. */
  persists: boolean;
  now: Date;
}

const TIMEOUT_MS = 3_000;

/** What an operator's check wants to know of a server. Rejects when it does not answer. */
export async function inspectRedis(url: string): Promise<RedisFacts> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: TIMEOUT_MS,
    commandTimeout: TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    const info = await redis.info();
    const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
    const [seconds] = await redis.time();
    // A provider may have taken CONFIG away: then only what INFO says is known.
    const saves = await redis.config('GET', 'save').then(
      (answer) => answer[1] !== '',
      () => false,
    );
    return {
      ...redisServer(info),
      evictionPolicy: field('maxmemory_policy') ?? null,
      persists: field('aof_enabled') === '1' || saves,
      now: new Date(Number(seconds) * 1_000),
    };
  } finally {
    redis.disconnect();
  }
}

/** How many processes take jobs of this queue at this moment. */
export async function countWorkers(redisUrl: string, queue: QueueName): Promise<number> {
  const redis = askingConnection(redisUrl);
  try {
    await redis.connect();
    const jobs = new Queue(queue, { connection: redis, skipVersionCheck: true, skipMetasUpdate: true });
    jobs.on('error', () => undefined);
    const clients = await asking(() => jobs.getWorkers(), TIMEOUT_MS);
    // Redis lists the clients of all its numbered databases.
    return clients.filter((client) => client.db === String(redis.options.db ?? 0)).length;
  } finally {
    redis.disconnect();
  }
}
