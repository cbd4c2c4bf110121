import type { PayloadPart } from '#contracts';
import { decodeEntry, entryHashText, GENESIS_HASH, type LogEntry, payloadCommit } from './entry.js';
import { GrowingTree } from './merkle.js';
import { type NoteVerifier, openCheckpoint } from './note.js';
import type { CheckpointRecord, LogRecord } from './records.js';

export type ProblemKind =
  | 'not_an_entry'
  | 'altered'
  | 'missing'
  | 'out_of_order'
  | 'chain_broken'
  | 'payload_missing'
  | 'payload_altered'
  | 'range_invalid'
  | 'rewritten'
  | 'checkpoint_invalid'
  | 'not_indexed_as_it_is';

/** `seq`: the entry that is bad. A checkpoint that is bad itself has none, and is named by its place in the list. */
export interface Problem {
  seq: number | null;
  kind: ProblemKind;
  detail: string;
}

export interface VerifyReport {
  ok: boolean;
  entries: number;
  /** How many of them a signed checkpoint vouches for; later ones are not yet covered. */
  covered: number;
  checkpoints: number;
  /** Payload parts that are gone as an erasure or a prune said. */
  erasedParts: number;
  /** By seq, the worst 100. */
  problems: Problem[];
  first: Problem | null;
}

interface Range {
  from: number;
  to: number;
}

const PROBLEMS_MAX = 100;

/**
 * Reads a log from its first entry to its last and says what is not as it was signed. Checkpoints come first; without a
 * verifier the notes are not opened and only the structure is looked at.
 */
export class LogVerifier {
  private readonly problems: Problem[] = [];
  private readonly roots = new Map<number, Buffer>();
  /** Leaf hashes that a signed root vouches for. */
  private readonly vouched: string[] = [];
  /** Only where signed leaves do not reach: comparing each leaf with its signed one says more than comparing roots. */
  private readonly tree: GrowingTree | null;
  private readonly ranges = new Map<string, Range[]>();
  private readonly gone: { seq: number; part: PayloadPart; subject: string | null }[] = [];
  private readonly signedSize: number;
  private good = 0;
  private expected = 0;
  private records = 0;
  private prevHash = GENESIS_HASH;
  /** An entry whose hash is not the one the next names: one of the two is bad. */
  private suspect: { seq: number } | null = null;

  constructor(verifier: NoteVerifier | null = null, checkpoints: readonly CheckpointRecord[] = []) {
    if (verifier) this.openAll(verifier, checkpoints);
    this.signedSize = Math.max(0, ...this.roots.keys());
    this.tree = this.vouched.length < this.signedSize ? new GrowingTree() : null;
  }

  private openAll(verifier: NoteVerifier, records: readonly CheckpointRecord[]): void {
    const opened = records.flatMap((record, index) => {
      const checkpoint = openCheckpoint(verifier, record.note);
      if (checkpoint && checkpoint.origin === verifier.name) return [{ record, checkpoint }];
      this.report(
        null,
        'checkpoint_invalid',
        `checkpoint ${index + 1} of ${records.length}: not signed by ${verifier.name}`,
      );
      return [];
    });
    opened.sort((a, b) => a.checkpoint.size - b.checkpoint.size);
    let tree = new GrowingTree();
    for (const { record, checkpoint } of opened) {
      const known = this.roots.get(checkpoint.size);
      if (known && !known.equals(checkpoint.root)) {
        this.report(
          null,
          'checkpoint_invalid',
          `two signed checkpoints of size ${checkpoint.size} differ: the log was forked`,
        );
      }
      this.roots.set(checkpoint.size, checkpoint.root);
      const from = checkpoint.size - record.leaves.length;
      if (from !== tree.size || known) continue;
      const next = new GrowingTree(tree.size, tree.subtrees);
      for (const leaf of record.leaves) next.append(Buffer.from(leaf, 'base64url'));
      const isWell = record.leaves.every((leaf) => isBase64url(leaf) && leaf.length === 43);
      if (!isWell || !next.root().equals(checkpoint.root)) {
        this.report(
          null,
          'checkpoint_invalid',
          `the leaves beside the checkpoint of size ${checkpoint.size} are not those it signs`,
        );
        continue;
      }
      this.vouched.push(...record.leaves);
      tree = next;
    }
  }

  /** The entries in the order of their seq. */
  add(record: LogRecord): void {
    this.records += 1;
    const encoded = entryHashText(record.entry);
    const entry = decodeEntry(record.entry, this.vouched[this.expected] === encoded);
    const seq = this.place(entry);
    if (seq !== null) {
      this.compare(seq, encoded, entry);
      if (entry) this.comparePayload(seq, entry, record.parts);
    }
    this.prevHash = encoded;
    if (this.tree) this.compareRoot(this.tree, Buffer.from(encoded, 'base64url'));
    else if (this.good === seq && this.vouched[seq] === encoded) this.good += 1;
  }

  /**
   * The place that the entry takes; null if it takes none. What is bad is named by its place: the first at which the log
   * is not what it was.
   */
  private place(entry: LogEntry | null): number | null {
    const { expected } = this;
    this.expected += 1;
    if (!entry) {
      this.report(expected, 'not_an_entry', `entry ${expected}: the bytes are not the canonical form of an entry`);
      return expected;
    }
    if (entry.seq === expected) return expected;
    if (entry.prevHash === this.prevHash) {
      this.report(expected, 'altered', `entry ${expected} says that it is entry ${entry.seq}`);
      return expected;
    }
    if (entry.seq > expected) {
      const last = entry.seq - 1;
      this.report(
        expected,
        'missing',
        `${last === expected ? `entry ${last} is` : `entries ${expected} to ${last} are`} missing`,
      );
      this.expected = entry.seq + 1;
      this.prevHash = entry.prevHash;
      this.suspect = null;
      return entry.seq;
    }
    this.expected = expected;
    this.report(expected, 'out_of_order', `where entry ${expected} should be stands another entry ${entry.seq}`);
    return null;
  }

