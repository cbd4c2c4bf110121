import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';
import { DUPLICATE_KEY } from './durable.js';

/** A writer that is killed holds up the others so long. The lease saves work; what keeps the log whole are its indexes. */
const LEASE_MS = 3_000;
const EPOCH = new Date(0);

/** How far the log goes: so many entries, and the hash of the last. */
export interface Head {
  size: number;
  hash: string;
}

interface WriterRow {
  _id: 'writer';
  holder?: string;
  until?: Date;
  /** Where the log ended when this was written; a reader goes on from there. */
  head?: Head;
}

/** Who writes the log, by the database's clock. */
@Injectable()
export class LeaseRepository implements OnModuleInit {
  private readonly holder = randomUUID();
  private readonly rows: Collection<WriterRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = connection.collection<WriterRow>('audit_writer');
  }

  async onModuleInit(): Promise<void> {
    try {
      await this.rows.insertOne({ _id: 'writer' });
    } catch (error) {
      if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
    }
  }

  /** True: ours for so long. The head is noted along. */
  async take(head: Head | null): Promise<boolean> {
    const isFree = { $lte: [{ $ifNull: ['$until', EPOCH] }, '$$now'] };
    const isOurs = { $eq: ['$holder', { $literal: this.holder }] };
    const { matchedCount } = await this.rows.updateOne(
      { _id: 'writer', $expr: { $let: { vars: { now: '$$NOW' }, in: { $or: [isOurs, isFree] } } } },
      [
        {
          $set: {
            holder: { $literal: this.holder },
            until: { $add: ['$$NOW', LEASE_MS] },
            ...(head ? { head: { $literal: head } } : {}),
          },
        },
      ],
    );
    return matchedCount === 1;
  }

  async release(): Promise<void> {
    await this.rows.updateOne({ _id: 'writer', holder: this.holder }, { $set: { until: EPOCH } });
  }

  async notedHead(): Promise<Head | null> {
    return (await this.rows.findOne({ _id: 'writer' }))?.head ?? null;
  }
}
