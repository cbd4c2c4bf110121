import { Schema } from 'mongoose';
import { LOG_COLLECTIONS, type StoredCheckpoint, type StoredEntry } from '#audit-log';

export const ENTRY_MODEL = 'FaceAuthEvent';
export const EVENT_DAY_MODEL = 'FaceAuthEventDay';
export const CHECKPOINT_MODEL = 'AuditCheckpoint';

/** The three unique indexes are the fence: of two writers at the same place in the log only one inserts. */
export const entrySchema = new Schema<StoredEntry>(
  {
    seq: { type: Number, required: true },
    eventId: { type: String, required: true },
    prevHash: { type: String, required: true },
    entry: { type: String, required: true },
    day: { type: String, required: true },
    timestamp: { type: Date, required: true },
    type: { type: String, required: true },
    subject: { type: String, default: null },
    payload: [{ _id: false, part: String, data: String }],
    tags: [String],
  },
  { collection: LOG_COLLECTIONS.entries, versionKey: false },
)
  .index({ seq: 1 }, { unique: true })
  .index({ prevHash: 1 }, { unique: true })
  .index({ eventId: 1 }, { unique: true })
  .index({ day: 1, timestamp: -1, eventId: -1 })
  .index({ subject: 1, timestamp: -1, eventId: -1 })
  .index({ tags: 1, timestamp: -1, eventId: -1 });

/** Which days hold events, so that a reader of a long period skips the others. `_id` is the day. */
export const eventDaySchema = new Schema<{ _id: string }>(
  { _id: { type: String, required: true } },
  { collection: LOG_COLLECTIONS.days, versionKey: false },
);

export const checkpointSchema = new Schema<StoredCheckpoint>(
  {
    _id: { type: Number, required: true },
    note: String,
    leaves: [String],
    subtrees: [String],
    published: Boolean,
  },
  { collection: LOG_COLLECTIONS.checkpoints, versionKey: false },
).index({ published: 1 });
