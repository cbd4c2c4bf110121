import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectModel } from '@nestjs/mongoose';
import type { Model, QueryFilter } from 'mongoose';
import type { AuditEvent, EventType } from '#contracts';
import { EVENT_DAY_MODEL, EVENT_MODEL, type StoredEvent } from './event.schema.js';
import { dayOf, type Position, type Window } from './paging.js';

const MAX_TIME_MS = 2_000;
const DUPLICATE_KEY = 11_000;
const DURABLE = { w: 'majority', j: true } as const;

export interface EventFilter {
  type?: EventType;
  userId?: string;
}

@Injectable()
export class EventsRepository implements OnModuleInit {
  private readonly knownDays = new Set<string>();

  constructor(
    @InjectModel(EVENT_MODEL) private readonly events: Model<StoredEvent>,
    @InjectModel(EVENT_DAY_MODEL) private readonly days: Model<{ _id: string }>,
  ) {}

  /** The unique index is what makes a repeat harmless: nothing may be stored before it stands. */
  async onModuleInit(): Promise<void> {
    await Promise.all([this.events.init(), this.days.init()]);
  }

  /** Stores what is not stored yet. Returns after the majority has it on disk; an event stored before is no error. */
  async insert(events: AuditEvent[]): Promise<void> {
    if (events.length === 0) return;
    const rows = events.map((event): StoredEvent => ({ ...event, day: dayOf(event.timestamp) }));
    // The day first: a reader who finds a day empty loses nothing, an event on a day he does not know is invisible.
    await this.noteDays(rows.map((row) => row.day));
    // The driver's own insertMany: mongoose's, unordered, leaves out without a word what does not fit its schema.
    await ignoringDuplicates(() =>
      this.events.collection.insertMany(rows, { ordered: false, ignoreUndefined: true, writeConcern: DURABLE }),
    );
  }

  /** One day's events, newest first. */
  async readDay(
    day: string,
    filter: EventFilter,
    o: { window: Window; after: Position | null; limit: number; withSimilarity: boolean },
  ): Promise<StoredEvent[]> {
    return this.read({ day: { $eq: day }, ...equal(filter) }, o);
  }

  /** One user's events, newest first: few enough to be a bucket of their own. */
  async readUser(
    filter: EventFilter & { userId: string },
    o: { window: Window; after: Position | null; limit: number; withSimilarity: boolean },
  ): Promise<StoredEvent[]> {
    return this.read(equal(filter), o);
  }

  async listDays(first: string, last: string | null): Promise<string[]> {
    const rows = await this.days
      .find({ _id: { $gte: first, ...(last === null ? {} : { $lte: last }) } })
      .sort({ _id: -1 })
      .maxTimeMS(MAX_TIME_MS)
      .lean();
    return rows.map((row) => row._id);
  }

  /** Takes from a user's events all that says something about the person; that they happened stays. */
  async strip(userId: string): Promise<void> {
    await this.events.collection.updateMany(
      { userId, erased: { $ne: true } },
      { $unset: { ipAddress: '', deviceModel: '', sessionId: '', similarity: '' }, $set: { erased: true } },
    );
  }

  private async read(
    filter: QueryFilter<StoredEvent>,
    o: { window: Window; after: Position | null; limit: number; withSimilarity: boolean },
  ): Promise<StoredEvent[]> {
    const { window, after } = o;
    const within = { $gte: window.from, ...(window.to ? { $lte: window.to } : {}) };
    const older = after && [
      { timestamp: { $lt: after.timestamp } },
      { timestamp: { $eq: after.timestamp }, eventId: { $lt: after.eventId } },
    ];
    return this.events
      .find({ ...filter, timestamp: within, ...(older ? { $or: older } : {}) })
      .select(o.withSimilarity ? { _id: 0 } : { _id: 0, similarity: 0 })
      .sort({ timestamp: -1, eventId: -1 })
      .limit(o.limit)
      .maxTimeMS(MAX_TIME_MS)
      .lean<StoredEvent[]>();
  }

  private async noteDays(days: string[]): Promise<void> {
    const unknown = [...new Set(days)].filter((day) => !this.knownDays.has(day));
    for (const day of unknown) {
      await ignoringDuplicates(() =>
        this.days.db
          .collection<{ _id: string }>(this.days.collection.name)
          .updateOne({ _id: day }, { $set: { _id: day } }, { upsert: true, writeConcern: DURABLE }),
      );
      this.knownDays.add(day);
    }
  }
}

/** `$eq` spelled out: a filter value can then never be read as an operator. */
const equal = (filter: EventFilter): QueryFilter<StoredEvent> => ({
  ...(filter.type === undefined ? {} : { type: { $eq: filter.type } }),
  ...(filter.userId === undefined ? {} : { userId: { $eq: filter.userId } }),
});

async function ignoringDuplicates(write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!isDuplicateOnly(error)) throw error;
  }
}

/** True only if duplicates are all that went wrong: a write concern that was not met means that nothing is safe yet. */
function isDuplicateOnly(error: unknown): boolean {
  const { code, writeErrors, result } = error as {
    code?: unknown;
    writeErrors?: { code?: unknown }[] | { code?: unknown };
    result?: { getWriteConcernError?: () => unknown };
  };
  if (result?.getWriteConcernError?.()) return false;
  const errors = writeErrors === undefined ? [] : [writeErrors].flat();
  return errors.length > 0 ? errors.every((e) => e.code === DUPLICATE_KEY) : code === DUPLICATE_KEY;
}
