import { GrowingTree } from './merkle.js';
import { type NoteVerifier, openCheckpoint } from './note.js';
import type { CheckpointRecord, StoredCheckpoint } from './records.js';

/** Where checkpoints of one log were found. */
export interface CheckpointSources {
  /** Rows of the database, or what an export holds of them. */
  inside: readonly (CheckpointRecord & Partial<StoredCheckpoint>)[];
  /** Lines kept where the owner of the database cannot rewrite them; null: none were given. */
  outside: readonly CheckpointRecord[] | null;
}

/** A signed root: of so many entries. Two of one size are a fork. */
export interface SignedRoot {
  size: number;
  root: Buffer;
  inside: boolean;
  outside: boolean;
  /** False: its row says that it has not been published yet. */
  published: boolean;
  /** The one that it continues; null for the first, and where no leaves lie beside it. */
  parent: SignedRoot | null;
  /** The leaves `from` to `size - 1`, if they are those that it signs. */
  from: number;
  leaves: readonly string[];
  tree: GrowingTree | null;
  /** Of its own leaves, the first that is not what stands in the log. */
  differsAt: number | null;
  /** Null: the log has not come to its size. */
  matches: boolean | null;
}

type Report = (detail: string, kind: 'checkpoint_invalid' | 'not_continued') => void;

/**
 * All signed roots, each with the one that it continues. In a sound log they are one line; every fork that somebody
 * signed is a branch of its own.
 */
export class SignedBranches {
  readonly roots: SignedRoot[] = [];
  private readonly bySize = new Map<number, SignedRoot[]>();
  private readonly byFrom: SignedRoot[];
  private active: SignedRoot[] = [];
  private entered = 0;

  constructor(
    private readonly verifier: NoteVerifier,
    sources: CheckpointSources,
    private readonly report: Report,
  ) {
    const opened = [...this.openAll(sources.inside, 'inside'), ...this.openAll(sources.outside ?? [], 'outside')].sort(
      (a, b) => a.size - b.size,
    );
    const isBare = opened.every(({ record }) => record.leaves.length === 0);
    for (const one of opened) this.place(one, isBare);
    this.byFrom = this.roots.filter(({ tree }) => tree).sort((a, b) => a.from - b.from);
  }

  at(size: number): readonly SignedRoot[] {
    return this.bySize.get(size) ?? [];
  }

  /** Which leaves hold entry `seq`. Asked for in rising order. */
  holding(seq: number): readonly SignedRoot[] {
    if (this.active.some(({ size }) => size <= seq)) this.active = this.active.filter(({ size }) => size > seq);
    for (let next = this.byFrom[this.entered]; next && next.from <= seq; next = this.byFrom[++this.entered]) {
      if (next.size > seq) this.active.push(next);
    }
    return this.active;
  }

  private openAll(records: CheckpointSources['inside'], where: 'inside' | 'outside') {
    return records.flatMap((record, index) => {
      const checkpoint = openCheckpoint(this.verifier, record.note);
      const place = `${nameOf(where)}, ${index + 1} of ${records.length}`;
      if (checkpoint?.origin !== this.verifier.name) {
        this.report(`a checkpoint (${place}) is not signed by ${this.verifier.name}`, 'checkpoint_invalid');
        return [];
      }
      const { size, root } = checkpoint;
      if (record._id !== undefined && record._id !== size) {
        this.report(`the checkpoint of size ${size} is stored as one of size ${record._id}`, 'checkpoint_invalid');
      }
      if (record.subtrees && !isTreeOf(size, record.subtrees, root)) {
        this.report(`the subtrees beside the checkpoint of size ${size} are not its own`, 'checkpoint_invalid');
      }
      return [{ record, where, size, root }];
    });
  }

  private place(
    o: { record: CheckpointSources['inside'][number]; where: 'inside' | 'outside'; size: number; root: Buffer },
    isBare: boolean,
  ): void {
    const { record, where, size, root } = o;
    const known = this.at(size).find((one) => one.root.equals(root));
    const one = known ?? newRoot(size, root);
    if (!known) {
      this.roots.push(one);
      this.bySize.set(size, [...this.at(size), one]);
    }
    one[where] = true;
    if (record.published === false) one.published = false;
    if (isBare || (one.tree && isSame(one.leaves, record.leaves))) return;
    this.grow(one, record.leaves);
  }

  private grow(one: SignedRoot, leaves: readonly string[]): void {
    const { size, root } = one;
    const from = size - leaves.length;
    const parents = from === 0 ? [null] : this.at(from).filter((parent) => parent.tree && parent !== one);
    for (const parent of parents) {
      const tree = grown(parent?.tree ?? new GrowingTree(), leaves);
      if (!tree?.root().equals(root)) continue;
      Object.assign(one, { parent, from, leaves, tree });
      return;
    }
    if (from === size || parents.length > 0 || from < 0) {
      this.report(`the leaves beside the checkpoint of size ${size} are not those it signs`, 'checkpoint_invalid');
    } else {
      this.report(
        `the checkpoint of size ${size} continues one of size ${from}, and no sound one of that size is there`,
        'not_continued',
      );
    }
  }
}

export const nameOf = (where: 'inside' | 'outside'): string => `${where} the database`;

/** A signed root and those that it continues, from the newest to the first. */
export function* lineOf(one: SignedRoot | null): Generator<SignedRoot> {
  for (let at = one; at; at = at.parent) yield at;
}

const newRoot = (size: number, root: Buffer): SignedRoot => ({
  size,
  root,
  inside: false,
  outside: false,
  published: true,
  parent: null,
  from: size,
  leaves: [],
  tree: null,
  differsAt: null,
  matches: null,
});

function grown(before: GrowingTree, leaves: readonly string[]): GrowingTree | null {
  const tree = new GrowingTree(before.size, before.subtrees);
  for (const leaf of leaves) {
    if (leaf.length !== 43 || !isBase64url(leaf)) return null;
    tree.append(Buffer.from(leaf, 'base64url'));
  }
  return tree;
}

function isTreeOf(size: number, subtrees: readonly string[], root: Buffer): boolean {
  if (!subtrees.every((hash) => hash.length === 43 && isBase64url(hash))) return false;
  try {
    return new GrowingTree(
      size,
      subtrees.map((hash) => Buffer.from(hash, 'base64url')),
    )
      .root()
      .equals(root);
  } catch {
    return false;
  }
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((leaf, i) => leaf === b[i]);

/** The one form of some bytes: without padding, and with zeros where the last character holds more bits than are needed. */
const BASE64URL = /^(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?$/;
export const isBase64url = (text: string): boolean => BASE64URL.test(text);
