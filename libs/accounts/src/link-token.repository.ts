import { createHash, randomBytes } from 'node:crypto';
import type { mongo } from 'mongoose';

const HOUR_MS = 3_600_000;

/** What a mailed link does, and how long it does it. */
const LIFE_MS = {
  verify_email: 48 * HOUR_MS,
  reset_password: HOUR_MS,
  /** Opens one try with the password. */
  login: HOUR_MS,
  invite: 7 * 24 * HOUR_MS,
  confirm_new_email: 24 * HOUR_MS,
  /** The hold, the time to confirm, and a day more. */
  cancel_new_email: 72 * HOUR_MS,
} as const;
export type LinkKind = keyof typeof LIFE_MS;

interface LinkTokenRow {
  /** SHA-256 of the token. */
  _id: string;
  kind: LinkKind;
  userId: string;
  /** The address it was mailed to. */
  email: string;
  expiresAt: Date;
  usedAt: Date | null;
}

/** Mailed links: 256 random bits of which only the hash is kept, taken once by a conditional update. */
export class LinkTokenRepository {
  constructor(private readonly rows: mongo.Collection<LinkTokenRow>) {}

  async ensureIndexes(): Promise<void> {
    await this.rows.createIndex({ expiresAt: 1 }, { expireAfterSeconds: 0 });
    await this.rows.createIndex({ userId: 1 });
  }

  async issue(kind: LinkKind, { userId, email }: { userId: string; email: string }): Promise<string> {
    const token = randomBytes(32).toString('base64url');
    const expiresAt = new Date(Date.now() + LIFE_MS[kind]);
    await this.rows.insertOne({ _id: hashOf(token), kind, userId, email, expiresAt, usedAt: null });
    return token;
  }

  /** Null for whatever is unknown, used, too old or of another kind. */
  async take(kind: LinkKind, token: string): Promise<{ userId: string; email: string } | null> {
    const now = new Date();
    const row = await this.rows.findOneAndUpdate(
      { _id: { $eq: hashOf(token) }, kind: { $eq: kind }, usedAt: { $eq: null }, expiresAt: { $gt: now } },
      { $set: { usedAt: now } },
    );
    return row ? { userId: row.userId, email: row.email } : null;
  }

  /** What was taken and then not used for its purpose can be taken again. */
  async giveBack(token: string): Promise<void> {
    await this.rows.updateOne({ _id: { $eq: hashOf(token) } }, { $set: { usedAt: null } });
  }

  /** Links of these kinds that are still under way do nothing any more. */
  async revoke(userId: string, kinds: readonly LinkKind[]): Promise<void> {
    await this.rows.deleteMany({ userId: { $eq: userId }, kind: { $in: [...kinds] }, usedAt: { $eq: null } });
  }
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');
