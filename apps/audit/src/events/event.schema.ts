import { Schema } from 'mongoose';
import type { AuditEvent } from '#contracts';

/** An event as it is stored. `day` is the UTC day of the timestamp, `YYYY-MM-DD`: the bucket that pages are read from. */
export type StoredEvent = AuditEvent & { day: string; erased?: true };

export const EVENT_MODEL = 'FaceAuthEvent';
export const EVENT_DAY_MODEL = 'FaceAuthEventDay';

export const eventSchema = new Schema<StoredEvent>(
  {
    eventId: { type: String, required: true },
    userId: { type: String, default: null },
    type: { type: String, required: true },
    timestamp: { type: Date, required: true },
    day: { type: String, required: true },
    sessionId: String,
    deviceModel: String,
    ipAddress: String,
    attemptId: String,
    reason: String,
    charged: Boolean,
    similarity: Number,
    modelDigest: String,
    thresholdId: String,
    lockEpoch: Number,
    actorId: String,
    count: Number,
    erased: Boolean,
  },
  { collection: 'face_auth_events', versionKey: false },
)
  .index({ eventId: 1 }, { unique: true })
  .index({ day: 1, timestamp: -1, eventId: -1 })
  .index({ userId: 1, timestamp: -1, eventId: -1 });

/** Which days hold events, so that a reader of a long period skips the others. `_id` is the day. */
export const eventDaySchema = new Schema<{ _id: string }>(
  { _id: { type: String, required: true } },
  { collection: 'face_auth_event_days', versionKey: false },
);
