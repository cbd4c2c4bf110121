import type { mongo } from 'mongoose';
import { add, field, lte } from './expressions.js';
import { databaseClock, type GuardClock, nowFilter, OPERATION_MS, set, WRITE_CONCERN } from './pipeline.js';
import type { GuardDocument } from './types.js';

/** Far longer than a registration takes between its guard and its account. */
const ALONE_MS = 10 * 60_000;
const WRITE = { writeConcern: WRITE_CONCERN, maxTimeMS: OPERATION_MS } as const;

/**
 * Rule 1: guards that a registration made and whose account nobody has seen yet. How long one is alone counts from when
 * that was first noticed, by the database's clock: no process's own clock can make a young one look old.
 */
export interface NewGuards {
  find(limit: number, except: readonly string[]): Promise<string[]>;
  /** Their accounts are there; they are not found again. */
  confirm(userIds: readonly string[]): Promise<void>;
  /** Notes that they have none. Returns those who have been so for ten minutes, whose outbox is empty. */
  leaveAlone(userIds: readonly string[]): Promise<{ userId: string; since: Date }[]>;
  /** Only if it is still as it was returned. */
  remove(userId: string): Promise<boolean>;
}

export function createNewGuards(o: { collection: mongo.Collection<GuardDocument>; clock?: GuardClock }): NewGuards {
  const { collection: guards, clock = databaseClock } = o;
  const isOld = {
    isNew: true as const,
    hasOutbox: false,
    reservation: null,
    aloneSince: { $exists: true },
    ...nowFilter(clock, (now) => lte(add(field('aloneSince'), ALONE_MS), now)),
  };
  return {
    async find(limit, except) {
      const found = guards.find(
        { isNew: true, _id: { $nin: [...except] } },
        { projection: { _id: 1 }, maxTimeMS: OPERATION_MS },
      );
      return (await found.limit(limit).toArray()).map((guard) => guard._id);
    },
    async confirm(userIds) {
      await guards.updateMany({ _id: { $in: [...userIds] } }, { $unset: { isNew: '', aloneSince: '' } }, WRITE);
    },
    async leaveAlone(userIds) {
      const these = { _id: { $in: [...userIds] } };
      const unnoticed = { ...these, isNew: true as const, aloneSince: { $exists: false } };
      await guards.updateMany(unnoticed, [set({ aloneSince: clock.now() })], WRITE);
      const old = guards.find({ ...these, ...isOld }, { projection: { aloneSince: 1 }, maxTimeMS: OPERATION_MS });
      return (await old.toArray()).flatMap(({ _id, aloneSince }) =>
        aloneSince ? [{ userId: _id, since: aloneSince }] : [],
      );
    },
    async remove(userId) {
      const { deletedCount } = await guards.deleteOne({ _id: { $eq: userId }, ...isOld }, WRITE);
      return deletedCount === 1;
    },
  };
}
