import type { mongo } from 'mongoose';
import type { Role } from '#contracts';
import { isDuplicateKey } from './mongo.js';
import { type UserRow, userRowSchema } from './user.js';

/** More than anybody ends in the twelve hours that a session can live. */
const ENDED_KEPT = 100;

/** `users`: who may sign in. Each change is one conditional update. */
export class UserRepository {
  constructor(private readonly rows: mongo.Collection<UserRow>) {}

  async ensureIndexes(): Promise<void> {
    await this.rows.createIndex({ email: 1 }, { unique: true });
    await this.rows.createIndex({ hasNewEmail: 1 }, { partialFilterExpression: { hasNewEmail: true } });
  }

  /** False when the address is taken. */
  async insert(row: UserRow): Promise<boolean> {
    try {
      await this.rows.insertOne(row, { ignoreUndefined: true });
      return true;
    } catch (error) {
      if (isDuplicateKey(error)) return false;
      throw error;
    }
  }

  async findById(userId: string): Promise<UserRow | null> {
    return parsed(await this.rows.findOne({ _id: { $eq: userId } }));
  }

  async findByEmail(email: string): Promise<UserRow | null> {
    return parsed(await this.rows.findOne({ email: { $eq: email } }));
  }

  /** In the order of their ids, after the one given. */
  async list(o: { after: string | null; limit: number }): Promise<UserRow[]> {
    const filter = o.after === null ? {} : { _id: { $gt: o.after } };
    const rows = await this.rows.find(filter).sort({ _id: 1 }).limit(o.limit).toArray();
    return rows.map((row) => userRowSchema.parse(row));
  }

  /** Only while the address is still the one that was mailed. */
  async setEmailVerified(userId: string, email: string): Promise<boolean> {
    return this.change(userId, { email: { $eq: email } }, { $set: { emailVerified: true } });
  }

  /** New password and new epoch in one update; null when the epoch moved meanwhile. */
  async setPassword(userId: string, epoch: number, passwordHash: string): Promise<number | null> {
    const update = { $set: { passwordHash, mustResetPassword: false, endedSessions: [] }, $inc: { sessionEpoch: 1 } };
    return (await this.change(userId, { sessionEpoch: { $eq: epoch } }, update)) ? epoch + 1 : null;
  }

  /** By a mailed link, which shows that the address is the user's: ends every session and an open invitation. */
  async resetPassword(userId: string, email: string, passwordHash: string): Promise<boolean> {
    const set = { passwordHash, mustResetPassword: false, emailVerified: true, invite: null };
    return this.change(userId, { email: { $eq: email } }, { $set: set, $inc: { sessionEpoch: 1 } });
  }

  /** Ends every session and bars the password until it was reset by mail. */
  async demandPasswordReset(userId: string): Promise<boolean> {
    return this.change(userId, {}, { $set: { mustResetPassword: true }, $inc: { sessionEpoch: 1 } });
  }

  async raiseSessionEpoch(userId: string): Promise<void> {
    await this.change(userId, {}, { $inc: { sessionEpoch: 1 } });
  }

  /** Disabling ends every session. */
  async setDisabled(userId: string, disabled: boolean): Promise<boolean> {
    return this.change(userId, {}, { $set: { disabled }, ...(disabled ? { $inc: { sessionEpoch: 1 } } : {}) });
  }

  async endSession(userId: string, sessionId: string): Promise<void> {
    await this.change(userId, {}, { $push: { endedSessions: { $each: [sessionId], $slice: -ENDED_KEPT } } });
  }

  /** Another address, not yet confirmed. Replaces one that was asked for before. */
  async askForNewEmail(userId: string, email: string): Promise<void> {
    const newEmail = { email, requestedAt: new Date(), changesAt: null };
    await this.change(userId, {}, { $set: { newEmail, hasNewEmail: false } });
  }

  /** The new address is its owner's: from here the hold runs, by the database's clock. */
  async confirmNewEmail(userId: string, email: string, holdMs: number): Promise<boolean> {
    const { matchedCount } = await this.rows.updateOne({ _id: { $eq: userId }, 'newEmail.email': { $eq: email } }, [
      { $set: { 'newEmail.changesAt': { $add: ['$$NOW', holdMs] }, hasNewEmail: true } },
    ]);
    return matchedCount === 1;
  }

  async dropNewEmail(userId: string): Promise<boolean> {
    const wanted = { newEmail: { $ne: null } } as mongo.Filter<UserRow>;
    return this.change(userId, wanted, { $set: { newEmail: null, hasNewEmail: false } });
  }

  /** Accounts whose hold is over. */
  async findEmailChangesDue(limit: number): Promise<UserRow[]> {
    const isOver = { $expr: { $let: { vars: { now: '$$NOW' }, in: { $lte: ['$newEmail.changesAt', '$$now'] } } } };
    const rows = await this.rows.find({ hasNewEmail: { $eq: true }, ...isOver }, { limit, maxTimeMS: 2_000 }).toArray();
    return rows.map((row) => userRowSchema.parse(row));
  }

  /** Takes the confirmed address over. `taken`: meanwhile it belongs to another account, so nothing comes of it. */
  async applyNewEmail({ _id, email, newEmail }: UserRow): Promise<'changed' | 'taken' | 'gone'> {
    if (newEmail === null) return 'gone';
    const filter = { email: { $eq: email }, 'newEmail.email': { $eq: newEmail.email }, hasNewEmail: { $eq: true } };
    const set = { email: newEmail.email, emailVerified: true, newEmail: null, hasNewEmail: false };
    try {
      return (await this.change(_id, filter, { $set: set })) ? 'changed' : 'gone';
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      await this.dropNewEmail(_id);
      return 'taken';
    }
  }

  async setLocale(userId: string, locale: string): Promise<void> {
    await this.change(userId, {}, { $set: { locale } });
  }

  /** Ends every session. */
  async addRoles(userId: string, roles: readonly Role[]): Promise<void> {
    await this.change(userId, {}, { $addToSet: { roles: { $each: [...roles] } }, $inc: { sessionEpoch: 1 } });
  }

  private async change(
    userId: string,
    condition: mongo.Filter<UserRow>,
    update: mongo.UpdateFilter<UserRow>,
  ): Promise<boolean> {
    const { matchedCount } = await this.rows.updateOne({ ...condition, _id: { $eq: userId } }, update);
    return matchedCount === 1;
  }
}

const parsed = (row: unknown): UserRow | null => (row === null ? null : userRowSchema.parse(row));
