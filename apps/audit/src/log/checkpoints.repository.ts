import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectModel } from '@nestjs/mongoose';
import type { Collection, Model } from 'mongoose';
import type { StoredCheckpoint } from '#audit-log';
import { DUPLICATE_KEY, DURABLE } from './durable.js';
import { CHECKPOINT_MODEL } from './log.schema.js';

const MAX_TIME_MS = 2_000;

@Injectable()
export class CheckpointsRepository implements OnModuleInit {
  private readonly rows: Collection<StoredCheckpoint>;

  constructor(@InjectModel(CHECKPOINT_MODEL) private readonly model: Model<StoredCheckpoint>) {
    this.rows = model.db.collection<StoredCheckpoint>(model.collection.name);
  }

  async onModuleInit(): Promise<void> {
    await this.model.init();
  }

  async newest(): Promise<StoredCheckpoint | null> {
    const [row] = await this.rows.find({}, { sort: { _id: -1 }, limit: 1, maxTimeMS: MAX_TIME_MS }).toArray();
    return row ?? null;
  }

  /** Of this size and larger, in their order. */
  async from(size: number): Promise<StoredCheckpoint[]> {
    const rows = this.rows.find({ _id: { $gte: size } }, { maxTimeMS: 10 * MAX_TIME_MS });
    return (await rows.toArray()).sort((a, b) => a._id - b._id);
  }

  async removeAfter(size: number): Promise<void> {
    await this.rows.deleteMany({ _id: { $gt: size } }, { writeConcern: DURABLE });
  }

  /** False: there is one of this size already. */
  async insert(row: StoredCheckpoint): Promise<boolean> {
    try {
      await this.rows.insertOne(row, { writeConcern: DURABLE });
      return true;
    } catch (error) {
      if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
      return false;
    }
  }

  /** In their order. */
  async findUnpublished(limit: number): Promise<StoredCheckpoint[]> {
    const rows = await this.rows.find({ published: false }, { maxTimeMS: MAX_TIME_MS }).toArray();
    return rows.sort((a, b) => a._id - b._id).slice(0, limit);
  }

  async markPublished(size: number): Promise<void> {
    await this.rows.updateOne({ _id: size }, { $set: { published: true } });
  }
}
