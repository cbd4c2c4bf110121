import type { mongo } from 'mongoose';
import { ADDRESS_LIMITS, type Role } from '#contracts';
import { isDuplicateKey } from './mongo.js';
import type { FoundLink } from './link-token.repository.js';
import type { Pending, Step } from './pending.js';
import { type FormerEmail, type Renewal, type UserRow, userRowSchema } from './user.js';

/** Roles that come with what follows, and roles that go at once. */
export interface RoleChange {
  added: readonly Role[];
  removed: readonly Role[];
}

/** More than anybody ends in the twelve hours that a session can live. */
const ENDED_KEPT = 100;
/** Devices and networks of one person; the oldest give way. */
const PLACES_KEPT = 40;
/** Renewals in a day that bring budgets of recovery anew: so many times a thief who goes on can be answered. */
const GENERATIONS_A_DAY = 3;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

type StoredUser = UserRow & { pending?: Pending[]; hasPending?: boolean };

/** `users`: who may sign in. Each change is one conditional update, and writes down what follows from it elsewhere. */
export class UserRepository {
  constructor(private readonly rows: mongo.Collection<StoredUser>) {}

  async ensureIndexes(): Promise<void> {
    await this.rows.createIndex({ email: 1 }, { unique: true });
    await this.rows.createIndex({ 'formerEmails.email': 1 }, { sparse: true });
    await this.rows.createIndex({ hasNewEmail: 1 }, { partialFilterExpression: { hasNewEmail: true } });
    await this.rows.createIndex({ hasErasure: 1 }, { partialFilterExpression: { hasErasure: true } });
  }

