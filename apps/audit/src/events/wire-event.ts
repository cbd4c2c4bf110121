import { decodeEntry, type LogEntry, nobodyOf, openPersonal, type StoredEntry, type Subject } from '#audit-log';
import { type AuditEvent, type WireEvent, wireEventSchema } from '#contracts';
import { malformedEvent } from './malformed.js';

/** Who the subjects of a page are, by pseudonym and by id. */
export class Subjects {
  private readonly byPseudonym = new Map<string, Subject>();
  private readonly byId = new Map<string, Subject>();

  constructor(subjects: readonly Subject[]) {
    for (const subject of subjects) {
      this.byId.set(subject.id, subject);
      if (subject.pseudonym !== null) this.byPseudonym.set(subject.pseudonym, subject);
    }
  }

  /** The userId, as long as there is one; else the pseudonym, which nothing connects with a person any more. */
  nameOf(pseudonym: string): string {
    const subject = this.byPseudonym.get(pseudonym);
    return subject?.dek ? subject.id : pseudonym;
  }

  keyOf(entry: LogEntry): Buffer | null {
    const { subjectPseudonym, ts } = entry;
    const subject = subjectPseudonym === null ? this.byId.get(nobodyOf(ts)) : this.byPseudonym.get(subjectPseudonym);
    return subject?.dek ?? null;
  }
}

/** A row that is not what it should be is shown as `malformed` with what is sound of it: one bad row must not hide its page. */
export function wireEvent(row: StoredEntry, subjects: Subjects, withSimilarity: boolean): WireEvent {
  const entry = decodeEntry(row.entry);
  const event = entry && eventOf(entry, row, subjects, withSimilarity);
  const parsed = wireEventSchema.safeParse(event && toWire(event));
  if (parsed.success) return parsed.data;
  const { eventId, timestamp } = row;
  return wireEventSchema.parse(toWire(malformedEvent({ eventId, timestamp }, { userId: null, receivedAt: timestamp })));
}

function eventOf(entry: LogEntry, row: StoredEntry, subjects: Subjects, withSimilarity: boolean): AuditEvent {
  const { subjectPseudonym, actor, ts, eventId, type } = entry;
  const dek = subjects.keyOf(entry);
  const readable = row.payload.filter(({ part }) => withSimilarity || part !== 'similarity');
  // Of an erased person not even the session is told, by which his events could be put together with other records.
  const isErased = subjectPseudonym !== null && dek === null;
  return {
    eventId,
    userId: subjectPseudonym === null ? null : subjects.nameOf(subjectPseudonym),
    type,
    timestamp: new Date(ts),
    sessionId: isErased ? undefined : (entry.sessionId ?? undefined),
    attemptId: entry.attemptId ?? undefined,
    clientId: entry.clientId ?? undefined,
    reason: entry.reason ?? undefined,
    charged: entry.charged ?? undefined,
    modelDigest: entry.modelDigest ?? undefined,
    thresholdId: entry.thresholdId ?? undefined,
    lockEpoch: entry.lockEpoch ?? undefined,
    count: entry.count ?? undefined,
    detail: entry.detail,
    actorId: actor === null ? undefined : subjects.nameOf(actor),
    ...(dek ? openPersonal(eventId, readable, dek) : {}),
  };
}

/** Only the fields of the contract that are there. */
function toWire(event: AuditEvent): unknown {
  const fields = { ...event, timestamp: event.timestamp.toISOString(), eventType: event.type };
  return Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => name in wireEventSchema.shape && value !== undefined),
  );
}
