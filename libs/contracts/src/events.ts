import { z } from 'zod';

/** Every type of audit event there is. A closed list: readers may rely on it. */
export const EVENT_TYPES = [
  'success',
  'failed',
  'locked',
  'unlocked',
  'refused',
  'error',
  'expired',
  'cancelled',
  'abandoned',
  'enrolled',
  'unenrolled',
  're_enrolment_required',
  'login_ok',
  'login_failed',
  'credential_refused',
  'introspected',
  'logout',
  'password_changed',
  'password_verified',
  'recovery_sent',
  'recovery_used',
  'consent_given',
  'consent_withdrawn',
  'session_ended',
  'registered',
  'verification_sent',
  'email_verified',
  'email_change_asked',
  'email_change_confirmed',
  'email_change_cancelled',
  'email_changed',
  'email_change_undone',
  'email_contested',
  'email_decided',
  'password_reset_asked',
  'login_link_asked',
  'invited',
  'roles_changed',
  'roles_asked',
  'roles_refused',
  'disabled',
  'enabled',
  'preferences_changed',
  'admin_read',
  'admin_action',
  'similarity_read',
  'erasure_requested',
  'erasure_cancelled',
  'erasure_begun',
  'erasure_completed',
  'export',
  'model_loaded',
  'model_refused',
  'config_changed',
  'result_forged',
  'pruned',
  'era_opened',
  'malformed',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];
export const eventTypeSchema = z.enum(EVENT_TYPES);

/** Internal cause of an attempt's end. Kept in the audit trail, never shown to the client. */
export const EVENT_REASONS = [
  'wrong_action',
  'no_action',
  'discontinuous',
  'not_one_person',
  'spoof',
  'mismatch',
  'quality',
  'stalled_twice',
  'own_change',
  'officer_change',
  'transport_lost',
  'worker_failed',
  // Of `login_failed` and `credential_refused`.
  'wrong_credential',
  'throttled',
  'account_barred',
  // Of `result_forged`: what was wrong with what lay in Redis.
  'malformed',
  'unknown_key',
  'bad_signature',
  'replayed',
  'input_swapped',
  'session_forged',
  // Of `pruned`: what a registration or an enrolment left behind when it was killed, or details past their time.
  'orphan_guard',
  'orphan_template',
  'retention',
] as const;
export type EventReason = (typeof EVENT_REASONS)[number];
export const eventReasonSchema = z.enum(EVENT_REASONS);

/** Where a request came from, as far as the audit trail records it. */
export const originSchema = z.strictObject({
  sessionId: z.uuid().optional(),
  deviceModel: z.string().max(120).optional(),
  ipAddress: z.string().max(45).optional(),
});
export type Origin = z.infer<typeof originSchema>;

/**
 * What an event says beyond its fixed fields: which roles, which filter, how many days. Part of the signed entry for
 * ever, so never personal: no address, no name, no text of a person's own.
 */
export const eventDetailSchema = z.record(
  z.string().regex(/^[a-z][A-Za-z]{0,31}$/),
  z.union([z.string().max(500), z.int(), z.boolean(), z.array(z.string().max(100)).max(20)]),
);
export type EventDetail = z.infer<typeof eventDetailSchema>;

/**
 * One audit event. `eventId` is the idempotency key: storing the same event twice stores it once. `userId` is a random
 * identifier that nothing maps to a person once the account is erased. `similarity` is a cosine in [-1, 1].
 */
export const auditEventSchema = z.strictObject({
  eventId: z.uuid(),
  userId: z.uuid().nullable(),
  type: eventTypeSchema,
  timestamp: z.date(),
  ...originSchema.shape,
  attemptId: z.uuid().optional(),
  /** The relying application that asked. */
  clientId: z.uuid().optional(),
  reason: eventReasonSchema.optional(),
  charged: z.boolean().optional(),
  similarity: z.number().min(-1).max(1).optional(),
  modelDigest: z.string().optional(),
  thresholdId: z.string().optional(),
  lockEpoch: z.int().optional(),
  /** For events by staff: who acted. For counted events: how often. */
  actorId: z.uuid().optional(),
  count: z.int().positive().optional(),
  detail: eventDetailSchema.optional(),
});
export type AuditEvent = z.infer<typeof auditEventSchema>;

/** The three parts of what is personal in an event. Each is sealed, stored and deleted by itself. */
export const PAYLOAD_PARTS = ['address', 'origin', 'similarity'] as const;
export type PayloadPart = (typeof PAYLOAD_PARTS)[number];
export type Personal = Pick<AuditEvent, 'ipAddress' | 'deviceModel' | 'similarity'>;

const sealedPartSchema = z.strictObject({ part: z.enum(PAYLOAD_PARTS), data: z.base64url().max(2_000) });
export type SealedPart = z.infer<typeof sealedPartSchema>;

/** Fields of an event that its process may know before the event is written, and that a proof then covers. */
export const PROVEN_FIELDS = [
  'timestamp',
  'sessionId',
  'attemptId',
  'clientId',
  'reason',
  'charged',
  'modelDigest',
  'thresholdId',
  'lockEpoch',
  'actorId',
  'count',
  'detail',
] as const;
export type ProvenField = (typeof PROVEN_FIELDS)[number];

/** What whoever seals an event knows of it. `types`: those among which the update that writes it may choose. */
export interface KnownOfEvent {
  types: readonly EventType[];
  fields?: { readonly [Name in ProvenField]?: AuditEvent[Name] };
  isOlder?: boolean;
}

/** A MAC (HMAC-SHA-256, base64url) over an event's id, subject, possible types, sealed parts and the fields named. */
export const eventProofSchema = z.strictObject({
  types: z.array(eventTypeSchema).min(1).max(20),
  fields: z.array(z.enum(PROVEN_FIELDS)).max(PROVEN_FIELDS.length),
  /** The event waited before there was a key: `migrate` vouches that it stood so when it ran. */
  older: z.literal(true).optional(),
  mac: z.string().regex(/^[\w-]{43}$/),
});
export type EventProof = z.infer<typeof eventProofSchema>;

/** What is personal in an event, as it leaves the gateway: ciphertext (base64url), and keyed digests to search by. */
export const sealedPersonalSchema = z.strictObject({
  parts: z.array(sealedPartSchema).max(PAYLOAD_PARTS.length),
  tags: z.array(z.string().regex(/^[adn][\w-]{22}$/)).max(3),
  /** Absent where no EVENT_MAC_KEY is set. */
  proof: eventProofSchema.optional(),
});
export type SealedPersonal = z.infer<typeof sealedPersonalSchema>;

/** An event in an outbox: nothing personal in clear. */
export const outboxEventSchema = auditEventSchema
  .omit({ deviceModel: true, ipAddress: true, similarity: true })
  .extend({ sealed: sealedPersonalSchema.optional() });
export type OutboxEvent = z.infer<typeof outboxEventSchema>;
