import { z } from 'zod';
import { auditEventSchema, eventTypeSchema } from './events.js';

/** Nest microservice patterns that the audit service answers (TCP). Dates travel as ISO 8601 strings. */
export const AUDIT_PATTERNS = { listEvents: 'audit.events.list' } as const;

export const listEventsQuerySchema = z.strictObject({
  /** Shared secret of gateway and audit; compared in constant time before anything else is looked at. */
  secret: z.string(),
  from: z.iso.datetime().optional(),
  to: z.iso.datetime().optional(),
  type: eventTypeSchema.optional(),
  userId: z.uuid().optional(),
  /** As it is shown; upper and lower case are the same. */
  device: z.string().min(1).max(120).optional(),
  /** An address, or a network as it is shown. */
  address: z.string().min(1).max(50).optional(),
  /** Opaque, from the answer before. */
  cursor: z.string().max(200).optional(),
  limit: z.int().min(1).max(200),
  withSimilarity: z.boolean(),
});
export type ListEventsQuery = z.infer<typeof listEventsQuerySchema>;

export const wireEventSchema = auditEventSchema
  .omit({ timestamp: true, type: true })
  .extend({ timestamp: z.iso.datetime(), eventType: eventTypeSchema });
export type WireEvent = z.infer<typeof wireEventSchema>;

/** Newest first. */
export const listEventsAnswerSchema = z.discriminatedUnion('status', [
  z.strictObject({ status: z.literal('ok'), events: z.array(wireEventSchema), nextCursor: z.string().nullable() }),
  z.strictObject({ status: z.literal('refused'), code: z.enum(['unauthorised', 'invalid_query']) }),
]);
export type ListEventsAnswer = z.infer<typeof listEventsAnswerSchema>;
