import { createHash } from 'node:crypto';
import { type AuditEvent, auditEventSchema } from '#contracts';

const { eventId: eventIdSchema, userId: userIdSchema, timestamp: timestampSchema } = auditEventSchema.shape;

/** Fields that a malformed event may keep, each only if it is what it should be. */
const KEPT = [
  'sessionId', 'deviceModel', 'ipAddress', 'attemptId', 'reason', 'charged', 'similarity', 'modelDigest',
  'thresholdId', 'lockEpoch', 'actorId', 'count',
] as const; // prettier-ignore

/**
 * What can be stored of an entry that is no event: its id, time and user if they are such, and every field that is
 * sound by itself. An entry without an id gets one made from its content, so that a repeat stores it once.
 */
export function malformedEvent(raw: unknown, o: { userId: string | null; receivedAt: Date }): AuditEvent {
  const fields = isRecord(raw) ? raw : {};
  const kept = Object.fromEntries(
    KEPT.flatMap((name) => {
      const parsed = auditEventSchema.shape[name].safeParse(fields[name]);
      return parsed.success && parsed.data !== undefined ? [[name, parsed.data] as const] : [];
    }),
  );
  const eventId = eventIdSchema.safeParse(fields.eventId);
  const userId = userIdSchema.safeParse(fields.userId);
  const timestamp = timestampSchema.safeParse(fields.timestamp);
  return {
    ...kept,
    eventId: eventId.success ? eventId.data : uuidOf(`malformed:${o.userId ?? ''}:${stableJson(raw)}`),
    userId: o.userId ?? (userId.success ? userId.data : null),
    type: 'malformed',
    timestamp: timestamp.success ? timestamp.data : o.receivedAt,
  };
}

/** A UUID (version 8, RFC 9562) made from a text: the same one for the same text. */
export function uuidOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const stableJson = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    isRecord(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  ) ?? 'undefined';
