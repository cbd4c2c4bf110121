import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectModel } from '@nestjs/mongoose';
import type { Collection, Model } from 'mongoose';
import { type ErasureRow, erasureRowSchema } from '#contracts';
import { ERASURE_MODEL, type StoredErasure } from './erasure.schema.js';

/** Longer than any step takes: a holder that has not renewed for so long is dead, and the next sweep goes on. */
const LEASE_MS = 30_000;
const REPEAT_AFTER_MS = 15 * 60_000;
const EPOCH = new Date(0);

const IS_FREE = {
  $expr: {
    $let: { vars: { now: '$$NOW' }, in: { $lte: [{ $ifNull: ['$leaseUntil', EPOCH] }, '$$now'] } },
  },
};

/** The ledger of erasures. */
@Injectable()
export class ErasuresRepository implements OnModuleInit {
  private readonly rows: Collection<StoredErasure>;

  constructor(@InjectModel(ERASURE_MODEL) private readonly model: Model<StoredErasure>) {
    this.rows = model.db.collection<StoredErasure>(model.collection.name);
  }

  async onModuleInit(): Promise<void> {
    await this.model.init();
  }

  async findUnfinished(limit: number, except: readonly string[]): Promise<string[]> {
    const rows = await this.rows
      .find(
        { state: { $in: ['requested', 'running'] }, _id: { $nin: [...except] }, ...IS_FREE },
        { projection: { _id: 1 }, limit, maxTimeMS: 2_000 },
      )
      .toArray();
    return rows.map((row) => row._id);
  }

  /** Marks the row running and takes it. Null: unknown, completed, or in another's hands. */
  async claim(erasureId: string, leaseId: string): Promise<ErasureRow | null> {
    const row = await this.rows.findOneAndUpdate(
      { _id: erasureId, state: { $in: ['requested', 'running'] }, ...IS_FREE },
      [{ $set: { state: 'running', leaseId: { $literal: leaseId }, leaseUntil: { $add: ['$$NOW', LEASE_MS] } } }],
      { returnDocument: 'after' },
    );
    return row && erasureRowSchema.parse(row);
  }

  /** False: the lease was lost, another is at work. */
  async renew(erasureId: string, leaseId: string): Promise<boolean> {
    const { matchedCount } = await this.rows.updateOne({ _id: erasureId, leaseId }, [
      { $set: { leaseUntil: { $add: ['$$NOW', LEASE_MS] } } },
    ]);
    return matchedCount === 1;
  }

  async release(erasureId: string, leaseId: string): Promise<void> {
    await this.rows.updateOne({ _id: erasureId, leaseId }, { $unset: { leaseId: '', leaseUntil: '' } });
  }

  /** The time at which everything was gone: the database's, the same however often this is repeated. */
  async finishedAt(erasureId: string): Promise<Date> {
    const row = await this.rows.findOneAndUpdate(
      { _id: erasureId },
      [{ $set: { finishedAt: { $ifNull: ['$finishedAt', '$$NOW'] } } }],
      { returnDocument: 'after' },
    );
    if (!row?.finishedAt) throw new Error('an erasure vanished from the ledger');
    return row.finishedAt;
  }

  async complete(erasureId: string): Promise<void> {
    await this.rows.updateOne({ _id: erasureId, state: 'running' }, [
      { $set: { state: 'completed', completedAt: '$$NOW', repeatDue: true } },
    ]);
  }

  /** Completed a while ago and not gone over a second time. */
  async findRepeatDue(limit: number, except: readonly string[]): Promise<string[]> {
    const isOld = {
      $expr: {
        $let: { vars: { now: '$$NOW' }, in: { $lte: ['$completedAt', { $subtract: ['$$now', REPEAT_AFTER_MS] }] } },
      },
    };
    const due = { repeatDue: true, _id: { $nin: [...except] }, ...isOld };
    const rows = await this.rows.find(due, { projection: { _id: 1 }, limit, maxTimeMS: 2_000 }).toArray();
    return rows.map((row) => row._id);
  }

  /** @throws ZodError when it is not what it should be. */
  async read(erasureId: string): Promise<ErasureRow> {
    return erasureRowSchema.parse(await this.rows.findOne({ _id: erasureId }, { maxTimeMS: 2_000 }));
  }

  async markRepeated(erasureId: string): Promise<void> {
    await this.rows.updateOne({ _id: erasureId }, { $unset: { repeatDue: '' } });
  }
}
