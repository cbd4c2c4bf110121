import type { PayloadPart, SealedPart } from '#contracts';

/** One entry as a verifier gets it: the bytes of the leaf, and the ciphertext (base64url) of each part it commits to, in that order; null where it is gone. */
export interface LogRecord {
  entry: string;
  parts: (string | null)[];
}

/**
 * One published checkpoint: the signed note, and the leaf hashes (base64url) that have come since the one before. The
 * root in the note vouches for them; with them a verifier can tell which entry was altered and not only that one was.
 */
export interface CheckpointRecord {
  note: string;
  leaves: string[];
}

/** A document of `face_auth_events`. What stands beside `entry` only finds it and is compared with it by `fsck`. */
export interface StoredEntry {
  seq: number;
  eventId: string;
  prevHash: string;
  /** Canonical JSON: the bytes of the leaf. */
  entry: string;
  /** UTC day of the timestamp, the bucket that pages are read from. */
  day: string;
  timestamp: Date;
  type: string;
  subject: string | null;
  payload: SealedPart[];
  /** Keyed digests of address, network and device, to search by. Outside the leaf, and gone with what they were made of. */
  tags: string[];
}

/** A document of `audit_checkpoints`. `_id` is the size of the tree. */
export interface StoredCheckpoint extends CheckpointRecord {
  _id: number;
  /** The subtrees of the tree, base64url, from which it grows on after a restart. */
  subtrees: string[];
  /** Whether it has been written outside the database. */
  published: boolean;
}

export const LOG_COLLECTIONS = {
  entries: 'face_auth_events',
  days: 'face_auth_event_days',
  checkpoints: 'audit_checkpoints',
} as const;

/** Names of the entry's fields that a stored row repeats, and whether they say the same. */
export function isIndexedAs(
  row: StoredEntry,
  entry: { seq: number; eventId: string; prevHash: string; ts: string; type: string; subjectPseudonym: string | null },
): boolean {
  return (
    row.seq === entry.seq &&
    row.eventId === entry.eventId &&
    row.prevHash === entry.prevHash &&
    row.day === entry.ts.slice(0, 10) &&
    row.timestamp.toISOString() === entry.ts &&
    row.type === entry.type &&
    row.subject === entry.subjectPseudonym
  );
}

export function recordOf(row: StoredEntry, commits: readonly { part: PayloadPart }[]): LogRecord {
  const parts = commits.map(({ part }) => row.payload.find((p) => p.part === part)?.data ?? null);
  return { entry: row.entry, parts };
}

// ------------------------------------------------------------------ the export: a header, records, checkpoints

const HEADER = 'countersign-audit-export/1';

export type ExportLine =
  | { kind: 'header'; origin: string }
  | { kind: 'record'; record: LogRecord }
  | { kind: 'checkpoint'; checkpoint: CheckpointRecord };

export const exportHeader = (origin: string): string => JSON.stringify({ format: HEADER, origin });
/** `[entry, parts]`, a line of JSON in which the entry stands byte for byte. */
export const exportRecord = (r: LogRecord): string => `[${r.entry},${JSON.stringify(r.parts)}]`;
export const exportCheckpoint = (c: CheckpointRecord): string => JSON.stringify({ note: c.note, leaves: c.leaves });

/** Null: not a line of an export. */
export function readExportLine(line: string): ExportLine | null {
  try {
    if (line.startsWith('[')) {
      // The list of parts holds base64url and null only: the last bracket that opens is its own.
      const at = line.lastIndexOf(',[');
      const parts = JSON.parse(line.slice(at + 1, -1)) as unknown;
      if (at < 0 || !line.endsWith(']') || !isParts(parts)) return null;
      return { kind: 'record', record: { entry: line.slice(1, at), parts } };
    }
    const value = JSON.parse(line) as { format?: unknown; origin?: unknown };
    if (value.format === HEADER && typeof value.origin === 'string') return { kind: 'header', origin: value.origin };
    const checkpoint = checkpointRecord(value);
    return checkpoint && { kind: 'checkpoint', checkpoint };
  } catch {
    return null;
  }
}

/** A line of the file of checkpoints; null if it is none. */
export function readCheckpointLine(line: string): CheckpointRecord | null {
  try {
    return checkpointRecord(JSON.parse(line));
  } catch {
    return null;
  }
}

function checkpointRecord(value: unknown): CheckpointRecord | null {
  const { note, leaves } = (value ?? {}) as { note?: unknown; leaves?: unknown };
  const fits = typeof note === 'string' && Array.isArray(leaves) && leaves.every((leaf) => typeof leaf === 'string');
  return fits ? { note, leaves } : null;
}

const isParts = (value: unknown): value is (string | null)[] =>
  Array.isArray(value) && value.every((part) => part === null || typeof part === 'string');
