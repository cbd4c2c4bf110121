import type { ServerPolicy } from '#config';
import type { JobName } from '#contracts';

export const QUEUE_OPTIONS = Symbol('queue options');

export interface QueueModuleOptions {
  redisUrl: string;
  /** An instance without persistence; in development it may be the same one. */
  blobUrl: string;
  /** The jobs this process handles: exactly one handler each, or the process does not start. */
  consumes: readonly JobName[];
  /** Jobs in work at the same time, per queue. */
  concurrency: number;
  /** What to do about a Redis without the fixes it should have; default: a line in the log. */
  oldServer?: ServerPolicy;
}
