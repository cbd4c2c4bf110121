import type { PayloadPart } from '#contracts';
import { decodeEntry, entryHashText, GENESIS_HASH, type LogEntry, payloadCommit } from './entry.js';
import { GrowingTree } from './merkle.js';
import type { NoteVerifier } from './note.js';
import { PayloadGaps } from './payload-gaps.js';
import type { LogRecord } from './records.js';
import {
  type CheckpointSources,
  isBase64url,
  lineOf,
  nameOf,
  SignedBranches,
  type SignedRoot,
} from './signed-branches.js';

export type ProblemKind =
  | 'not_an_entry'
  | 'altered'
  | 'missing'
  | 'out_of_order'
  | 'chain_broken'
  | 'payload_missing'
  | 'payload_altered'
  | 'pruned_early'
  | 'range_invalid'
  | 'rewritten'
  | 'forked'
  | 'checkpoint_invalid'
  | 'checkpoint_missing'
  | 'not_continued'
  | 'not_published'
  | 'not_indexed_as_it_is';

/** `seq`: the entry that is bad. A checkpoint that is bad itself has none, and is named by its size or its place. */
export interface Problem {
  seq: number | null;
  kind: ProblemKind;
  detail: string;
}

/** Where the log was opened anew after a restore: what the checkpoints up to `size` had signed is not in it. */
export interface Era {
  seq: number;
  size: number;
  reason: string;
  /** Of the checkpoints that this era left behind. */
  sizes: number[];
}

export interface VerifyReport {
  ok: boolean;
  entries: number;
  /** How many of them a signed checkpoint vouches for; later ones are not yet covered. */
  covered: number;
  checkpoints: number;
  /** Of these, how many lie in the database only and say that they wait to be published. */
  unpublished: number;
  eras: Era[];
  /** Payload parts that are gone as an erasure or a prune said. */
  erasedParts: number;
  /** By seq, the worst 100. */
  problems: Problem[];
  first: Problem | null;
}

const PROBLEMS_MAX = 100;

/**
 * Reads a log from its first entry to its last and says what is not as it was signed: one tree grows over the entries
 * and is compared with every signed root at its size. Checkpoints come first; without a verifier the notes are not
 * opened and only the structure is looked at.
 */
export class LogVerifier {
  private readonly problems: Problem[] = [];
  private readonly branches: SignedBranches | null;
  private readonly tree = new GrowingTree();
  private readonly gaps = new PayloadGaps();
  private readonly gone: { seq: number; part: PayloadPart; entry: LogEntry }[] = [];
  private readonly eras: (Era & { root: string })[] = [];
  private readonly isPublishing: boolean;
  private good = 0;
  private expected = 0;
  private records = 0;
  private prevHash = GENESIS_HASH;
  /** An entry whose hash is not the one the next names: one of the two is bad. */
  private suspect: { seq: number } | null = null;

  constructor(verifier: NoteVerifier | null = null, sources: CheckpointSources = { inside: [], outside: null }) {
    this.branches =
      verifier && new SignedBranches(verifier, sources, (detail, kind) => this.report(null, kind, detail));
    this.isPublishing = sources.outside !== null;
  }

  /** The entries in the order of their seq. */
  add(record: LogRecord): void {
    this.records += 1;
    const encoded = entryHashText(record.entry);
    const isSigned = this.signedAt(this.expected).some(({ from, leaves }) => leaves[this.expected - from] === encoded);
    const entry = decodeEntry(record.entry, isSigned);
    const seq = this.place(entry);
    if (seq !== null) {
      this.compare(seq, encoded, entry);
      if (entry) this.comparePayload(seq, entry, record.parts);
    }
    this.prevHash = encoded;
    if (this.branches) this.compareRoots(this.branches, Buffer.from(encoded, 'base64url'));
  }

  private signedAt(seq: number): readonly SignedRoot[] {
    return this.branches?.holding(seq) ?? [];
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
    const signed = this.signedAt(seq);
    let isSigned = false;
    for (const one of signed) {
      if (one.leaves[seq - one.from] === leaf) isSigned = true;
      else one.differsAt ??= seq;
    }
    if (signed.length > 0) {
      if (!isSigned) this.report(seq, 'altered', `entry ${seq} is not the one that was signed (${namesOf(signed)})`);
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
    const unsound = this.gaps.note(seq, entry);
    if (unsound !== null) this.report(seq, 'range_invalid', unsound);
    if (entry.type === 'era_opened') this.noteEra(seq, entry);
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
      if (data === null) this.gone.push({ seq, part, entry });
      else if (!isBase64url(data) || payloadCommit(Buffer.from(data, 'base64url')) !== sha256) {
        this.report(seq, 'payload_altered', `the ${part} of entry ${seq} is not what it committed to`);
      }
    }
  }

  private noteEra(seq: number, { detail = {} }: LogEntry): void {
    const { size, root, reason } = detail;
    if (typeof size !== 'number' || typeof root !== 'string') return;
    this.eras.push({ seq, size, root, reason: typeof reason === 'string' ? reason : '', sizes: [] });
  }

