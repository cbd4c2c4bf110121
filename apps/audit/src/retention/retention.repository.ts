import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';

/** How far each class of payload has been pruned. Lost, it is found anew: what is gone already is passed over. */
@Injectable()
export class RetentionRepository {
  private readonly rows: Collection<{ _id: string; next?: number; said?: Date; latest?: Date }>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = connection.collection('audit_retention');
  }

  async next(name: string): Promise<number> {
    return (await this.rows.findOne({ _id: name }, { maxTimeMS: 2_000 }))?.next ?? 0;
  }

  /** What the database's clock says, and the latest that was believed of it. */
  async readClock(): Promise<{ said: Date; latest: Date | null }> {
    const row = await this.rows.findOneAndUpdate({ _id: 'clock' }, [{ $set: { said: '$$NOW' } }], {
      upsert: true,
      returnDocument: 'after',
    });
    if (!row?.said) throw new Error('the database told no time');
    return { said: row.said, latest: row.latest ?? null };
  }

  async noteClock(latest: Date): Promise<void> {
    await this.rows.updateOne({ _id: 'clock' }, { $max: { latest } });
  }

  async advance(name: string, next: number): Promise<void> {
    await this.rows.updateOne({ _id: name }, { $max: { next } }, { upsert: true });
  }
}
