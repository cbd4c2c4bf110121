import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';
import { DUPLICATE_KEY } from './log/durable.js';

interface TurnRow {
  _id: string;
  nextAt: Date;
}
const EPOCH = new Date(0);

/** Whose turn it is: of all audit processes one does a periodic task, and the next one if that one died. */
@Injectable()
export class TurnsRepository {
  private readonly rows: Collection<TurnRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = connection.collection<TurnRow>('audit_turns');
  }

  /** True once in `everyMs`, by the database's clock. */
  async take(task: string, everyMs: number): Promise<boolean> {
    const isDue = { $expr: { $let: { vars: { now: '$$NOW' }, in: { $lte: ['$nextAt', '$$now'] } } } };
    const take = async (): Promise<number> =>
      (await this.rows.updateOne({ _id: task, ...isDue }, [{ $set: { nextAt: { $add: ['$$NOW', everyMs] } } }]))
        .matchedCount;
    if ((await take()) === 1) return true;
    // Mostly it is not due: a read then, and no insert that must fail.
    if (await this.rows.findOne({ _id: task }, { projection: { _id: 1 } })) return false;
    try {
      await this.rows.insertOne({ _id: task, nextAt: EPOCH });
    } catch (error) {
      if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
      return false;
    }
    return (await take()) === 1;
  }
}