  private compareRoots(branches: SignedBranches, leaf: Buffer): void {
    this.tree.append(leaf);
    const roots = branches.at(this.tree.size);
    if (roots.length === 0) return;
    const root = this.tree.root();
    for (const one of roots) {
      one.matches = one.root.equals(root);
      if (one.matches) this.good = one.size;
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
    if (this.branches) this.judgeRoots(this.branches.roots);
    this.gaps.settle(this.branches ? this.good : Infinity);
    let erasedParts = 0;
    for (const { seq, part, entry } of this.gone) {
      const gap = this.gaps.of(seq, part, entry);
      if (gap.kind === 'accounted') erasedParts += 1;
      else if (gap.kind === 'early') {
        const said = `entry ${gap.by} could remove what is older than ${gap.firstDay}`;
        this.report(seq, 'pruned_early', `the ${part} of entry ${seq} is missing before its time: ${said}`);
      } else {
        const why = 'no erasure or prune that a checkpoint covers names it';
        this.report(seq, 'payload_missing', `the ${part} of entry ${seq} is missing and ${why}`);
      }
    }
    const problems = [...this.problems].sort((a, b) => (a.seq ?? -1) - (b.seq ?? -1));
    const first = problems.find((problem) => problem.seq !== null) ?? problems[0] ?? null;
    const roots = this.branches?.roots ?? [];
    return {
      ok: problems.length === 0,
      entries: this.records,
      covered: this.good,
      checkpoints: roots.length,
      unpublished: roots.filter(({ outside, published }) => !outside && !published).length,
      eras: this.eras.filter(({ sizes }) => sizes.length > 0).map(({ root: _root, ...era }) => era),
      erasedParts,
      problems: problems.slice(0, PROBLEMS_MAX),
      first,
    };
  }

  private judgeRoots(roots: readonly SignedRoot[]): void {
    const left = this.leftBehind(roots);
    const last = largest(roots.filter((one) => one.outside && !left.has(one)));
    for (const one of roots) {
      if (left.has(one)) continue;
      if (this.isPublishing) this.judgePlaces(one, last);
      if (one.matches === false) this.judgeOther(one, roots);
    }
    const highest = largest(roots.filter((one) => !left.has(one)));
    if (highest > this.expected) {
      this.report(this.expected, 'missing', `the log ends at ${this.expected} entries, ${highest} were signed`);
    }
  }

  /** What an era that a matching checkpoint covers says was lost: its last checkpoint and those that it continues. */
  private leftBehind(roots: readonly SignedRoot[]): Set<SignedRoot> {
    const left = new Set<SignedRoot>();
    for (const era of this.eras) {
      if (era.seq >= this.good) continue;
      const last = roots.find(({ size, root }) => size === era.size && root.toString('base64') === era.root);
      for (const one of lineOf(last ?? null)) {
        if (one.matches === true) break;
        left.add(one);
        era.sizes.unshift(one.size);
      }
    }
    return left;
  }

  /** A checkpoint lies inside the database and outside; only the newest may still be on its way. */
  private judgePlaces({ size, inside, outside, published }: SignedRoot, last: number): void {
    if (!inside) {
      const detail = `the checkpoint of size ${size} was published and is not in the database`;
      this.report(null, 'checkpoint_missing', detail);
    } else if (!outside && (published || size < last)) {
      const detail = `the checkpoint of size ${size} is in the database and nobody published it`;
      this.report(null, 'not_published', detail);
    }
  }

  /** A signed root that is not the one of these entries: theirs were altered, or there is another signed log. */
  private judgeOther(one: SignedRoot, roots: readonly SignedRoot[]): void {
    const line = [...lineOf(one)];
    const differs = line.flatMap(({ differsAt }) => (differsAt === null ? [] : [differsAt]));
    const at = differs.reduce<number | null>((least, seq) => (least === null ? seq : Math.min(least, seq)), null);
    const before = largest(roots.filter(({ size, matches }) => matches && size < one.size));
    const place = at ?? before;
    const other = roots.find(({ size, matches }) => matches && size > place && (at !== null || size >= one.size));
    if (other) {
      const detail = `the log was forked at entry ${place}: ${sayOf(one)} signs other entries than ${sayOf(other)}`;
      this.report(place, 'forked', detail);
    } else if (!this.problems.some(({ seq }) => seq !== null && seq < one.size)) {
      const said = `the entries ${before} to ${one.size - 1} are not those that ${sayOf(one)} signs`;
      this.report(before, 'rewritten', said);
    }
  }

  /** For what only the holder of the stored rows can see. */
  report(seq: number | null, kind: ProblemKind, detail: string): void {
    if (this.problems.length < 10_000) this.problems.push({ seq, kind, detail });
  }
}

const sayOf = ({ size, inside, outside }: SignedRoot): string => {
  const places = [...(inside ? [nameOf('inside')] : []), ...(outside ? [nameOf('outside')] : [])];
  return `the checkpoint of size ${size} (${places.join(' and ')})`;
};

const namesOf = (roots: readonly SignedRoot[]): string =>
  `checkpoint of size ${roots.map(({ size }) => size).join(', ')}`;

/** Size of the largest, 0 of none. */
const largest = (roots: readonly SignedRoot[]): number => roots.reduce((max, { size }) => Math.max(max, size), 0);
