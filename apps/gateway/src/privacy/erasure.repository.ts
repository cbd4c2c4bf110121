import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { type ErasureRow, erasureRowSchema } from '#contracts';
import { collection, isDuplicateKey } from '../store/mongo.js';

/** The ledger of erasures. The gateway only adds to it; the audit service carries them out. */
@Injectable()
export class ErasureRepository implements OnModuleInit {
  private readonly rows: mongo.Collection<ErasureRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = collection(connection, 'erasures');
  }

  async onModuleInit(): Promise<void> {
    await this.rows.createIndex({ userId: 1 }, { unique: true });
  }

  /** One erasure a user: a repeat finds the first. */
  async insertOrFind(row: ErasureRow): Promise<ErasureRow> {
    try {
      await this.rows.insertOne(row);
      return row;
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
    }
    return erasureRowSchema.parse(await this.rows.findOne({ userId: { $eq: row.userId } }));
  }

  async find(erasureId: string): Promise<ErasureRow | null> {
    const row = await this.rows.findOne({ _id: { $eq: erasureId } });
    return row === null ? null : erasureRowSchema.parse(row);
  }
}
