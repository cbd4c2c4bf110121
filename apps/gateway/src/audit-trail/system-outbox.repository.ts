import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import type { OutboxEvent } from '#contracts';
import { collection } from '../store/mongo.js';

interface SystemOutboxRow {
  /** The process: each has its own document, so none waits for another. */
  _id: string;
  entries: OutboxEvent[];
  hasOutbox: boolean;
}

@Injectable()
export class SystemOutboxRepository {
  private readonly rows: mongo.Collection<SystemOutboxRow>;
  private readonly processId = randomUUID();

  constructor(@InjectConnection() connection: Connection) {
    this.rows = collection(connection, 'system_outboxes');
  }

  async push(entry: OutboxEvent): Promise<void> {
    const update = { $push: { entries: entry }, $set: { hasOutbox: true } };
    await this.rows.updateOne({ _id: { $eq: this.processId } }, update, { upsert: true, ignoreUndefined: true });
  }
}
