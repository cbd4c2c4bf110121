import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';
import { readSubject, rewrapped, type Subject, SubjectKeys, type SubjectRow, type SubjectRows } from '#audit-log';
import { makesIndexes } from '#config';
import { type KeySet, newestOf, SealError } from '#sealing';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import { DUPLICATE_KEY, DURABLE } from './durable.js';

const MAX_TIME_MS = 2_000;

@Injectable()
export class SubjectsRepository implements SubjectRows, OnModuleInit {
  /** Nothing is remembered: the log must not be written with a key that was destroyed meanwhile. */
  readonly keys: SubjectKeys;
  private readonly rows: Collection<SubjectRow>;
  private readonly keks: KeySet;

  constructor(
    @InjectConnection() connection: Connection,
    @Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'EVENT_KEK' | 'NODE_ENV'>,
  ) {
    this.rows = connection.collection<SubjectRow>('subjects');
    this.keks = config.EVENT_KEK;
    this.keys = new SubjectKeys(this, config.EVENT_KEK, { rememberMs: 0, rememberMax: 0 });
  }

  async onModuleInit(): Promise<void> {
    if (!makesIndexes(this.config)) return;
    await this.rows.createIndex({ pseudonym: 1 }, { unique: true, sparse: true });
  }

  async find(ids: readonly string[]): Promise<SubjectRow[]> {
    return this.rows.find({ _id: { $in: [...ids] } }, { maxTimeMS: MAX_TIME_MS }).toArray();
  }

  async insert(row: SubjectRow): Promise<void> {
    try {
      await this.rows.insertOne(row, { writeConcern: DURABLE });
    } catch (error) {
      // Another has made it meanwhile; his is the one that counts.
      if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
    }
  }

  async findOne(id: string): Promise<Subject | null> {
    const [row] = await this.find([id]);
    return row ? readSubject(row, this.keks) : null;
  }

  /** Whose pseudonyms and keys these are; those that nobody has are left out. */
  async whoAre(pseudonyms: readonly string[], ids: readonly string[]): Promise<Subject[]> {
    const rows = await this.rows
      .find({ $or: [{ pseudonym: { $in: [...pseudonyms] } }, { _id: { $in: [...ids] } }] }, { maxTimeMS: MAX_TIME_MS })
      .toArray();
    return rows.map((row) => readSubject(row, this.keks));
  }

  /** From here on nothing sealed for him can be opened, and nothing more is sealed. Returns his pseudonym, if he had one. */
  async destroyKey(id: string): Promise<string | null> {
    const row = await this.rows.findOneAndUpdate(
      { _id: id },
      { $set: { erased: true }, $unset: { wrappedDek: '', kek: '' } },
      { upsert: true, returnDocument: 'after', writeConcern: DURABLE },
    );
    return row?.pseudonym ?? null;
  }

  /** Wraps keys by the newest KEK that another one wraps. How many are done, and how many no known KEK opens. */
  async rewrap(): Promise<{ done: number; closed: number }> {
    const newest = newestOf(this.keks).id;
    let [done, closed] = [0, 0];
    // All of them in one pass: however many do not open, those behind them have their turn.
    for await (const row of this.rows.find({ kek: { $ne: newest }, wrappedDek: { $exists: true } })) {
      const fields = this.rewrappedOf(row);
      if (!fields || row.wrappedDek === undefined) closed += 1;
      else {
        // Only as it was read: a key that is destroyed meanwhile stays so.
        const same = { _id: row._id, wrappedDek: row.wrappedDek };
        done += (await this.rows.updateOne(same, { $set: fields }, { writeConcern: DURABLE })).modifiedCount;
      }
    }
    return { done, closed };
  }

  private rewrappedOf(row: SubjectRow): ReturnType<typeof rewrapped> {
    try {
      return rewrapped(row, this.keks);
    } catch (error) {
      if (error instanceof SealError) return null;
      throw error;
    }
  }

  async forgetPseudonym(id: string): Promise<void> {
    await this.rows.updateOne({ _id: id, erased: true }, { $unset: { pseudonym: '' } }, { writeConcern: DURABLE });
  }

  async remove(id: string): Promise<void> {
    await this.rows.deleteOne({ _id: id }, { writeConcern: DURABLE });
  }
}
