import type { mongo } from 'mongoose';
import type { Role } from '#contracts';
import { isDuplicateKey } from './mongo.js';
import type { FoundLink } from './link-token.repository.js';
import { type Renewal, type UserRow, userRowSchema } from './user.js';

/** More than anybody ends in the twelve hours that a session can live. */
const ENDED_KEPT = 100;
/** Renewals in a day that bring budgets of recovery anew: so many times a thief who goes on can be answered. */
const GENERATIONS_A_DAY = 3;
const DAY_MS = 24 * 3_600_000;

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

  /** Only while the address is still the one that was mailed, and the credentials those of then. */
  async setEmailVerified({ userId, email, credentialEpoch }: FoundLink): Promise<boolean> {
    return this.change(userId, { email: { $eq: email }, ...isOf(credentialEpoch) }, { $set: { emailVerified: true } });
  }

  /**
   * All of a renewal that decides anything, in one update: what comes after it only tidies up. The account as this update
   * left it, and whether a change of address was under way; null when the account is not any more as the renewal says.
   */
  async renew(userId: string, renewal: Renewal): Promise<{ user: UserRow; stoppedNewEmail: boolean } | null> {
    const raised = (field: string) => ({ $add: [{ $ifNull: [`$${field}`, 0] }, 1] });
    const [sessionEpoch, credentialEpoch] = [raised('sessionEpoch'), raised('credentialEpoch')];
    const { condition, set } = termsOf(renewal);
    const literals = Object.entries(set).map(([field, value]) => [field, { $literal: value }] as const);
    const staying =
      renewal.by === 'password_change'
        ? { sessionId: { $literal: renewal.session.sessionId }, epoch: sessionEpoch }
        : null;
    const fields = { sessionEpoch, credentialEpoch, staying, newEmail: null, hasNewEmail: false };
    const before = parsed(
      await this.rows.findOneAndUpdate(
        { ...condition, _id: { $eq: userId } },
        [{ $set: { ...fields, ...generationOf(renewal), ...Object.fromEntries(literals) } }],
        { returnDocument: 'before' },
      ),
    );
    if (!before) return null;
    const epochs = { sessionEpoch: before.sessionEpoch + 1, credentialEpoch: before.credentialEpoch + 1 };
    const user = { ...before, ...set, ...epochs, newEmail: null, hasNewEmail: false };
    return { user, stoppedNewEmail: before.newEmail !== null };
  }

  async enable(userId: string): Promise<void> {
    await this.change(userId, {}, { $set: { disabled: false } });
  }

  async raiseSessionEpoch(userId: string): Promise<void> {
    await this.change(userId, {}, { $inc: { sessionEpoch: 1 } });
  }

  async endSession(userId: string, sessionId: string): Promise<void> {
    await this.change(userId, {}, { $push: { endedSessions: { $each: [sessionId], $slice: -ENDED_KEPT } } });
  }

  /** Another address, not yet confirmed. Replaces one that was asked for before. False: the credentials were renewed. */
  async askForNewEmail({ _id, credentialEpoch }: UserRow, email: string): Promise<boolean> {
    const newEmail = { email, requestedAt: new Date(), changesAt: null };
    return this.change(_id, isOf(credentialEpoch), { $set: { newEmail, hasNewEmail: false } });
  }

  /** The new address is its owner's: from here the hold runs, by the database's clock. */
  async confirmNewEmail({ userId, email, credentialEpoch }: FoundLink, holdMs: number): Promise<boolean> {
    const filter = { _id: { $eq: userId }, 'newEmail.email': { $eq: email }, ...isOf(credentialEpoch) };
    const { matchedCount } = await this.rows.updateOne(filter, [
      { $set: { 'newEmail.changesAt': { $add: ['$$NOW', holdMs] }, hasNewEmail: true } },
    ]);
    return matchedCount === 1;
  }

  /** Whatever is wanted in place of that address. */
  async dropNewEmail(userId: string, email: string): Promise<boolean> {
    const wanted = { email: { $eq: email }, newEmail: { $ne: null } } as mongo.Filter<UserRow>;
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
      await this.dropNewEmail(_id, email);
      return 'taken';
    }
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

/** Only while the credentials are those of then. Absent: written by 0.1. */
const isOf = (credentialEpoch: number): mongo.Filter<UserRow> => ({
  $expr: { $eq: [{ $ifNull: ['$credentialEpoch', 0] }, credentialEpoch] },
});

/** When a renewal may be, and what it sets beside what every one does. */
function termsOf(renewal: Renewal): { condition: mongo.Filter<UserRow>; set: Partial<UserRow> } {
  switch (renewal.by) {
    case 'password_change': {
      const { passwordHash, session } = renewal;
      return { condition: { sessionEpoch: { $eq: session.epoch } }, set: { passwordHash, mustResetPassword: false } };
    }
    case 'password_reset':
    case 'invitation': {
      const { passwordHash, link, locale } = renewal;
      const language = locale === undefined ? {} : { locale };
      return {
        condition: { email: { $eq: link.email }, ...isOf(link.credentialEpoch) },
        set: { passwordHash, mustResetPassword: false, emailVerified: true, invite: null, ...language },
      };
    }
    case 'not_me':
      return { condition: {}, set: { mustResetPassword: true } };
    case 'disable':
      return { condition: {}, set: { disabled: true } };
  }
}

/** Who reads the mailbox begins anew; who only knows the password, which a thief may, does not. */
function generationOf({ by }: Renewal): mongo.Document {
  if (by !== 'password_reset' && by !== 'not_me') return {};
  const before = { $ifNull: ['$recoveryGenerationsAt', []] };
  const cond = { $gt: ['$$at', { $subtract: ['$$NOW', DAY_MS] }] };
  const recent = { $filter: { input: before, as: 'at', cond } };
  const isMore = { $lt: [{ $size: recent }, GENERATIONS_A_DAY] };
  return {
    recoveryGeneration: { $add: [{ $ifNull: ['$recoveryGeneration', 0] }, { $cond: [isMore, 1, 0] }] },
    recoveryGenerationsAt: { $cond: [isMore, { $concatArrays: [recent, ['$$NOW']] }, recent] },
  };
}

const parsed = (row: unknown): UserRow | null => (row === null ? null : userRowSchema.parse(row));
