import { createHash, hash } from 'node:crypto';

/** Merkle trees of RFC 6962, section 2.1 (the same as RFC 9162). Hashes are 32 bytes. */

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

/** `SHA-256(0x00 ‖ bytes)`. A text stands for its UTF-8 bytes. */
export const leafHash = (bytes: Uint8Array | string): Buffer =>
  typeof bytes === 'string' ? sha256(`\0${bytes}`) : sha256(Buffer.concat([LEAF, bytes]));

const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => sha256(Buffer.concat([NODE, left, right]));

/** In one call: several times as fast as a hash object for inputs of this size. */
const sha256 = (input: Uint8Array | string): Buffer => hash('sha256', input, 'buffer');

const EMPTY_ROOT = createHash('sha256').digest();

/**
 * A tree that grows at its end and keeps only the roots of its perfect subtrees, largest first: as many as there are
 * bits set in its size.
 */
export class GrowingTree {
  private readonly peaks: Buffer[];

  constructor(
    private leaves = 0,
    peaks: readonly Buffer[] = [],
  ) {
    if (peaks.length !== bitsSet(leaves)) throw new RangeError('these are not the subtrees of a tree of this size');
    this.peaks = [...peaks];
  }

  get size(): number {
    return this.leaves;
  }

  /** For another time: `new GrowingTree(size, subtrees)`. */
  get subtrees(): readonly Buffer[] {
    return this.peaks;
  }

  append(leaf: Buffer): void {
    let node = leaf;
    for (let rest = this.leaves; rest % 2 === 1; rest = Math.floor(rest / 2)) node = nodeHash(this.peaks.pop()!, node);
    this.peaks.push(node);
    this.leaves += 1;
  }

  root(): Buffer {
    const [last, ...before] = [...this.peaks].reverse();
    return last ? before.reduce((right, left) => nodeHash(left, right), last) : EMPTY_ROOT;
  }
}

export function rootOf(leaves: readonly Buffer[]): Buffer {
  const tree = new GrowingTree();
  for (const leaf of leaves) tree.append(leaf);
  return tree.root();
}

/** The audit path of leaf `index`, lowest sibling first (RFC 6962, 2.1.1). */
export function inclusionProof(leaves: readonly Buffer[], index: number): Buffer[] {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length) throw new RangeError('no such leaf');
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  return index < k
    ? [...inclusionProof(leaves.slice(0, k), index), rootOf(leaves.slice(k))]
    : [...inclusionProof(leaves.slice(k), index - k), rootOf(leaves.slice(0, k))];
}

/** RFC 9162, 2.1.3.2. */
export function isIncluded(o: {
  leaf: Uint8Array;
  index: number;
  size: number;
  proof: readonly Uint8Array[];
  root: Uint8Array;
}): boolean {
  if (!Number.isInteger(o.index) || o.index < 0 || o.index >= o.size) return false;
  let [node, last] = [o.index, o.size - 1];
  let hash: Uint8Array = o.leaf;
  for (const sibling of o.proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      for (; node % 2 === 0 && node !== 0; node /= 2) last = Math.floor(last / 2);
    } else hash = nodeHash(hash, sibling);
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && Buffer.compare(hash, o.root) === 0;
}

/** That the tree of the first `size` leaves is a beginning of the tree of all (RFC 6962, 2.1.2). */
export function consistencyProof(leaves: readonly Buffer[], size: number): Buffer[] {
  if (!Number.isInteger(size) || size < 1 || size > leaves.length) throw new RangeError('no such size');
  return subproof(size, leaves, true);
}

function subproof(m: number, leaves: readonly Buffer[], whole: boolean): Buffer[] {
  if (m === leaves.length) return whole ? [] : [rootOf(leaves)];
  const k = split(leaves.length);
  return m <= k
    ? [...subproof(m, leaves.slice(0, k), whole), rootOf(leaves.slice(k))]
    : [...subproof(m - k, leaves.slice(k), false), rootOf(leaves.slice(0, k))];
}

/** RFC 9162, 2.1.4.2. */
export function isConsistent(o: {
  first: { size: number; root: Uint8Array };
  second: { size: number; root: Uint8Array };
  proof: readonly Uint8Array[];
}): boolean {
  const { first, second } = o;
  if (first.size < 1 || first.size > second.size) return false;
  if (first.size === second.size) return o.proof.length === 0 && Buffer.compare(first.root, second.root) === 0;
  // A first tree that is perfect is its own first hash.
  const path = isPowerOf2(first.size) ? [first.root, ...o.proof] : [...o.proof];
  const start = path.shift();
  if (!start) return false;
  let [node, last] = [first.size - 1, second.size - 1];
  for (; node % 2 === 1; node = Math.floor(node / 2)) last = Math.floor(last / 2);
  let [a, b]: [Uint8Array, Uint8Array] = [start, start];
  for (const hash of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      [a, b] = [nodeHash(hash, a), nodeHash(hash, b)];
      for (; node % 2 === 0 && node !== 0; node /= 2) last = Math.floor(last / 2);
    } else b = nodeHash(b, hash);
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && Buffer.compare(a, first.root) === 0 && Buffer.compare(b, second.root) === 0;
}

/** The largest power of two below `n`. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

const isPowerOf2 = (n: number): boolean => split(n + 1) === n;

function bitsSet(n: number): number {
  let bits = 0;
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) bits += rest % 2;
  return bits;
}
