import type { DetectorOutput } from './detector.js';
import type { Recogniser } from './recognisers.js';

/**
 * What the pipeline needs of the models; implemented by `model/`. Every input is a whole tensor in the layout that the
 * functions of `crops.ts`, `mesh.ts` and `detector.ts` write, and is free for reuse once the promise is settled. Those of
 * `embed` and `live`, which are run on samples, may be moved to another thread: `StepAnalyser` gives them away.
 */
export interface FaceNets {
  detect(input: Float32Array): Promise<DetectorOutput>;
  /** 468 × 3 in crop pixels, and the probability that the crop holds a face. */
  mesh(input: Float32Array): Promise<{ landmarks: Float32Array; presence: number }>;
  /** As many numbers as this recogniser gives, not normalised. */
  embed(input: Float32Array, which?: number): Promise<Float32Array>;
  /** Probability of a live face, 0..1. */
  live(input: Float32Array): Promise<number>;
  /** Probability of a happy expression, 0..1. */
  happy(input: Float32Array): Promise<number>;
  /** Probability that this eye is closed, 0..1. */
  eyeClosed(input: Float32Array): Promise<number>;
}

/** The nets and what the pipeline must know of those that differ from set to set. */
export interface FaceModels extends FaceNets {
  readonly recognisers: readonly Recogniser[];
}
