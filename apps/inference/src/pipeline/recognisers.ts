import type { TensorFormat } from './picture.js';
import { normalise } from './vector.js';

/** One of the set that tells people apart: how it takes a face, how long its answer is, how much it counts. */
export interface Recogniser {
  /** Width and height of its input. */
  readonly side: number;
  readonly alignment: 'arcface' | 'dlib';
  readonly format: TensorFormat;
  /** Numbers of its embedding. */
  readonly length: number;
  /** Share of the similarity; all shares sum to 1. */
  readonly share: number;
}

/** Memory for the input of one. */
export const candidateTensor = ({ side, format }: Recogniser): Float32Array =>
  new Float32Array(side * side * (format.colour === 'grey' ? 1 : 3));

/** What a joined vector is made of. */
export type Part = Pick<Recogniser, 'length' | 'share'>;

/**
 * The embeddings of one face by each recogniser as one vector of unit length: each is normalised and takes up the root
 * of its share, so that the cosine of two such vectors is the weighted sum of the recognisers' cosines.
 */
export function joined(recognisers: readonly Part[], embeddings: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(recognisers.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const [i, { length, share }] of recognisers.entries()) {
    const embedding = embeddings[i];
    if (embedding?.length !== length) throw new RangeError(`an embedding of ${embedding?.length ?? 0}, not ${length}`);
    const k = Math.sqrt(share);
    out.set(
      normalise(embedding).map((x) => x * k),
      at,
    );
    at += length;
  }
  return out;
}

/** The mean of joined vectors, recogniser by recogniser: each part is brought back to its share. */
export function meanFace(recognisers: readonly Part[], vectors: readonly Float32Array[]): Float32Array {
  const parts: Float32Array[] = [];
  let at = 0;
  for (const { length } of recognisers) {
    const sum = new Float32Array(length);
    for (const vector of vectors) for (let i = 0; i < length; i++) sum[i]! += vector[at + i]!;
    parts.push(sum);
    at += length;
  }
  if (vectors.length === 0 || vectors.some((v) => v.length !== at)) throw new RangeError('no vectors of this set');
  return joined(recognisers, parts);
}
