import { type OutboxEvent, outboxEventSchema } from '#contracts';
import { uuidOf } from '#sealing';

const { eventId: eventIdSchema, userId: userIdSchema, timestamp: timestampSchema } = outboxEventSchema.shape;

/** Fields that a malformed event may keep, each only if it is what it should be. */
const KEPT = [
  'sessionId', 'attemptId', 'reason', 'charged', 'modelDigest', 'thresholdId', 'lockEpoch', 'actorId', 'count',
  'sealed',
] as const; // prettier-ignore

/**
 * What can be stored of an entry that is no event: its id, time and user if they are such, and every field that is
 * sound by itself. An entry without an id gets one made from its content, so that a repeat stores it once.
 */
export function malformedEvent(raw: unknown, o: { userId: string | null; receivedAt: Date }): OutboxEvent {
  const fields = isRecord(raw) ? raw : {};
  const kept = Object.fromEntries(
    KEPT.flatMap((name) => {
      const parsed = outboxEventSchema.shape[name].safeParse(fields[name]);
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

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const stableJson = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    isRecord(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  ) ?? 'undefined';
