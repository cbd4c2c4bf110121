import { withinRunTime } from '#queue';

export interface Limits {
  /** Longest that a request waits for one operation, milliseconds. */
  waitMs: number;
  /** Whether indexes are made from here; else they are there already, and asking for one does nothing. */
  makesIndexes: boolean;
}

/** May take as long as a large collection needs, and only at the start. */
const INDEXING = ['createIndex', 'createIndexes'];

/** MongoDB did not answer in time. Whether a write was made is not known: every one of ours may be repeated. */
export class MongoTimeLimitError extends Error {
  override name = 'MongoTimeLimitError';
}

/**
 * A database, collection or cursor of the driver whose operations are waited for no longer than that: what comes
 * then is 503. The driver's own limits are one for each try and each connection: with a server that hangs they add up
 * to twice that.
 */
export function bounded<T extends object>(target: T, limits: Limits): T {
  return new Proxy(target, {
    get: (on, name) => {
      const value: unknown = Reflect.get(on, name, on);
      if (typeof value !== 'function') return value;
      if (INDEXING.includes(String(name))) return limits.makesIndexes ? value : leftAlone;
      return (...args: unknown[]): unknown => {
        const result: unknown = Reflect.apply(value, on, args);
        if (result instanceof Promise) return inTime(result, limits.waitMs);
        return isOfTheDriver(result) ? bounded(result, limits) : result;
      };
    },
  });
}

const leftAlone = (): Promise<void> => Promise.resolve();

/** Collections and cursors, by what they can do. */
const isOfTheDriver = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && ('findOneAndUpdate' in value || 'toArray' in value);

const inTime = <T>(operation: Promise<T>, waitMs: number): Promise<T> =>
  withinRunTime(operation, waitMs, () => new MongoTimeLimitError('MongoDB does not answer in time'));
