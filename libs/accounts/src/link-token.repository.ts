import { createHash, randomBytes } from 'node:crypto';
import type { mongo } from 'mongoose';
import { isGrant, MAILED_LINK_KINDS, MAILED_LINKS, type MailedLink } from '#contracts';
import type { UserRow } from './user.js';

/** Those that the gateway makes; the row of `not_me` is the audit service's. */
export type LinkKind = Exclude<MailedLink, 'not_me'>;

interface LinkTokenRow {
  /** SHA-256 of the token. */
  _id: string;
  kind: LinkKind;
  userId: string;
  /** The address it was mailed to. */
  email: string;
  /** The account's at that time. Absent in what 0.1 wrote, where it is 0. */
  credentialEpoch?: number;
  expiresAt: Date;
  usedAt: Date | null;
}

/** What a link says of whom. A grant counts only while the account's `credentialEpoch` is this one. */
export interface FoundLink {
  userId: string;
  email: string;
  credentialEpoch: number;
}

/** Mailed links: 256 random bits of which only the hash is kept, taken once by a conditional update. */
export class LinkTokenRepository {
  constructor(private readonly rows: mongo.Collection<LinkTokenRow>) {}

  async ensureIndexes(): Promise<void> {
    await this.rows.createIndex({ expiresAt: 1 }, { expireAfterSeconds: 0 });
    await this.rows.createIndex({ userId: 1 });
  }

  /** `email`: where it is mailed to, if that is not the account's address. `holdMs`: of what the link can stop. */
  async issue(
    kind: LinkKind,
    user: Pick<UserRow, '_id' | 'email' | 'credentialEpoch'>,
    { email = user.email, holdMs = 0 }: { email?: string; holdMs?: number } = {},
  ): Promise<string> {
    const token = randomBytes(32).toString('base64url');
    const expiresAt = new Date(Date.now() + MAILED_LINKS[kind].lifeMs + holdMs);
    const { _id: userId, credentialEpoch } = user;
    await this.rows.insertOne({ _id: hashOf(token), kind, userId, email, credentialEpoch, expiresAt, usedAt: null });
    return token;
  }

  /** Null for whatever is unknown, used, too old or of another kind. */
  async find(kind: LinkKind, token: string): Promise<FoundLink | null> {
    return foundIn(await this.rows.findOne(unused(kind, token, new Date())));
  }

  /** The same, and from here on it is used. */
  async take(kind: LinkKind, token: string): Promise<FoundLink | null> {
    const now = new Date();
    return foundIn(await this.rows.findOneAndUpdate(unused(kind, token, now), { $set: { usedAt: now } }));
  }

  /** Links of this kind give way to a newer one. */
  async replace(userId: string, kind: LinkKind): Promise<void> {
    await this.rows.deleteMany({ userId: { $eq: userId }, kind: { $eq: kind } });
  }

  /** Those of older credentials, or those that went to an address. Used or not: of a link that is just being tried nothing may come either. */
  async removeGrants(userId: string, { below, email }: { below?: number; email?: string }): Promise<void> {
    const grants = MAILED_LINK_KINDS.filter(isGrant);
    const older = { $or: [{ credentialEpoch: { $lt: below } }, { credentialEpoch: { $exists: false } }] };
    await this.rows.deleteMany({
      userId: { $eq: userId },
      kind: { $in: grants },
      ...(below === undefined ? {} : older),
      ...(email === undefined ? {} : { email: { $eq: email } }),
    });
  }
}

const unused = (kind: LinkKind, token: string, now: Date): mongo.Filter<LinkTokenRow> => ({
  _id: { $eq: hashOf(token) },
  kind: { $eq: kind },
  usedAt: { $eq: null },
  expiresAt: { $gt: now },
});

const foundIn = (row: LinkTokenRow | null): FoundLink | null =>
  row && { userId: row.userId, email: row.email, credentialEpoch: row.credentialEpoch ?? 0 };

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');