  private compare(seq: number, leaf: string, entry: LogEntry | null): void {
    const signed = this.vouched[seq];
    if (signed !== undefined) {
      if (signed !== leaf) this.report(seq, 'altered', `entry ${seq} is not the one that was signed`);
      return;
    }
    // Without a signed leaf the chain tells: whoever the next entry vouches for is sound.
    const follows = entry?.prevHash === this.prevHash;
    if (this.suspect) {
      const bad = follows ? this.suspect.seq - 1 : this.suspect.seq;
      this.report(
        Math.max(bad, 0),
        'chain_broken',
        `entry ${this.suspect.seq} does not name the hash of entry ${this.suspect.seq - 1}`,
      );
      this.suspect = null;
    } else if (entry && !follows) {
      this.suspect = { seq };
    }
  }

  private comparePayload(seq: number, entry: LogEntry, parts: readonly (string | null)[]): void {
    const subject = entry.subjectPseudonym;
    this.noteRange(seq, entry);
    if (parts.length !== entry.payloadCommits.length) {
      this.report(
        seq,
        'payload_altered',
        `${parts.length} payload parts where ${entry.payloadCommits.length} were committed to`,
      );
      return;
    }
    for (let i = 0; i < parts.length; i++) {
      const data = parts[i]!;
      const { part, sha256 } = entry.payloadCommits[i]!;
      if (data === null) this.gone.push({ seq, part, subject });
      else if (!isBase64url(data) || payloadCommit(Buffer.from(data, 'base64url')) !== sha256) {
        this.report(seq, 'payload_altered', `the ${part} of entry ${seq} is not what it committed to`);
      }
    }
  }

  /** What an erasure or a prune says is gone: of one subject or of all, and only what came before it. */
  private noteRange(seq: number, { type, range, subjectPseudonym: subject }: LogEntry): void {
    if (!range || (type !== 'pruned' && (type !== 'erasure_completed' || subject === null))) return;
    const { from, to, parts } = range;
    if (from > to || to >= seq) {
      this.report(seq, 'range_invalid', `entry ${seq} says that payload from ${from} to ${to} is gone: not before it`);
      return;
    }
    for (const part of parts) {
      const key = rangesOf(part, subject);
      const known = this.ranges.get(key) ?? [];
      this.ranges.set(key, known);
      known.push({ from, to });
    }
  }

  private compareRoot(tree: GrowingTree, leaf: Buffer): void {
    tree.append(leaf);
    const root = this.roots.get(tree.size);
    if (!root) return;
    if (tree.root().equals(root)) {
      this.good = tree.size;
      return;
    }
    this.settleSuspect();
    if (!this.problems.some((problem) => problem.seq !== null && problem.seq < tree.size)) {
      this.report(
        this.good,
        'rewritten',
        `the entries ${this.good} to ${tree.size - 1} are not those that were signed`,
      );
    }
  }

  /** Nothing more comes that would tell which of the two is bad. */
  private settleSuspect(): void {
    if (!this.suspect) return;
    const { seq } = this.suspect;
    this.report(Math.max(seq - 1, 0), 'chain_broken', `entry ${seq} does not name the hash of entry ${seq - 1}`);
    this.suspect = null;
  }

  finish(): VerifyReport {
    this.settleSuspect();
    const size = this.signedSize;
    if (size > this.expected) {
      this.report(this.expected, 'missing', `the log ends at ${this.expected} entries, ${size} were signed`);
    }
    for (const [key, ranges] of this.ranges) this.ranges.set(key, united(ranges));
    let erasedParts = 0;
    for (const { seq, part, subject } of this.gone) {
      if (this.isAccounted(seq, part, subject)) erasedParts += 1;
      else
        this.report(seq, 'payload_missing', `the ${part} of entry ${seq} is missing and no erasure or prune names it`);
    }
    const problems = [...this.problems].sort((a, b) => (a.seq ?? -1) - (b.seq ?? -1));
    const first = problems.find((problem) => problem.seq !== null) ?? problems[0] ?? null;
    return {
      ok: problems.length === 0,
      entries: this.records,
      covered: this.good,
      checkpoints: this.roots.size,
      erasedParts,
      problems: problems.slice(0, PROBLEMS_MAX),
      first,
    };
  }

  private isAccounted(seq: number, part: PayloadPart, subject: string | null): boolean {
    const isIn = (key: string): boolean => covers(this.ranges.get(key) ?? [], seq);
    return isIn(rangesOf(part, null)) || (subject !== null && isIn(rangesOf(part, subject)));
  }

  /** For what only the holder of the stored rows can see. */
  report(seq: number | null, kind: ProblemKind, detail: string): void {
    if (this.problems.length < 10_000) this.problems.push({ seq, kind, detail });
  }
}

const rangesOf = (part: PayloadPart, subject: string | null): string => `${part} ${subject ?? ''}`;

/** In their order, none touching the next: years of daily prunes are few. */
function united(ranges: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last && from <= last.to + 1) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

function covers(ranges: readonly Range[], seq: number): boolean {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const { from, to } = ranges[middle]!;
    if (seq < from) high = middle;
    else if (seq > to) low = middle + 1;
    else return true;
  }
  return false;
}

/** The one form of some bytes: without padding, and with zeros where the last character holds more bits than are needed. */
const BASE64URL = /^(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?$/;
const isBase64url = (text: string): boolean => BASE64URL.test(text);
