import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';

/** How far each class of payload has been pruned. Lost, it is found anew: what is gone already is passed over. */
@Injectable()
export class RetentionRepository {
  private readonly rows: Collection<{ _id: string; next: number }>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = connection.collection('audit_retention');
  }

  async next(name: string): Promise<number> {
    return (await this.rows.findOne({ _id: name }, { maxTimeMS: 2_000 }))?.next ?? 0;
  }

  async advance(name: string, next: number): Promise<void> {
    await this.rows.updateOne({ _id: name }, { $max: { next } }, { upsert: true });
  }
}
