import { type Model } from '../graph.js';

/** What a graph was trained on: `(pixel − mean) × scale`, one mean a channel. */
export interface Normalisation {
  readonly mean: readonly number[];
  readonly scale: number;
}

/** One rewrite of a graph in place. It changes how fast a model runs and how it takes its input, never what it answers. */
export interface Pass {
  readonly name: string;
  /** The normalisation that the graph expects before this pass and no longer after it. */
  readonly folds?: Normalisation;
  /** Gives the graph our names or our kind of output: part of the conversion, not of what is measured. */
  readonly names?: true;
  /** Returns what it found, for the build's progress line. */
  apply(model: Model): string;
}
