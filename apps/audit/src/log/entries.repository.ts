import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectModel } from '@nestjs/mongoose';
import type { Model } from 'mongoose';
import { entryHash, GENESIS_HASH, type StoredEntry } from '#audit-log';
import type { PayloadPart } from '#contracts';
import { DUPLICATE_KEY, DURABLE } from './durable.js';
import type { Head } from './lease.repository.js';
import { ENTRY_MODEL, EVENT_DAY_MODEL } from './log.schema.js';

const MAX_TIME_MS = 2_000;
const PAGE = 500;
/** How the tags begin that are made of a part. */
const TAGS_OF: Record<PayloadPart, string[]> = { address: ['a'], origin: ['n', 'd'], similarity: [] };

/** The stored log, as its writer sees it. */
@Injectable()
export class EntriesRepository implements OnModuleInit {
  private readonly knownDays = new Set<string>();

  constructor(
    @InjectModel(ENTRY_MODEL) private readonly entries: Model<StoredEntry>,
    @InjectModel(EVENT_DAY_MODEL) private readonly days: Model<{ _id: string }>,
  ) {}

  /** The unique indexes are what keeps the log one: nothing may be stored before they stand. */
  async onModuleInit(): Promise<void> {
    await Promise.all([this.entries.init(), this.days.init()]);
  }

  /** In their order, up to the first that does not fit. Returns after the majority has all of them on disk. */
  async insert(rows: StoredEntry[]): Promise<void> {
    // The day first: a reader who finds a day empty loses nothing, an event on a day he does not know is invisible.
    await this.noteDays(rows.map((row) => row.day));
    // The driver's own insertMany: mongoose's leaves out without a word what does not fit its schema.
    await this.entries.collection.insertMany(rows, { ordered: true, writeConcern: DURABLE });
  }

  async findKnown(eventIds: string[]): Promise<Set<string>> {
    const rows = await this.entries.collection
      .find({ eventId: { $in: eventIds } }, { projection: { eventId: 1 }, maxTimeMS: MAX_TIME_MS })
      .toArray();
    return new Set(rows.map((row) => (row as unknown as StoredEntry).eventId));
  }

  /** Where the log ends, found by equality alone from a place where it once did. */
  async headFrom(noted: Head | null): Promise<Head> {
    let head = noted && (await this.isThere(noted)) ? noted : await this.highest();
    for (;;) {
      const [next] = await this.page({ prevHash: head.hash });
      if (!next) return head;
      head = headAt(next);
    }
  }

  /** Entries `from` to `to - 1` that are there, by seq. */
  async range(from: number, to: number): Promise<StoredEntry[]> {
    const seqs = Array.from({ length: to - from }, (_, i) => from + i);
    return (await this.page({ seq: { $in: seqs } })).sort((a, b) => a.seq - b.seq);
  }

  /** Deletes payload parts of a subject; the leaves stay. */
  async removePayload(pseudonym: string): Promise<void> {
    await this.entries.collection.updateMany(
      { subject: pseudonym },
      { $set: { payload: [], tags: [] } },
      { writeConcern: DURABLE },
    );
  }

  /** Deletes these parts of entries `from` to `to`, with the tags that were made of them; the leaves stay. */
  async removeParts(from: number, to: number, parts: readonly PayloadPart[]): Promise<void> {
    const tags = parts.flatMap((part) => TAGS_OF[part]);
    const kept = (field: string, gone: unknown): object => ({ $filter: { input: field, cond: { $not: [gone] } } });
    for (let seq = from; seq <= to; seq += PAGE) {
      const seqs = Array.from({ length: Math.min(PAGE, to - seq + 1) }, (_, i) => seq + i);
      await this.entries.collection.updateMany(
        { seq: { $in: seqs } },
        [
          {
            $set: {
              payload: kept('$payload', { $in: ['$$this.part', [...parts]] }),
              tags: kept('$tags', { $in: [{ $substrBytes: ['$$this', 0, 1] }, tags] }),
            },
          },
        ],
        { writeConcern: DURABLE },
      );
    }
  }

  private async isThere({ size, hash }: Head): Promise<boolean> {
    if (size === 0) return hash === GENESIS_HASH;
    const [row] = await this.page({ seq: size - 1 });
    return row !== undefined && headAt(row).hash === hash;
  }

  private async highest(): Promise<Head> {
    const [row] = await this.entries.collection
      .find({}, { sort: { seq: -1 }, limit: 1, maxTimeMS: 10 * MAX_TIME_MS })
      .toArray();
    return row ? headAt(row as unknown as StoredEntry) : { size: 0, hash: GENESIS_HASH };
  }

  private async page(filter: { seq: number | { $in: number[] } } | { prevHash: string }): Promise<StoredEntry[]> {
    const rows = await this.entries.collection.find(filter, { maxTimeMS: MAX_TIME_MS }).toArray();
    return rows as unknown as StoredEntry[];
  }

  private async noteDays(days: string[]): Promise<void> {
    const unknown = [...new Set(days)].filter((day) => !this.knownDays.has(day));
    for (const day of unknown) {
      try {
        await this.days.db
          .collection<{ _id: string }>(this.days.collection.name)
          .updateOne({ _id: day }, { $set: { _id: day } }, { upsert: true, writeConcern: DURABLE });
      } catch (error) {
        if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
      }
      this.knownDays.add(day);
    }
  }
}

export const headAt = (row: Pick<StoredEntry, 'seq' | 'entry'>): Head => ({
  size: row.seq + 1,
  hash: entryHash(row.entry).toString('base64url'),
});
