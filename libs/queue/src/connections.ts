import { Redis, type RedisOptions } from 'ioredis';
import { TransportDownError } from './errors.js';
import { withinRunTime } from './run-time.js';

/** Longest a request waits for Redis: begin must answer 503 within a second. */
const COMMAND_TIMEOUT_MS = 800;
const BOOT_TIMEOUT_MS = 10_000;
const WRITE_KEY = 'countersign:write-test';
const WRITE_TTL_SECONDS = 60;

/**
 * Errors by which a Redis says that it is not, or not yet, the server to ask: after a failover the old one stays reachable
 * as a replica that refuses writes. A new connection leads to whoever has taken its place. A script wraps the same words.
 */
const WRONG_SERVER = /(^|-)(READONLY|LOADING|MASTERDOWN|UNBLOCKED|CLUSTERDOWN)\b/;

/** Whether an answer means that the connection must be made anew; for every connection to Redis there is. */
export const isWrongServer = (error: Error): boolean => WRONG_SERVER.test(error.message);

const reconnect = (times: number): number => Math.min(times * 100, 1_000);

/** For whoever asks and must not wait: fails fast while Redis is away, reconnects by itself. */
export function askingConnection(url: string): Redis {
  return open(url, {
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    connectTimeout: COMMAND_TIMEOUT_MS,
    lazyConnect: true,
  });
}

/** For workers: waits for Redis as long as it takes (BullMQ asks for it). */
export function waitingConnection(url: string): Redis {
  return open(url, { maxRetriesPerRequest: null, lazyConnect: true });
}

/**
 * The copies that others make of this connection from now on, as they come: a worker of BullMQ has one to wait with, and
 * ends it only if Redis answers.
 */
export function copiesOf(connection: Redis): readonly Redis[] {
  const copies: Redis[] = [];
  const duplicate = connection.duplicate.bind(connection);
  connection.duplicate = (override) => {
    const copy = duplicate(override);
    copies.push(copy);
    return copy;
  };
  return copies;
}

/**
 * Opens a connection at boot. One that is refused or cut at first is tried again: a pod that starts beside its Redis
 * must not depend on who is first.
 *
 * @throws TransportDownError after 10 s.
 */
export async function connect(redis: Redis): Promise<void> {
  const ready = new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new TransportDownError('Redis does not answer')), BOOT_TIMEOUT_MS);
    redis.once('ready', () => {
      clearTimeout(late);
      resolve();
    });
    redis.once('end', () => {
      clearTimeout(late);
      reject(new TransportDownError('the connection was closed'));
    });
  });
  // Its own failure is one of possibly several; `ready` or the time decides.
  redis.connect().catch(() => undefined);
  await ready;
}

/**
 * Asks a Redis whether it takes writes at this moment. A replica, a full one, one that cannot save or that misses its
 * replicas answers PING all the same. On a connection that is only read from otherwise, it is also what notices that
 * another server has become the master (`isWrongServer`).
 */
export async function tryWrite(redis: Redis): Promise<void> {
  await redis.set(WRITE_KEY, '1', 'EX', WRITE_TTL_SECONDS);
}

/**
 * Asks Redis, and turns every error of the driver into one that says what it means. Not the driver's own `commandTimeout`:
 * that one gives up on answers which have come while the process was held up (see `withinRunTime`).
 *
 * @throws TransportDownError also after `timeoutMs` without an answer.
 */
export async function asking<T>(command: () => Promise<T>, timeoutMs = COMMAND_TIMEOUT_MS): Promise<T> {
  try {
    return await withinRunTime(command(), timeoutMs, () => new Error(`no answer for ${timeoutMs} ms`));
  } catch (cause) {
    throw new TransportDownError('Redis does not answer', { cause });
  }
}

function open(url: string, options: RedisOptions): Redis {
  const redis = new Redis(url, { ...options, retryStrategy: reconnect, reconnectOnError: isWrongServer });
  // Every failed command reports its own error; without a listener the connection's own errors end the process.
  redis.on('error', () => undefined);
  return redis;
}
