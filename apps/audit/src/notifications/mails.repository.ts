import { Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectModel } from '@nestjs/mongoose';
import type { Collection, Model } from 'mongoose';
import type { MailRow } from '#contracts';
import { MAIL_MODEL, type StoredMail } from './mail.schema.js';

const DUPLICATE_KEY = 11_000;
/** Renewed while a conversation lasts: the mail of a process that died is another's after this. */
const LEASE_MS = 90_000;
const GIVE_UP_MS = 24 * 3_600_000;
const KEPT_MS = 30 * 24 * 3_600_000;
const EPOCH = new Date(0);

/** Not sent, not given up, due, and in nobody's hands. By the database's clock, which all processes share. */
const DUE = {
  state: { $in: ['waiting' as const, null] },
  $expr: {
    $let: {
      vars: { now: '$$NOW' },
      in: {
        $and: [
          { $lte: [{ $ifNull: ['$nextAttemptAt', EPOCH] }, '$$now'] },
          { $lte: [{ $ifNull: ['$leaseUntil', EPOCH] }, '$$now'] },
        ],
      },
    },
  },
};

@Injectable()
export class MailsRepository implements OnModuleInit {
  private readonly mails: Collection<StoredMail>;

  constructor(@InjectModel(MAIL_MODEL) private readonly model: Model<StoredMail>) {
    this.mails = model.db.collection<StoredMail>(model.collection.name);
  }

  async onModuleInit(): Promise<void> {
    await this.model.init();
  }

  /** Rows that exist are left alone, whatever became of them: an id is mailed once. */
  async insert(rows: (MailRow & { state?: 'waiting' | 'held' })[]): Promise<void> {
    for (const row of rows) {
      try {
        await this.mails.insertOne({ state: 'waiting', ...row }, { ignoreUndefined: true });
      } catch (error) {
        if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
      }
    }
  }

  async findDue(limit: number): Promise<string[]> {
    const rows = await this.mails.find(DUE, { projection: { _id: 1 }, limit, maxTimeMS: 2_000 }).toArray();
    return rows.map((row) => row._id);
  }

  /** Takes a due mail for one try. Null: sent, given up, not due, or in another's hands. */
  async claim(mailId: string, leaseId: string): Promise<StoredMail | null> {
    return this.mails.findOneAndUpdate(
      { _id: mailId, ...DUE },
      [
        {
          $set: {
            state: 'waiting',
            leaseId: { $literal: leaseId },
            leaseUntil: { $add: ['$$NOW', LEASE_MS] },
            attempts: { $add: [{ $ifNull: ['$attempts', 0] }, 1] },
          },
        },
      ],
      { returnDocument: 'after' },
    );
  }

  async renew(mailId: string, leaseId: string): Promise<void> {
    await this.mails.updateOne({ _id: mailId, leaseId }, [{ $set: { leaseUntil: { $add: ['$$NOW', LEASE_MS] } } }]);
  }

  /** What was secret or personal in the row has done its work; the id stays, so that it is not mailed again. */
  async finish(mailId: string, state: 'sent' | 'dead', reply?: string): Promise<void> {
    await this.mails.updateOne({ _id: mailId }, [
      {
        $set: {
          state: { $literal: state },
          expireAt: { $add: ['$$NOW', KEPT_MS] },
          ...(state === 'sent' ? { sentAt: '$$NOW' } : {}),
          ...(reply === undefined ? {} : { reply: { $literal: reply } }),
        },
      },
      { $unset: ['sealedSecret', 'sealedOrigin', 'to', 'params', 'leaseId', 'leaseUntil', 'nextAttemptAt'] },
    ]);
  }

  /** After a failed try: due again later, or given up a day after it was written. Returns the state it is left in. */
  async postpone(mailId: string, leaseId: string, delayMs: number): Promise<'waiting' | 'dead' | 'lost'> {
    const isTooOld = { $lte: [{ $ifNull: ['$createdAt', EPOCH] }, { $subtract: ['$$NOW', GIVE_UP_MS] }] };
    const row = await this.mails.findOneAndUpdate(
      { _id: mailId, leaseId },
      [
        {
          $set: {
            state: { $cond: [isTooOld, 'dead', 'waiting'] },
            nextAttemptAt: { $add: ['$$NOW', delayMs] },
          },
        },
        { $unset: ['leaseId', 'leaseUntil'] },
      ],
      { returnDocument: 'after', projection: { state: 1 } },
    );
    return row ? (row.state === 'dead' ? 'dead' : 'waiting') : 'lost';
  }

  async release(mailId: string): Promise<void> {
    await this.mails.updateOne({ _id: mailId, state: 'held' }, { $set: { state: 'waiting' } });
  }

  /** How many wait, and how long the oldest has waited, seconds. */
  async backlog(): Promise<{ waiting: number; oldestSeconds: number }> {
    const of = { state: 'waiting' as const };
    const [waiting, oldest] = await Promise.all([
      this.mails.countDocuments(of, { maxTimeMS: 2_000 }),
      this.mails.findOne(of, { sort: { createdAt: 1 }, projection: { createdAt: 1 }, maxTimeMS: 2_000 }),
    ]);
    const since = oldest?.createdAt?.getTime() ?? Date.now();
    return { waiting, oldestSeconds: Math.max(0, (Date.now() - since) / 1000) };
  }

  async remove(mailId: string): Promise<void> {
    await this.mails.deleteOne({ _id: mailId });
  }

  async removeOfUser(userId: string, exceptMailId: string): Promise<void> {
    await this.mails.deleteMany({ userId, _id: { $ne: exceptMailId } });
  }
}
