import { Schema } from 'mongoose';
import type { ErasureRow } from '#contracts';

/** The ledger's row as audit keeps it. */
export interface StoredErasure extends ErasureRow {
  leaseId?: string;
  leaseUntil?: Date;
  /** Set once, by the database's clock, when everything is gone: the time of the last event. */
  finishedAt?: Date;
  /** True until the second pass, for writers that were on their way when the first one ran. */
  repeatDue?: boolean;
}

export const ERASURE_MODEL = 'Erasure';

export const erasureSchema = new Schema<StoredErasure>(
  {
    _id: { type: String, required: true },
    userId: String,
    requestedBy: String,
    requestedAt: Date,
    completedAt: Date,
    state: String,
    leaseId: String,
    leaseUntil: Date,
    finishedAt: Date,
    repeatDue: Boolean,
  },
  { collection: 'erasures', versionKey: false },
)
  .index({ state: 1 })
  .index({ repeatDue: 1 }, { sparse: true });
