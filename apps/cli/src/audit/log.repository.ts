import mongoose, { type Connection } from 'mongoose';
import { LOG_COLLECTIONS, type StoredCheckpoint, type StoredEntry } from '#audit-log';
import { CommandError } from '../command.js';

/** Entries are read by equality on so many seq at a time: ranges and sorts do not scale on every server. */
const PAGE = 1_000;
const MAX_TIME_MS = 30_000;

/** The stored log, read only. */
export class LogRepository {
  private constructor(private readonly connection: Connection) {}

  static async connect(uri: string): Promise<LogRepository> {
    try {
      const options = { serverSelectionTimeoutMS: 3_000, autoCreate: false, autoIndex: false };
      return new LogRepository(await mongoose.createConnection(uri, options).asPromise());
    } catch {
      throw new CommandError('the database of MONGODB_URI does not answer');
    }
  }

  count(): Promise<number> {
    return this.entries.countDocuments({}, { maxTimeMS: MAX_TIME_MS });
  }

  /** All rows by seq. What has no place in that order (no seq, a second one) comes after its page or at the end. */
  async *rows(): AsyncGenerator<StoredEntry> {
    const total = await this.count();
    let seen = 0;
    for (let from = 0; seen < total; from += PAGE) {
      const page = await this.page(from, from + PAGE);
      if (page.length === 0 && (await this.highest()) < from) break;
      seen += page.length;
      yield* page;
    }
  }

  async page(from: number, to: number): Promise<StoredEntry[]> {
    const seqs = Array.from({ length: to - from }, (_, i) => from + i);
    const rows = await this.entries
      .find({ seq: { $in: seqs } }, { projection: { _id: 0 }, maxTimeMS: MAX_TIME_MS })
      .toArray();
    return rows.sort((a, b) => a.seq - b.seq);
  }

  private async highest(): Promise<number> {
    const [row] = await this.entries
      .find({}, { projection: { seq: 1 }, sort: { seq: -1 }, limit: 1, maxTimeMS: MAX_TIME_MS })
      .toArray();
    return row?.seq ?? -1;
  }

  async checkpoints(): Promise<StoredCheckpoint[]> {
    const rows = await this.connection
      .collection<StoredCheckpoint>(LOG_COLLECTIONS.checkpoints)
      .find({}, { maxTimeMS: MAX_TIME_MS })
      .toArray();
    return rows.sort((a, b) => a._id - b._id);
  }

  async days(): Promise<Set<string>> {
    const rows = await this.connection.collection<{ _id: string }>(LOG_COLLECTIONS.days).find({}).toArray();
    return new Set(rows.map((row) => row._id));
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  private get entries() {
    return this.connection.collection<StoredEntry>(LOG_COLLECTIONS.entries);
  }
}
