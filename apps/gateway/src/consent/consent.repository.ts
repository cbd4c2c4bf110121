import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { collection } from '../store/mongo.js';

interface ConsentRow {
  _id: string;
  userId: string;
  version: string;
  textSha256: string;
  givenAt: Date;
  withdrawnAt: Date | null;
}

/** Proof of who agreed to which text, when. What counts at this moment stands in the guard. */
@Injectable()
export class ConsentRepository implements OnModuleInit {
  private readonly rows: mongo.Collection<ConsentRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = collection(connection, 'consents');
  }

  async onModuleInit(): Promise<void> {
    await this.rows.createIndex({ userId: 1 });
  }

  async insert(userId: string, consent: { version: string; textSha256: string }): Promise<void> {
    await this.rows.insertOne({ _id: randomUUID(), userId, ...consent, givenAt: new Date(), withdrawnAt: null });
  }

  async markWithdrawn(userId: string): Promise<void> {
    const filter = { userId: { $eq: userId }, withdrawnAt: { $eq: null } };
    await this.rows.updateMany(filter, { $set: { withdrawnAt: new Date() } });
  }
}
