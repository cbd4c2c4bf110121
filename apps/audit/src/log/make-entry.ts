import {
  encodeEntry,
  type LogEntry,
  nobodyOf,
  openPersonal,
  payloadCommit,
  type StoredEntry,
  type Subject,
} from '#audit-log';
import { type OutboxEvent, PAYLOAD_PARTS } from '#contracts';
import type { Head } from './lease.repository.js';
import { headAt } from './entries.repository.js';

/** `range`: for `pruned`, which payload goes. No outbox can say so: what lies there has no such field. */
export interface LogEvent extends OutboxEvent {
  range?: LogEntry['range'];
}

/** Whose payload an event's is: its user's, or, for an event of nobody, one for all of that day. */
export const subjectIdOf = (event: OutboxEvent): string => event.userId ?? nobodyOf(event.timestamp.toISOString());

/**
 * A similarity is sealed by whoever decides, after the proof of the event was made: that the person's key opens it, which
 * lies in no database in clear, is what shows where it comes from.
 */
export function withSoundParts(event: LogEvent, subjects: ReadonlyMap<string, Subject>): LogEvent {
  const dek = subjects.get(subjectIdOf(event))?.dek;
  const later = event.sealed?.parts.filter(({ part }) => part === 'similarity') ?? [];
  if (!dek || !event.sealed || later.length === 0) return event;
  if (openPersonal(event.eventId, later, dek).similarity !== undefined) return event;
  const { sealed, reason: _reason, ...rest } = event;
  const parts = sealed.parts.filter(({ part }) => part !== 'similarity');
  return { ...rest, type: 'malformed', sealed: { ...sealed, parts } };
}

/** The next entries of a log that ends at `head`, and where it ends with them. */
export function makeEntries(
  events: readonly LogEvent[],
  subjects: ReadonlyMap<string, Subject>,
  head: Head,
): { rows: StoredEntry[]; head: Head } {
  const rows: StoredEntry[] = [];
  for (const event of events) {
    const row = makeEntry(event, subjects, head);
    rows.push(row);
    head = headAt(row);
  }
  return { rows, head };
}

function makeEntry(event: LogEvent, subjects: ReadonlyMap<string, Subject>, head: Head): StoredEntry {
  const subject = subjects.get(subjectIdOf(event));
  // As it was sealed where it happened. Of an erased person nothing more is kept, though nobody could open it, and
  // nothing either under a key that does not open: the entry says so for ever.
  const detail = subject?.isClosed ? { ...event.detail, keyClosed: true } : event.detail;
  const { parts: payload, tags } = (subject?.dek && event.sealed) || { parts: [], tags: [] };
  const pseudonym = event.userId === null ? null : (subject?.pseudonym ?? null);
  const [seq, prevHash, ts] = [head.size, head.hash, event.timestamp.toISOString()];
  const isErasure = event.type === 'erasure_completed' && pseudonym !== null && seq > 0;
  const entry = encodeEntry({
    v: detail ? 2 : 1,
    seq,
    eventId: event.eventId,
    ts,
    type: event.type,
    actor: (event.actorId && subjects.get(event.actorId)?.pseudonym) ?? null,
    subjectPseudonym: pseudonym,
    sessionId: event.sessionId ?? null,
    attemptId: event.attemptId ?? null,
    clientId: event.clientId ?? null,
    reason: event.reason ?? null,
    charged: event.charged ?? null,
    modelDigest: event.modelDigest ?? null,
    thresholdId: event.thresholdId ?? null,
    policyVer: null,
    lockEpoch: event.lockEpoch ?? null,
    count: event.count ?? null,
    ...(detail ? { detail } : {}),
    range: isErasure ? { from: 0, to: seq - 1, parts: [...PAYLOAD_PARTS] } : (event.range ?? null),
    payloadCommits: payload.map(({ part, data }) => ({ part, sha256: payloadCommit(Buffer.from(data, 'base64url')) })),
    prevHash,
  });
  return {
    seq,
    eventId: event.eventId,
    prevHash,
    entry,
    day: ts.slice(0, 10),
    timestamp: event.timestamp,
    type: event.type,
    subject: pseudonym,
    payload,
    tags,
  };
}
