import { randomUUID } from 'node:crypto';
import mongoose, { type Connection, type mongo } from 'mongoose';
import { z } from 'zod';
import { env, parseEnv } from '#config';
import { type OutboxEvent, outboxEventSchema } from '#contracts';
import { CommandError } from '../command.js';
import { eventProofs } from './event-proofs.js';

const SELECTION_MS = 3_000;
/** All commands share one document: each leaves few entries. */
const OUTBOX_ID = 'cli';

interface SystemOutboxRow {
  _id: string;
  entries: OutboxEvent[];
  hasOutbox: boolean;
}

/** The database of MONGODB_URI, for one command. */
export class Database {
  private constructor(readonly connection: Connection) {}

  static async with<T>(work: (database: Database) => Promise<T>, source?: NodeJS.ProcessEnv): Promise<T> {
    const { MONGODB_URI } = parseEnv(z.object({ MONGODB_URI: env.mongoUri }), source);
    const database = new Database(await connected(MONGODB_URI));
    try {
      return await work(database);
    } finally {
      await database.connection.close();
    }
  }

  /** The driver's own collection: mongoose's would hold operations back while it reconnects. */
  collection<T extends mongo.Document>(name: string): mongo.Collection<T> {
    return this.db.collection<T>(name);
  }

  get db(): mongo.Db {
    return this.connection.getClient().db(this.connection.name);
  }

  /** What an operator did that concerns no one user. Before anything of it is shown. */
  async recordAction(about: { clientId?: string } = {}): Promise<void> {
    const [proofs, eventId, fields] = [eventProofs(), randomUUID(), { timestamp: new Date(), ...about }];
    const [type, sealed] = ['admin_action' as const, { parts: [], tags: [] }];
    const proof = proofs?.make(null, eventId, { types: [type], fields }, sealed);
    const entry = outboxEventSchema.parse({
      ...fields,
      eventId,
      userId: null,
      type,
      sealed: { ...sealed, ...(proof ? { proof } : {}) },
    });
    const update = { $push: { entries: entry }, $set: { hasOutbox: true } };
    await this.collection<SystemOutboxRow>('system_outboxes').updateOne({ _id: OUTBOX_ID }, update, { upsert: true });
  }
}

async function connected(uri: string): Promise<Connection> {
  try {
    return await mongoose
      .createConnection(uri, {
        serverSelectionTimeoutMS: SELECTION_MS,
        autoCreate: false,
        autoIndex: false,
        writeConcern: { w: 'majority', journal: true },
      })
      .asPromise();
  } catch {
    throw new CommandError('the database of MONGODB_URI does not answer');
  }
}
