import { Injectable } from '@nestjs/common';
import { InjectModel } from '@nestjs/mongoose';
import type { Model, QueryFilter } from 'mongoose';
import type { StoredEntry } from '#audit-log';
import type { EventType } from '#contracts';
import { ENTRY_MODEL, EVENT_DAY_MODEL } from '../log/log.schema.js';
import type { Position, Window } from './paging.js';

const MAX_TIME_MS = 2_000;

export interface EventFilter {
  type?: EventType | undefined;
  /** Pseudonym. */
  subject?: string;
  /** Of each of these lists one search tag at least. */
  tags?: readonly (readonly string[])[];
}
interface Page {
  window: Window;
  after: Position | null;
  limit: number;
}

/** The log as its readers see it; they write nothing. */
@Injectable()
export class EventsRepository {
  constructor(
    @InjectModel(ENTRY_MODEL) private readonly entries: Model<StoredEntry>,
    @InjectModel(EVENT_DAY_MODEL) private readonly days: Model<{ _id: string }>,
  ) {}

  /** One day's events, newest first. */
  async readDay(day: string, filter: EventFilter, page: Page): Promise<StoredEntry[]> {
    return this.read({ day: { $eq: day }, ...equal(filter) }, page);
  }

  /** The events of a subject, a device or an address, newest first: few enough to be a bucket of their own. */
  async readFound(filter: EventFilter, page: Page): Promise<StoredEntry[]> {
    return this.read(equal(filter), page);
  }

  async listDays(first: string, last: string | null): Promise<string[]> {
    const rows = await this.days
      .find({ _id: { $gte: first, ...(last === null ? {} : { $lte: last }) } })
      .sort({ _id: -1 })
      .maxTimeMS(MAX_TIME_MS)
      .lean();
    return rows.map((row) => row._id);
  }

  private async read(filter: QueryFilter<StoredEntry>, { window, after, limit }: Page): Promise<StoredEntry[]> {
    const within = { $gte: window.from, ...(window.to ? { $lte: window.to } : {}) };
    const older = after && [
      { timestamp: { $lt: after.timestamp } },
      { timestamp: { $eq: after.timestamp }, eventId: { $lt: after.eventId } },
    ];
    return this.entries
      .find({ ...filter, timestamp: within, ...(older ? { $or: older } : {}) })
      .select({ _id: 0 })
      .sort({ timestamp: -1, eventId: -1 })
      .limit(limit)
      .maxTimeMS(MAX_TIME_MS)
      .lean<StoredEntry[]>();
  }
}

/** `$eq` spelled out: a filter value can then never be read as an operator. */
const equal = (filter: EventFilter): QueryFilter<StoredEntry> => ({
  ...(filter.type === undefined ? {} : { type: { $eq: filter.type } }),
  ...(filter.subject === undefined ? {} : { subject: { $eq: filter.subject } }),
  ...(filter.tags?.length ? { $and: filter.tags.map((some) => ({ tags: { $in: [...some] } })) } : {}),
});
