import { MODEL_ROLES, type ModelEntry, type ModelManifest, type ModelRole, type RecogniserEntry } from '#contracts';
import { ANTISPOOF_SIDE, EXPRESSION_SIDE, EYE_SIDE } from '../pipeline/crops.js';
import { DETECTOR_SIDE } from '../pipeline/detector.js';
import { MESH_SIDE } from '../pipeline/mesh.js';
import type { AttemptRules } from '../pipeline/judge-attempt.js';
import type { Recogniser } from '../pipeline/recognisers.js';

type Input = Pick<ModelEntry['input'], 'shape' | 'colour' | 'mean' | 'scale'>;

/** What the pipeline writes for each model. A replacement takes the same, or brings its own arithmetic in its graph. */
const WRITTEN: Record<ModelRole, Input> = {
  detector: {
    shape: [1, 3, DETECTOR_SIDE, DETECTOR_SIDE],
    colour: 'RGB',
    mean: [127.5, 127.5, 127.5],
    scale: 1 / 127.5,
  },
  mesh: { shape: [1, 3, MESH_SIDE, MESH_SIDE], colour: 'RGB', mean: [0, 0, 0], scale: 1 },
  antispoof: { shape: [1, 3, ANTISPOOF_SIDE, ANTISPOOF_SIDE], colour: 'BGR', mean: [0, 0, 0], scale: 1 },
  expression: {
    shape: [1, 3, EXPRESSION_SIDE, EXPRESSION_SIDE],
    colour: 'RGB',
    mean: [122.782, 117.001, 104.298],
    scale: 1 / 255,
  },
  eye: { shape: [1, 1, EYE_SIDE, EYE_SIDE], colour: 'GREY', mean: [0], scale: 1 },
};

/** Why the pipeline cannot feed these models, or null. */
export function inputProblem({ models, recognisers }: ModelManifest): string | null {
  for (const role of MODEL_ROLES) {
    const wanted = WRITTEN[role];
    if (textOf(models[role].input) !== textOf(wanted)) return `${role}: the input must be ${textOf(wanted)}`;
  }
  for (const { file, input } of recognisers) {
    const [, channels, height, width] = input.shape;
    const expected = input.colour === 'GREY' ? 1 : 3;
    if (channels !== expected || input.mean.length !== expected || height !== width)
      return `${file}: the input must be 1 × ${expected} × side × side with ${expected} means`;
  }
  return null;
}

const textOf = ({ shape, colour, mean, scale }: Input): string =>
  `${shape.join(' × ')} ${colour}, mean ${mean.join(', ')}, scale ${scale}`;

/** The recognisers of a set as the pipeline knows them. */
export function recognisersOf({ recognisers }: Pick<ModelManifest, 'recognisers'>): Recogniser[] {
  const total = recognisers.reduce((sum, { weight }) => sum + weight, 0);
  return recognisers.map((entry) => recogniserOf(entry, total));
}

export const rulesOf = (manifest: Pick<ModelManifest, 'recognisers' | 'thresholds'>): AttemptRules => ({
  recognisers: recognisersOf(manifest),
  match: manifest.thresholds.match.value,
  onePerson: manifest.thresholds.onePerson.steps,
});

function recogniserOf({ input, outputs, alignment, weight }: RecogniserEntry, total: number): Recogniser {
  const colours = { RGB: 'rgb', BGR: 'bgr', GREY: 'grey' } as const;
  return {
    side: input.shape[3],
    alignment,
    format: {
      layout: 'nchw',
      colour: colours[input.colour],
      scale: input.scale,
      offset: input.mean.map((mean) => -mean * input.scale),
    },
    length: outputs[0].shape[1],
    share: weight / total,
  };
}
