import { z } from 'zod';
import type { EventProofs } from '#audit-log';
import { type EventType, type MailRow, mailRowSchema, type OutboxEvent, outboxEventSchema } from '#contracts';
import { malformedEvent } from './malformed.js';

const eventEntry = z.strictObject({ kind: z.literal('event'), event: outboxEventSchema });
const mailEntry = z.strictObject({
  kind: z.literal('mail'),
  mailId: z.string().min(1).max(200),
  template: mailRowSchema.shape.template,
  params: mailRowSchema.shape.params,
  sealedOrigin: mailRowSchema.shape.sealedOrigin,
  at: z.date(),
});
const entrySchema = z.discriminatedUnion('kind', [eventEntry, mailEntry]);

/** What is to be stored of an outbox, and the ids by which its entries are pulled afterwards. */
export interface OutboxBatch {
  events: OutboxEvent[];
  mails: MailRow[];
  ids: string[];
  malformed: number;
}

/** Written by audit itself and by nobody else: from an outbox they would explain away what is missing. */
const OWN_TYPES: ReadonlySet<EventType> = new Set<EventType>(['erasure_completed', 'pruned', 'era_opened']);

/** What the guard is told to pull for an entry without a usable id. */
const WITHOUT_ID = '';

/** What an entry is measured by. `proofs`: null where there is no key, and every event is believed. */
export interface Measure {
  receivedAt: Date;
  proofs: EventProofs | null;
}

/**
 * Sorts the entries of one user's outbox. An entry that is not what it should be, of another user, or without the proof
 * that one of our processes made it, is `malformed`.
 */
export function sortGuardOutbox(userId: string, entries: readonly unknown[], measure: Measure): OutboxBatch {
  const { receivedAt } = measure;
  const batch: OutboxBatch = { events: [], mails: [], ids: [], malformed: 0 };
  for (const raw of entries) {
    const { data: entry } = entrySchema.safeParse(raw);
    if (entry?.kind === 'event' && entry.event.userId === userId && isOurs(entry.event, measure)) {
      batch.events.push(asStored(entry.event));
      batch.ids.push(entry.event.eventId);
    } else if (entry?.kind === 'mail') {
      const { kind: _kind, mailId, at, ...mail } = entry;
      batch.mails.push({ _id: mailId, userId, ...mail, createdAt: at });
      batch.ids.push(mailId);
    } else {
      const { event, mailId } = (raw ?? {}) as { event?: { eventId?: unknown }; mailId?: unknown };
      batch.events.push(malformedEvent(event ?? raw, { userId, receivedAt }));
      const id = event?.eventId ?? mailId;
      batch.ids.push(typeof id === 'string' ? id : WITHOUT_ID);
      batch.malformed += 1;
    }
  }
  return batch;
}

/** The same for a process's outbox, which holds bare events. */
export function sortSystemOutbox(
  entries: readonly unknown[],
  measure: Measure,
): Pick<OutboxBatch, 'events' | 'malformed'> {
  const events = entries.map((raw) => {
    const parsed = outboxEventSchema.safeParse(raw);
    return parsed.success && isOurs(parsed.data, measure)
      ? asStored(parsed.data)
      : malformedEvent(raw, { userId: null, receivedAt: measure.receivedAt });
  });
  return { events, malformed: events.filter((event) => event.type === 'malformed').length };
}

const isOurs = (event: OutboxEvent, { proofs }: Measure): boolean =>
  !OWN_TYPES.has(event.type) && (proofs === null || proofs.holds(event));

/** What waited since before there was a key says so for ever: `migrate` vouches for it and no process. */
const asStored = (event: OutboxEvent): OutboxEvent =>
  event.sealed?.proof?.older ? { ...event, detail: { ...event.detail, beforeProof: true } } : event;