  /** False when the address is taken. */
  async insert(row: UserRow, pending?: Pending): Promise<boolean> {
    if (await this.isKept(row.email, row._id)) return false;
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

  /** Whether another account had this address within the days in which its mailbox may take it back. */
  async isKept(email: string, userId: string): Promise<boolean> {
    const others = { 'formerEmails.email': { $eq: email }, _id: { $ne: userId } };
    const rows = await this.rows.find(others as mongo.Filter<StoredUser>, { limit: 10 }).toArray();
    const since = Date.now() - ADDRESS_LIMITS.undoDays * DAY_MS;
    return rows.some(({ formerEmails }) =>
      formerEmails.some((former) => former.email === email && former.changedAt.getTime() > since),
    );
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
   * under way; `ifKept`: where an erasure was. Staff who disable an account stop no erasure. The account as this update left
   * it; null when the account is not any more as the renewal says.
   */
  async renew(
    userId: string,
    renewal: Renewal,
    pending: Pending,
    { ifStopped, ifKept }: { ifStopped: Step[]; ifKept: Step[] },
  ): Promise<UserRow | null> {
    const raised = (field: string) => ({ $add: [{ $ifNull: [`$${field}`, 0] }, 1] });
    const [sessionEpoch, credentialEpoch] = [raised('sessionEpoch'), raised('credentialEpoch')];
    const { condition, set, computed = NOTHING_COMPUTED } = termsOf(renewal);
    const knownPlaces = ('places' in renewal && renewal.places) || [];
    const literals = Object.entries(set).map(([field, value]) => [field, { $literal: value }] as const);
    const staying =
      renewal.by === 'password_change'
        ? { sessionId: { $literal: renewal.session.sessionId }, epoch: sessionEpoch }
        : null;
    const isStopped = { $ne: [{ $ifNull: ['$newEmail', null] }, null] };
    const isKept = renewal.by === 'disable' ? false : IS_ERASURE_WAITING;
    const grants = { do: { $literal: 'remove_grants' }, below: credentialEpoch };
    const steps = {
      $concatArrays: [
        { $literal: pending.steps },
        { $cond: [isStopped, { $literal: ifStopped }, []] },
        { $cond: [isKept, { $literal: ifKept }, []] },
        [grants],
      ],
    };
    const fields = {
      pending: { $concatArrays: [PENDING, [{ $mergeObjects: [{ $literal: pending }, { steps }] }]] },
      hasPending: true,
      sessionEpoch,
      credentialEpoch,
      staying,
      newEmail: null,
      hasNewEmail: false,
      erasure: { $cond: [isKept, null, { $ifNull: ['$erasure', null] }] },
      hasErasure: { $cond: [isKept, false, { $ifNull: ['$hasErasure', false] }] },
      knownPlaces: { $literal: knownPlaces },
    };
    const before = parsed(
      await this.rows.findOneAndUpdate(
        { ...condition, _id: { $eq: userId } },
        [{ $set: { ...fields, ...generationOf(renewal), ...computed, ...Object.fromEntries(literals) } }],
        { returnDocument: 'before' },
      ),
    );
    if (!before) return null;
    const epochs = { sessionEpoch: before.sessionEpoch + 1, credentialEpoch: before.credentialEpoch + 1 };
    const isErased = before.erasure?.begun === true || renewal.by === 'disable';
    const erasure = isErased ? {} : { erasure: null, hasErasure: false };
    const known = { ...before, ...set, ...epochs, ...erasure, newEmail: null, hasNewEmail: false, knownPlaces };
    return computed === NOTHING_COMPUTED ? known : ((await this.findById(userId)) ?? known);
  }

  async enable(userId: string, pending: Pending): Promise<boolean> {
    return this.change(userId, {}, { $set: { disabled: false } }, pending);
  }

  async raiseSessionEpoch(userId: string): Promise<void> {
    await this.change(userId, {}, { $inc: { sessionEpoch: 1 } });
  }

  /** Only while the credentials are those of then: what was entered with others is no place of the owner's. */
  async rememberPlaces({ _id, credentialEpoch }: UserRow, places: string[]): Promise<void> {
    await this.change(_id, isOf(credentialEpoch), { $push: { knownPlaces: { $each: places, $slice: -PLACES_KEPT } } });
  }

  async endSession(userId: string, sessionId: string): Promise<void> {
    await this.change(userId, {}, { $push: { endedSessions: { $each: [sessionId], $slice: -ENDED_KEPT } } });
  }

  /** Another address, not yet confirmed. Replaces one that was asked for before. False: the credentials were renewed. */
  async askForNewEmail({ _id, credentialEpoch }: UserRow, email: string, pending: Pending): Promise<boolean> {
    const newEmail = { email, requestedAt: new Date(), changesAt: null };
    const condition = { disabled: { $ne: true }, ...NOT_ERASING, ...isUndisputed(credentialEpoch) };
    return this.change(_id, condition, { $set: { newEmail, hasNewEmail: false } }, pending);
  }

  /** The new address is its owner's: from here the hold runs, by the database's clock. Once: a second time changes nothing. */
  async confirmNewEmail(
    { userId, email, credentialEpoch }: FoundLink,
    holdMs: number,
    pending: Pending,
  ): Promise<boolean> {
    const isAsked = {
      'newEmail.email': { $eq: email },
      'newEmail.changesAt': null,
      disabled: { $ne: true },
      ...NOT_ERASING,
    };
    const filter = { _id: { $eq: userId }, ...isAsked, ...isUndisputed(credentialEpoch) } as mongo.Filter<StoredUser>;
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
    const due = {
      hasNewEmail: { $eq: true },
      disabled: { $ne: true },
      ...NOT_ERASING,
      ...isPast('newEmail.changesAt'),
    };
    const rows = await this.rows.find(due, { limit, maxTimeMS: 2_000 }).toArray();
    return rows.map((row) => userRowSchema.parse(row));
  }

  /** Takes the confirmed address over. `taken`: meanwhile it belongs to another account, so nothing comes of it. */
  async applyNewEmail({ _id, email, newEmail }: UserRow, pending: Pending): Promise<'changed' | 'taken' | 'gone'> {
    if (newEmail === null) return 'gone';
    const wanted = { 'newEmail.email': { $eq: newEmail.email }, hasNewEmail: { $eq: true } };
    const filter = { _id: { $eq: _id }, email: { $eq: email }, disabled: { $ne: true }, ...NOT_ERASING, ...wanted };
    if (await this.isKept(newEmail.email, _id)) {
      await this.dropNewEmail(_id, email);
      return 'taken';
    }
    const set = {
      email: { $literal: newEmail.email },
      emailVerified: true,
      newEmail: null,
      hasNewEmail: false,
      formerEmails: keptAddress(),
      pending: { $concatArrays: [PENDING, [{ $literal: pending }]] },
      hasPending: true,
    };
    try {
      const { matchedCount } = await this.rows.updateOne(filter, [{ $set: set }]);
      return matchedCount === 1 ? 'changed' : 'gone';
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      await this.dropNewEmail(_id, email);
      return 'taken';
    }
  }

  /**
   * Takes the roles away that go, at once and with every session; those that come are given by what follows. Roles come only
   * to an account that is proved, by its address or by its invitation. False: it is not, or it is gone.
   */
  async changeRoles(userId: string, { added, removed }: RoleChange, pending: Pending): Promise<boolean> {
    const proved = { $or: [{ emailVerified: { $eq: true } }, { invite: { $ne: null } }] };
    const cond = { $not: { $in: ['$$role', [...removed]] } };
    const gone = {
      roles: { $filter: { input: '$roles', as: 'role', cond } },
      sessionEpoch: { $add: ['$sessionEpoch', 1] },
      ...(removed.includes('admin') ? { adminSince: null, promotedBy: [] } : {}),
    };
    const filter = { ...(added.length > 0 ? proved : {}), ...NOT_ERASING, _id: { $eq: userId } };
    const { matchedCount } = await this.rows.updateOne(filter, [
      {
        $set: {
          ...(removed.length > 0 ? gone : {}),
          pending: { $concatArrays: [PENDING, [{ $literal: pending }]] },
          hasPending: true,
        },
      },
    ]);
    return matchedCount === 1;
  }

  /** From when on it is due says the database's clock. False: the account is gone or disabled, or is about to be erased. */
  async requestErasure(userId: string, erasureId: string, holdMs: number, pending: Pending): Promise<boolean> {
    const filter = { _id: { $eq: userId }, disabled: { $ne: true }, ...NOT_ERASING } as mongo.Filter<StoredUser>;
    const dueAt = { $add: ['$$NOW', holdMs] };
    const { matchedCount } = await this.rows.updateOne(filter, [
      {
        $set: {
          erasure: { id: { $literal: erasureId }, requestedAt: '$$NOW', dueAt, begun: false },
          hasErasure: true,
          pending: { $concatArrays: [PENDING, [{ $literal: pending }]] },
          hasPending: true,
        },
      },
    ]);
    return matchedCount === 1;
  }

  async cancelErasure(userId: string, pending: Pending): Promise<boolean> {
    const waits = { hasErasure: { $eq: true }, 'erasure.begun': { $eq: false } } as mongo.Filter<StoredUser>;
    return this.change(userId, waits, { $set: { erasure: null, hasErasure: false } }, pending);
  }

  /** Those whose hold is over, and those that have begun and are not in the ledger for certain. */
  async findErasuresDue(limit: number, except: readonly string[]): Promise<UserRow[]> {
    const due = { hasErasure: { $eq: true }, _id: { $nin: [...except] }, ...isPast('erasure.dueAt') };
    const rows = await this.rows.find(due, { limit, maxTimeMS: 2_000 }).toArray();
    return rows.map((row) => userRowSchema.parse(row));
  }

  async findByErasure(erasureId: string): Promise<UserRow | null> {
    const filter = { hasErasure: { $eq: true }, 'erasure.id': { $eq: erasureId } } as mongo.Filter<StoredUser>;
    return parsed(await this.rows.findOne(filter));
  }

  /** Ends every session with it. False: it was cancelled, or its time has not come. */
  async beginErasure(userId: string, erasureId: string): Promise<boolean> {
    const filter = { 'erasure.id': { $eq: erasureId }, 'erasure.begun': { $eq: false }, ...isPast('erasure.dueAt') };
    const begun = { $set: { 'erasure.begun': true }, $inc: { sessionEpoch: 1 } };
    return this.change(userId, filter, begun);
  }

  /** Those that are named by their ids. */
  async findAll(userIds: readonly string[]): Promise<UserRow[]> {
    const rows = await this.rows.find({ _id: { $in: [...userIds] } }).toArray();
    return rows.map((row) => userRowSchema.parse(row));
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

/** By the database's clock. */
const isPast = (field: string): mongo.Document => ({
  $expr: { $let: { vars: { now: '$$NOW' }, in: { $lte: [`$${field}`, '$$now'] } } },
});

/** What freezes the address and the roles of an account. Absent: written by 0.1. */
const NOT_ERASING = { hasErasure: { $ne: true } };
const IS_ERASURE_WAITING: mongo.Document = { $eq: [{ $ifNull: ['$erasure.begun', null] }, false] };

/** Only while the credentials are those of then. Absent: written by 0.1. */
const isOf = (credentialEpoch: number): mongo.Filter<StoredUser> => ({ $expr: epochIs(credentialEpoch) });
/** The same, and nobody disputes the address. */
const isUndisputed = (credentialEpoch: number): mongo.Filter<StoredUser> => ({
  $expr: { $and: [epochIs(credentialEpoch), UNDISPUTED] },
});
/** As it was read. */
const isStill = ({ email, credentialEpoch }: UserRow, demand: mongo.Document): mongo.Filter<StoredUser> => ({
  email: { $eq: email },
  $expr: { $and: [epochIs(credentialEpoch), demand] },
});

/** When a renewal may be, and what it sets beside what every one does. */
function termsOf(renewal: Renewal): {
  condition: mongo.Filter<StoredUser>;
  set: Partial<UserRow>;
  /** Fields whose values the database makes. */
  computed?: mongo.Document;
} {
  switch (renewal.by) {
    case 'password_change': {
      const { passwordHash, session } = renewal;
      return { condition: { sessionEpoch: { $eq: session.epoch } }, set: { passwordHash, mustResetPassword: false } };
    }
    case 'password_reset':
    case 'invitation':
    case 'registration': {
      const { passwordHash, link, locale } = renewal;
      const language = locale === undefined ? {} : { locale };
      return {
        condition: { email: { $eq: link.email }, ...isUndisputed(link.credentialEpoch) },
        set: { passwordHash, mustResetPassword: false, emailVerified: true, invite: null, ...language },
      };
    }
    case 'not_me':
      return { condition: {}, set: { mustResetPassword: true }, computed: BARS_PASSWORD };
    case 'disable':
      return { condition: {}, set: { disabled: true } };
    case 'address_undone': {
      const { account, former } = renewal;
      const mustResetPassword = account.mustResetPassword || account.credentialEpoch > former.credentialEpoch;
      return {
        condition: isStill(account, UNDISPUTED),
        // The link that did it lay in that mailbox.
        set: { email: former.email, emailVerified: true, mustResetPassword },
        // Nor does the mailbox of one that came in between take it back.
        computed: {
          ...(mustResetPassword ? BARS_PASSWORD : {}),
          formerEmails: keptAddress(account.formerEmails.filter(({ changedAt }) => changedAt < former.changedAt)),
          addressDispute: disputeBy('undo'),
        },
      };
    }
    case 'address_contested': {
      const isHeld = { $let: { vars: { now: '$$NOW' }, in: { $gt: ['$addressDispute.holdUntil', '$$now'] } } };
      return {
        condition: isStill(renewal.account, { $and: [NOT_CONTESTED, isHeld] }),
        set: {},
        computed: { addressDispute: { $mergeObjects: ['$addressDispute', { contestedAt: '$$NOW' }] } },
      };
    }
    case 'address_decided': {
      const { account, keep } = renewal;
      const condition = isStill(account, { $ne: [NOT_CONTESTED, true] });
      // Nobody knows by now whose the password is.
      const set = { mustResetPassword: true, addressDispute: null };
      if (keep === 'current' || !account.addressDispute) return { condition, set, computed: BARS_PASSWORD };
      const { other, otherVerified } = account.addressDispute;
      return {
        condition,
        set: { ...set, email: other, emailVerified: otherVerified },
        computed: { ...BARS_PASSWORD, formerEmails: keptAddress() },
      };
    }
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

const NOTHING_COMPUTED: mongo.Document = {};
const BARS_PASSWORD: mongo.Document = { barredPasswordHash: '$passwordHash' };

/** The address that goes, kept for its mailbox, behind those of the last days, or those given. */
function keptAddress(before?: readonly FormerEmail[]): mongo.Document {
  const since = { $subtract: ['$$NOW', ADDRESS_LIMITS.undoDays * DAY_MS] };
  const cond = { $gt: ['$$one.changedAt', since] };
  const recent = { $filter: { input: { $ifNull: ['$formerEmails', []] }, as: 'one', cond } };
  const credentialEpoch = { $ifNull: ['$credentialEpoch', 0] };
  const going = { email: '$email', emailVerified: '$emailVerified', changedAt: '$$NOW', credentialEpoch };
  return { $concatArrays: [before ? { $literal: before } : recent, [going]] };
}

/** The database's clock decides from when on the mailbox that gave way cannot object any more. */
const disputeBy = (by: 'undo' | 'readdress'): mongo.Document => ({
  by: { $literal: by },
  other: '$email',
  otherVerified: '$emailVerified',
  holdUntil: { $add: ['$$NOW', ADDRESS_LIMITS.holdHours * HOUR_MS] },
  contestedAt: null,
});
/** No dispute, or one whose hold is over. */
const UNDISPUTED: mongo.Document = {
  $and: [
    { $eq: [{ $ifNull: ['$addressDispute.contestedAt', null] }, null] },
    { $let: { vars: { now: '$$NOW' }, in: { $lte: [{ $ifNull: ['$addressDispute.holdUntil', '$$now'] }, '$$now'] } } },
  ],
};
const NOT_CONTESTED: mongo.Document = { $eq: [{ $ifNull: ['$addressDispute.contestedAt', null] }, null] };
const epochIs = (credentialEpoch: number): mongo.Document => ({
  $eq: [{ $ifNull: ['$credentialEpoch', 0] }, credentialEpoch],
});

const parsed = (row: unknown): UserRow | null => (row === null ? null : userRowSchema.parse(row));
