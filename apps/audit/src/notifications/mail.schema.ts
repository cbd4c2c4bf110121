import { Schema } from 'mongoose';
import type { MailRow } from '#contracts';

/**
 * A mail row as audit keeps it. A row that a gateway has just inserted has none of the further fields: a missing
 * `state` is `waiting`. `held`: not to be sent yet (the last mail of an erasure).
 */
export interface StoredMail extends Omit<MailRow, 'params'> {
  params?: MailRow['params'];
  state?: 'waiting' | 'held' | 'sent' | 'dead' | null;
  attempts?: number;
  nextAttemptAt?: Date;
  leaseUntil?: Date;
  leaseId?: string;
  sentAt?: Date;
  /** By which codes the server refused it for good, for the operator: `550 5.1.1`. */
  reply?: string;
  /** When the row is dropped: its id has to outlive every repeat of the outbox entry that made it. */
  expireAt?: Date;
}

export const MAIL_MODEL = 'Mail';

export const mailSchema = new Schema<StoredMail>(
  {
    _id: { type: String, required: true },
    userId: String,
    to: String,
    template: String,
    params: Schema.Types.Mixed,
    sealedOrigin: String,
    sealedSecret: String,
    createdAt: Date,
    state: String,
    attempts: Number,
    nextAttemptAt: Date,
    leaseUntil: Date,
    leaseId: String,
    sentAt: Date,
    reply: String,
    expireAt: Date,
  },
  { collection: 'mails', versionKey: false },
)
  .index({ state: 1 })
  .index({ userId: 1 })
  .index({ expireAt: 1 }, { expireAfterSeconds: 0 });
