import { type Model } from '../graph.js';

/** One rewrite of a graph in place. It changes how fast a model runs, never what it answers. */
export interface Pass {
  readonly name: string;
  /** Returns what it found, for the build's progress line. */
  apply(model: Model): string;
}
