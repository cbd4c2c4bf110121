import type { mongo } from 'mongoose';
import { isDuplicateKey } from './mongo.js';
import type { FoundLink } from './link-token.repository.js';
import type { Pending, Step } from './pending.js';
import { type Renewal, type UserRow, userRowSchema } from './user.js';

/** More than anybody ends in the twelve hours that a session can live. */
const ENDED_KEPT = 100;
/** Renewals in a day that bring budgets of recovery anew: so many times a thief who goes on can be answered. */
const GENERATIONS_A_DAY = 3;
const DAY_MS = 24 * 3_600_000;

type StoredUser = UserRow & { pending?: Pending[]; hasPending?: boolean };

/** `users`: who may sign in. Each change is one conditional update, and writes down what follows from it elsewhere. */
export class UserRepository {
  constructor(private readonly rows: mongo.Collection<StoredUser>) {}

  async ensureIndexes(): Promise<void> {
    await this.rows.createIndex({ email: 1 }, { unique: true });
    await this.rows.createIndex({ hasNewEmail: 1 }, { partialFilterExpression: { hasNewEmail: true } });
  }

  /** False when the address is taken. */
  async insert(row: UserRow, pending?: Pending): Promise<boolean> {
    try {
      const rest = pending ? { pending: [pending], hasPending: true } : {};
      await this.rows.insertOne({ ...row, ...rest }, { ignoreUndefined: true });
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
  async setEmailVerified({ userId, email, credentialEpoch }: FoundLink, pending: Pending): Promise<boolean> {
    const condition = { email: { $eq: email }, ...isOf(credentialEpoch) };
    return this.change(userId, condition, { $set: { emailVerified: true } }, pending);
  }

  /** Only what follows; whatever is changed is so by its last step. */
  async intend(userId: string, pending: Pending): Promise<boolean> {
    return this.change(userId, {}, {}, pending);
  }

  /**
   * All of a renewal that decides anything, in one update. `ifStopped`: what follows besides where a change of address was
   * under way. The account as this update left it; null when the account is not any more as the renewal says.
   */
  async renew(userId: string, renewal: Renewal, pending: Pending, ifStopped: Step[]): Promise<UserRow | null> {
    const raised = (field: string) => ({ $add: [{ $ifNull: [`$${field}`, 0] }, 1] });
    const [sessionEpoch, credentialEpoch] = [raised('sessionEpoch'), raised('credentialEpoch')];
    const { condition, set } = termsOf(renewal);
    const literals = Object.entries(set).map(([field, value]) => [field, { $literal: value }] as const);
    const staying =
      renewal.by === 'password_change'
        ? { sessionId: { $literal: renewal.session.sessionId }, epoch: sessionEpoch }
        : null;
    const isStopped = { $ne: [{ $ifNull: ['$newEmail', null] }, null] };
    const grants = { do: { $literal: 'remove_grants' }, below: credentialEpoch };
    const steps = {
      $concatArrays: [{ $literal: pending.steps }, { $cond: [isStopped, { $literal: ifStopped }, []] }, [grants]],
    };
    const fields = {
      pending: { $concatArrays: [PENDING, [{ $mergeObjects: [{ $literal: pending }, { steps }] }]] },
      hasPending: true,
      sessionEpoch,
      credentialEpoch,
      staying,
      newEmail: null,
      hasNewEmail: false,
    };
    const before = parsed(
      await this.rows.findOneAndUpdate(
        { ...condition, _id: { $eq: userId } },
        [{ $set: { ...fields, ...generationOf(renewal), ...Object.fromEntries(literals) } }],
        { returnDocument: 'before' },
      ),
    );
    if (!before) return null;
    const epochs = { sessionEpoch: before.sessionEpoch + 1, credentialEpoch: before.credentialEpoch + 1 };
    return { ...before, ...set, ...epochs, newEmail: null, hasNewEmail: false };
  }

  async enable(userId: string, pending: Pending): Promise<boolean> {
    return this.change(userId, {}, { $set: { disabled: false } }, pending);
  }

  async raiseSessionEpoch(userId: string): Promise<void> {
    await this.change(userId, {}, { $inc: { sessionEpoch: 1 } });
  }

  async endSession(userId: string, sessionId: string): Promise<void> {
    await this.change(userId, {}, { $push: { endedSessions: { $each: [sessionId], $slice: -ENDED_KEPT } } });
  }

  /** Another address, not yet confirmed. Replaces one that was asked for before. False: the credentials were renewed. */
  async askForNewEmail({ _id, credentialEpoch }: UserRow, email: string, pending: Pending): Promise<boolean> {
    const newEmail = { email, requestedAt: new Date(), changesAt: null };
    return this.change(_id, isOf(credentialEpoch), { $set: { newEmail, hasNewEmail: false } }, pending);
  }

  /** The new address is its owner's: from here the hold runs, by the database's clock. Once: a second time changes nothing. */
  async confirmNewEmail(
    { userId, email, credentialEpoch }: FoundLink,
    holdMs: number,
    pending: Pending,
  ): Promise<boolean> {
    const isAsked = { 'newEmail.email': { $eq: email }, 'newEmail.changesAt': null, ...isOf(credentialEpoch) };
    const filter = { _id: { $eq: userId }, ...isAsked } as mongo.Filter<StoredUser>;
    const { matchedCount } = await this.rows.updateOne(filter, [
      {
        $set: {
          'newEmail.changesAt': { $add: ['$$NOW', holdMs] },
          hasNewEmail: true,
          pending: { $concatArrays: [PENDING, [{ $literal: pending }]] },
          hasPending: true,
        },
      },
    ]);
    return matchedCount === 1;
  }

  /** Whatever is wanted in place of that address. */
  async dropNewEmail(userId: string, email: string, pending?: Pending): Promise<boolean> {
    const wanted = { email: { $eq: email }, newEmail: { $ne: null } } as mongo.Filter<StoredUser>;
    return this.change(userId, wanted, { $set: { newEmail: null, hasNewEmail: false } }, pending);
  }

  /** Accounts whose hold is over. */
  async findEmailChangesDue(limit: number): Promise<UserRow[]> {
    const isOver = { $expr: { $let: { vars: { now: '$$NOW' }, in: { $lte: ['$newEmail.changesAt', '$$now'] } } } };
    const rows = await this.rows.find({ hasNewEmail: { $eq: true }, ...isOver }, { limit, maxTimeMS: 2_000 }).toArray();
    return rows.map((row) => userRowSchema.parse(row));
  }

  /** Takes the confirmed address over. `taken`: meanwhile it belongs to another account, so nothing comes of it. */
  async applyNewEmail({ _id, email, newEmail }: UserRow, pending: Pending): Promise<'changed' | 'taken' | 'gone'> {
    if (newEmail === null) return 'gone';
    const filter = { email: { $eq: email }, 'newEmail.email': { $eq: newEmail.email }, hasNewEmail: { $eq: true } };
    const set = { email: newEmail.email, emailVerified: true, newEmail: null, hasNewEmail: false };
    try {
      return (await this.change(_id, filter, { $set: set }, pending)) ? 'changed' : 'gone';
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      await this.dropNewEmail(_id, email);
      return 'taken';
    }
  }

  /** `update`: where something follows, without `$push`. */
  private async change(
    userId: string,
    condition: mongo.Filter<StoredUser>,
    update: mongo.UpdateFilter<StoredUser>,
    pending?: Pending,
  ): Promise<boolean> {
    const more = pending ? { $push: { pending }, $set: { ...update.$set, hasPending: true } } : {};
    const { matchedCount } = await this.rows.updateOne(
      { ...condition, _id: { $eq: userId } },
      { ...update, ...more },
      { ignoreUndefined: true },
    );
    return matchedCount === 1;
  }
}

const PENDING = { $ifNull: ['$pending', []] };

/** Only while the credentials are those of then. Absent: written by 0.1. */
const isOf = (credentialEpoch: number): mongo.Filter<StoredUser> => ({
  $expr: { $eq: [{ $ifNull: ['$credentialEpoch', 0] }, credentialEpoch] },
});

/** When a renewal may be, and what it sets beside what every one does. */
function termsOf(renewal: Renewal): { condition: mongo.Filter<StoredUser>; set: Partial<UserRow> } {
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
