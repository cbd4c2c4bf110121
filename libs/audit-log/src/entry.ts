import { hash } from 'node:crypto';
import { type EventDetail, type EventReason, type EventType, PAYLOAD_PARTS, type PayloadPart } from '#contracts';
import { canonicalJson } from '#sealing';
import { leafHash } from './merkle.js';

/** What a leaf covers. Every field is there in every entry; what does not apply is null. */
export interface LogEntry {
  /** 2: with `detail`, which entries without one do not have as a member. */
  v: 1 | 2;
  seq: number;
  eventId: string;
  /** ISO 8601, UTC, the database's time. */
  ts: string;
  type: EventType;
  /** Pseudonym of the member of staff who acted. */
  actor: string | null;
  subjectPseudonym: string | null;
  sessionId: string | null;
  attemptId: string | null;
  clientId: string | null;
  reason: EventReason | null;
  charged: boolean | null;
  modelDigest: string | null;
  thresholdId: string | null;
  policyVer: string | null;
  lockEpoch: number | null;
  /** For counted events: how often. */
  count: number | null;
  /** What else there is to say of the event: never personal, never removed. Version 2 only. */
  detail?: EventDetail;
  /** For `erasure_completed` and `pruned`: whose payload (of the subject; or of all, these parts) is gone. Both ends count. */
  range: { from: number; to: number; parts: PayloadPart[] } | null;
  /** SHA-256 of each part's ciphertext, base64url. Never of a plaintext, which could be guessed. */
  payloadCommits: { part: PayloadPart; sha256: string }[];
  /** The leaf hash of the entry before, base64url. */
  prevHash: string;
}

/** What the first entry names as the one before. */
export const GENESIS_HASH = Buffer.alloc(32).toString('base64url');

/** The names of an entry's members as RFC 8785 orders them. */
const MEMBERS = [
  'actor', 'attemptId', 'charged', 'clientId', 'count', 'eventId', 'lockEpoch', 'modelDigest', 'payloadCommits',
  'policyVer', 'prevHash', 'range', 'reason', 'seq', 'sessionId', 'subjectPseudonym', 'thresholdId', 'ts', 'type', 'v',
] as const satisfies readonly (keyof LogEntry)[]; // prettier-ignore
const MEMBERS_WITH_DETAIL: readonly string[] = [...MEMBERS.slice(0, 5), 'detail', ...MEMBERS.slice(5)];

/** The bytes of a leaf, as text. */
export const encodeEntry = (entry: LogEntry): string => canonicalJson(entry);

export const entryHash = (encoded: string): Buffer => leafHash(encoded);
/** The same, base64url: how entries and checkpoints name it. */
export const entryHashText = (encoded: string): string => hash('sha256', `\0${encoded}`, 'base64url');

export const payloadCommit = (ciphertext: Uint8Array): string => hash('sha256', ciphertext, 'base64url');

/**
 * An entry out of its bytes; null if they are not the one canonical form of an entry. `isSigned`: a signed checkpoint
 * vouches for these very bytes, so that their form need not be looked at again.
 */
export function decodeEntry(encoded: string, isSigned = false): LogEntry | null {
  let entry: LogEntry;
  try {
    entry = JSON.parse(encoded) as LogEntry;
  } catch {
    return null;
  }
  return isEntry(entry) && (isSigned || JSON.stringify(entry) === encoded) ? entry : null;
}

/** With the members in canonical order, what ECMAScript writes is what RFC 8785 asks for. */
function isEntry(entry: LogEntry | null): boolean {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return false;
  const members: readonly string[] = entry.v === 2 ? MEMBERS_WITH_DETAIL : MEMBERS;
  let i = 0;
  for (const name in entry) if (members[i++] !== name) return false;
  if (i !== members.length || (entry.v !== 1 && entry.v !== 2) || !Number.isSafeInteger(entry.seq)) return false;
  if (typeof entry.prevHash !== 'string' || typeof entry.eventId !== 'string' || typeof entry.ts !== 'string')
    return false;
  if (entry.v === 2 && (typeof entry.detail !== 'object' || entry.detail === null)) return false;
  return Array.isArray(entry.payloadCommits) && entry.payloadCommits.every(isCommit) && isRange(entry.range);
}

const isCommit = (commit: LogEntry['payloadCommits'][number] | null): boolean =>
  typeof commit?.sha256 === 'string' && PAYLOAD_PARTS.includes(commit.part) && 'part' === Object.keys(commit)[0];

const isRange = (range: LogEntry['range']): boolean =>
  range === null || (Number.isSafeInteger(range.from) && Number.isSafeInteger(range.to) && Array.isArray(range.parts));
