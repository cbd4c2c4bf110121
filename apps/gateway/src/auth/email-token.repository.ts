import { randomBytes } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { sha256Hex } from '../store/keys.js';
import { collection } from '../store/mongo.js';

interface EmailTokenRow {
  /** SHA-256 of the token. */
  _id: string;
  userId: string;
  email: string;
  expiresAt: Date;
  usedAt: Date | null;
}

const LIFE_MS = 48 * 60 * 60 * 1000;

/** Mailed links: 256 random bits of which only the hash is kept, taken once by a conditional update. */
@Injectable()
export class EmailTokenRepository implements OnModuleInit {
  private readonly rows: mongo.Collection<EmailTokenRow>;

  constructor(@InjectConnection() connection: Connection) {
    this.rows = collection(connection, 'email_tokens');
  }

  async onModuleInit(): Promise<void> {
    await this.rows.createIndex({ expiresAt: 1 }, { expireAfterSeconds: 0 });
    await this.rows.createIndex({ userId: 1 });
  }

  async issue(userId: string, email: string): Promise<string> {
    const token = randomBytes(32).toString('base64url');
    await this.rows.insertOne({
      _id: sha256Hex(token),
      userId,
      email,
      expiresAt: new Date(Date.now() + LIFE_MS),
      usedAt: null,
    });
    return token;
  }

  async take(token: string): Promise<{ userId: string; email: string } | null> {
    const now = new Date();
    const row = await this.rows.findOneAndUpdate(
      { _id: { $eq: sha256Hex(token) }, usedAt: { $eq: null }, expiresAt: { $gt: now } },
      { $set: { usedAt: now } },
    );
    return row ? { userId: row.userId, email: row.email } : null;
  }
}
