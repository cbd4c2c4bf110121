import type { OptionValues } from './command.js';
import type { FaceChoice } from './faces.js';
import { UsageError } from './fault.js';
import type { ScoringOptions } from './scoring.js';

export const COMPARISON_OPTIONS = {
  images: { type: 'string' },
  pairs: { type: 'string' },
  'all-vs-all': { type: 'boolean' },
  'every-image': { type: 'boolean' },
  template: { type: 'string' },
  probe: { type: 'string' },
  draws: { type: 'string' },
  folds: { type: 'string' },
  seed: { type: 'string' },
  mirror: { type: 'boolean' },
  face: { type: 'string' },
  cache: { type: 'string' },
} as const;

export const COMPARISON_HELP = `  --images DIR     the pictures (JPEG, WebP); a person is a folder
  --pairs FILE.csv the comparisons; not needed with --template, which then takes all pictures below DIR
  --all-vs-all     impostors: every two people, one picture each, instead of the listed different pairs
  --every-image    with --all-vs-all: every picture of both people; more comparisons, which are not independent
  --template N     a template of N pictures a person against probes of others (people with enough pictures)
  --probe N        pictures in a probe (1)
  --draws N        with --template: drawn N times; more comparisons, which are not independent (1)
  --folds N        folds for the accuracy when FILE.csv has no column "fold" (10), disjoint by person
  --seed N         draws folds, templates and probes (1)
  --mirror         adds each face's mirror image: for comparison, the product does not do it
  --face central|largest  which face of a picture with several (central: large and near the middle)
  --cache FILE     keeps the embeddings for the next run. They are biometric data: choose the place, delete it after
`;

export function comparisonOptions(values: OptionValues): ScoringOptions {
  return {
    images: required(values, 'images'),
    pairs: text(values, 'pairs'),
    allVsAll: values['all-vs-all'] === true,
    everyImage: values['every-image'] === true,
    template: values.template === undefined ? undefined : whole(values, 'template', 1, 1),
    probe: whole(values, 'probe', 1, 1),
    draws: whole(values, 'draws', 1, 1),
    folds: whole(values, 'folds', 10, 2),
    seed: whole(values, 'seed', 1, 0),
    mirror: values.mirror === true,
    face: faceChoice(text(values, 'face') ?? 'central'),
    cache: text(values, 'cache'),
  };
}

function faceChoice(name: string): FaceChoice {
  if (name !== 'central' && name !== 'largest') throw new UsageError(`--face is central or largest, not ${name}`);
  return name;
}

export function required(values: OptionValues, name: string): string {
  const value = text(values, name);
  if (value === undefined) throw new UsageError(`--${name} is needed`);
  return value;
}

export function text(values: OptionValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

/** A whole number of at least `min`. */
export function whole(values: OptionValues, name: string, fallback: number, min: number): number {
  const value = positive(values, name, fallback);
  if (!Number.isInteger(value) || value < min) throw new UsageError(`--${name} is not a whole number from ${min} up`);
  return value;
}

export function positive(values: OptionValues, name: string, fallback: number): number {
  const given = text(values, name);
  const value = given === undefined ? fallback : Number(given);
  if (given?.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new UsageError(`--${name} is not a number: ${given}`);
  return value;
}
