import type { mongo } from 'mongoose';
import { type MailRow, NOT_ME_COLLECTION, type NotMeRow } from '#contracts';
import type { GuardStore } from '#guard';
import type { AdminOffice } from './admin-office.js';
import type { LinkTokenRepository } from './link-token.repository.js';
import { isDuplicateKey } from './mongo.js';
import { type Pending, pendingSchema, type Step } from './pending.js';
import type { UserRow } from './user.js';

const PAGE = 100;

export interface PendingReports {
  /** Told of what is done, so that whoever has more to do with it need not wait: mails by their ids. */
  done?(userId: string, mailIds: string[]): void;
  /** The change is made and its rest waits for the sweep. May throw, where whoever asked has to know. */
  failed(userId: string, error: unknown): void;
}

/** Does what changes of accounts still have to do (`Pending`). Anybody may, any number of times, side by side. */
export class PendingChanges {
  private readonly rows: mongo.Collection<UserRow & { pending?: unknown[]; hasPending?: boolean }>;
  private readonly mails: mongo.Collection<MailRow>;
  private readonly notMe: mongo.Collection<NotMeRow>;

  constructor(
    db: mongo.Db,
    private readonly links: LinkTokenRepository,
    private readonly guard: GuardStore,
    private readonly office: AdminOffice,
    private readonly reports: PendingReports,
  ) {
    this.rows = db.collection('users');
    this.mails = db.collection('mails');
    this.notMe = db.collection(NOT_ME_COLLECTION);
  }

  async ensureIndexes(): Promise<void> {
    await this.rows.createIndex({ hasPending: 1 }, { partialFilterExpression: { hasPending: true } });
  }

  /** Whatever goes wrong here, the change itself is made: it is told as such. */
  async finish(userId: string): Promise<void> {
    try {
      await this.finishAll(userId);
    } catch (error) {
      this.reports.failed(userId, error);
    }
  }

  /** Everybody's, whoever has died over it. One that fails holds up no other. */
  async sweep(): Promise<void> {
    let after = '';
    for (;;) {
      const page = await this.rows
        .find({ hasPending: true, _id: { $gt: after } }, { projection: { _id: 1 }, maxTimeMS: 2_000 })
        .sort({ _id: 1 })
        .limit(PAGE)
        .toArray();
      for (const { _id } of page) await this.finish(_id);
      const last = page.at(-1);
      if (page.length < PAGE || !last) return;
      after = last._id;
    }
  }

  private async finishAll(userId: string): Promise<void> {
    const row = await this.rows.findOne({ _id: { $eq: userId } }, { projection: { pending: 1 }, maxTimeMS: 2_000 });
    const found = row?.pending ?? [];
    const mailIds: string[] = [];
    let strange = 0;
    for (const raw of found) {
      const { data: pending } = pendingSchema.safeParse(raw);
      if (!pending) {
        strange += 1;
        continue;
      }
      for (const step of pending.steps) await this.do(userId, step);
      await this.close(userId, pending);
      for (const step of pending.steps) if (step.do === 'mail') mailIds.push(step.row._id);
    }
    if (found.length > strange) this.reports.done?.(userId, mailIds);
    if (strange > 0) throw new Error(`${strange} of what an account has to do is not of this version, or is damaged`);
  }

  /** Where the guard is gone the person is erased, and nothing has to be told of him any more. */
  private async do(userId: string, step: Step): Promise<void> {
    switch (step.do) {
      case 'guard':
        await this.guard.change(userId, withoutUndefined(step.change), step.from, step.opId);
        return;
      case 'event':
        await this.guard.appendPrepared(userId, withoutUndefined(step.event));
        return;
      case 'mail':
        return this.insertMail(step.row);
      case 'remove_grants':
        return this.links.removeGrants(userId, step);
      case 'remove_not_me_links':
        await this.notMe.deleteMany({ userId: { $eq: userId } });
    }
  }

  private async insertMail(row: MailRow): Promise<void> {
    try {
      await this.mails.insertOne(row, { ignoreUndefined: true });
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
    }
  }

  private async close(userId: string, { id, roles = [], by = [], enters }: Pending): Promise<void> {
    const rest = { $filter: { input: '$pending', as: 'one', cond: { $ne: ['$$one.id', { $literal: id }] } } };
    const given = {
      roles: { $concatArrays: ['$roles', { $filter: { input: { $literal: roles }, as: 'role', cond: { $not: { $in: ['$$role', '$roles'] } } } }] }, // prettier-ignore
      sessionEpoch: { $add: ['$sessionEpoch', 1] },
      ...(roles.includes('admin') ? { adminSince: '$$NOW', promotedBy: { $literal: by } } : {}),
    };
    await this.rows.updateOne({ _id: { $eq: userId }, 'pending.id': { $eq: id } }, [
      { $set: { pending: rest, ...(roles.length > 0 ? given : {}) } },
      { $set: { hasPending: { $gt: [{ $size: '$pending' }, 0] } } },
    ]);
    if (enters) await this.office.enter(userId);
  }
}

/** What a parser leaves of fields that were not there must not become null in the database. */
const withoutUndefined = <T extends object>(from: T): Required<T> | T =>
  Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as T;
