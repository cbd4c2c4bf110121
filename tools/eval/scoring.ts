import { readdirSync } from 'node:fs';
import path from 'node:path';
import { meanFace } from '../../apps/inference/src/pipeline/recognisers.js';
import { compareAllVsAll, comparePairs, compareTemplates, type Mean } from './compare.js';
import { embedFiles, type Embedding, type EmbedOptions, type Models, requireFiles } from './faces.js';
import { UsageError } from './fault.js';
import { foldedAccuracy, type FoldedAccuracy, foldsOf, type Pair, personOf, readPairs } from './pairs.js';
import { type Scores, sortedScores } from './statistics.js';

/** What is compared with what: shared by `match` and `calibrate`. */
export interface ScoringOptions extends EmbedOptions {
  images: string;
  pairs: string | undefined;
  allVsAll: boolean;
  everyImage: boolean;
  template: number | undefined;
  probe: number;
  /** Templates and probes are drawn so often. */
  draws: number;
  folds: number;
  seed: number;
}

export interface Scored {
  scores: Scores;
  images: number;
  people: number;
  undetected: { file: string; why: 'unreadable' | 'no_face' }[];
  accuracy: FoldedAccuracy | null;
  protocol: string;
  genuineFrom: string;
  impostorFrom: string;
}

/** A comparison as it is made, for rates by group. */
export type OnComparison = (personA: string, personB: string, same: boolean, score: number) => void;

/** Reads the lists before any model works: a wrong line or a missing file is told at once. */
export async function scoreAll(
  loadModels: () => Promise<Models>,
  options: ScoringOptions,
  onComparison: OnComparison = () => undefined,
): Promise<Scored> {
  const pairs = options.pairs === undefined ? null : readPairs(options.pairs);
  if (!pairs && options.template === undefined) throw new UsageError('--pairs is needed without --template');
  const files = pairs ? [...new Set(pairs.flatMap((p) => [p.fileA, p.fileB]))] : picturesBelow(options.images);
  if (files.length === 0) throw new UsageError(`no JPEG or WebP pictures below ${options.images}`);
  requireFiles(options.images, files);
  const models = await loadModels();
  const faces = await embedFiles(models, options.images, files, options);
  const mean: Mean = (vectors) => meanFace(models.nets.recognisers, vectors);
  const found =
    options.template === undefined
      ? pairwise(pairs ?? [], faces, options, onComparison)
      : templates(faces, { ...options, template: options.template, mean }, onComparison);
  const undetected: Scored['undetected'] = [];
  for (const [file, { kind }] of faces) if (kind !== 'face') undetected.push({ file, why: kind });
  return { images: files.length, undetected, ...found };
}

type Found = Omit<Scored, 'images' | 'undetected'>;

function pairwise(
  pairs: readonly Pair[],
  faces: ReadonlyMap<string, Embedding>,
  options: ScoringOptions,
  onComparison: OnComparison,
): Found {
  const scores = comparePairs(pairs, faces);
  const genuine: number[] = [];
  const impostor: number[] = [];
  const note = (personA: string, personB: string, same: boolean, score: number): void => {
    (same ? genuine : impostor).push(score);
    onComparison(personA, personB, same, score);
  };
  let impostorFrom = 'the listed pairs of different people';
  for (const [i, { fileA, fileB, same }] of pairs.entries())
    if (!Number.isNaN(scores[i]) && (same || !options.allVsAll))
      note(personOf(fileA), personOf(fileB), same, scores[i]!);
  if (options.allVsAll) {
    const people = compareAllVsAll(faces, options, (a, b, score) => note(a, b, false, score));
    const each = options.everyImage ? 'every image of both, which are not independent' : 'one image each';
    impostorFrom = `every two of ${people} people, ${each}`;
  }
  const kept = pairs.map((_, i) => i).filter((i) => !Number.isNaN(scores[i]));
  const listed = kept.map((i) => pairs[i]!);
  return {
    scores: sortedScores(genuine, impostor),
    people: new Set([...faces.keys()].map(personOf)).size,
    accuracy: foldedAccuracy(
      listed,
      kept.map((i) => scores[i]!),
      foldsOf(listed, options.folds, options.seed),
    ),
    protocol: `one image against one image${mirrored(options)}`,
    genuineFrom: 'the listed pairs of the same person',
    impostorFrom,
  };
}

function templates(
  faces: ReadonlyMap<string, Embedding>,
  options: ScoringOptions & { template: number; mean: Mean },
  onComparison: OnComparison,
): Found {
  const { template, probe } = options;
  const genuine: number[] = [];
  const impostor: number[] = [];
  let [people, peopleGenuine] = [0, 0];
  for (let draw = 0; draw < options.draws; draw++)
    ({ people, peopleGenuine } = compareTemplates(
      faces,
      { ...options, seed: options.seed + draw },
      (a, b, score) => {
        genuine.push(score);
        onComparison(a, b, true, score);
      },
      (a, b, score) => {
        impostor.push(score);
        onComparison(a, b, false, score);
      },
    ));
  const often = options.draws === 1 ? '' : `, drawn ${options.draws} times from the same images: not independent`;
  return {
    scores: sortedScores(genuine, impostor),
    people,
    accuracy: null,
    protocol: `template of ${template} against probe of ${probe}${mirrored(options)}`,
    genuineFrom: `${peopleGenuine} people with ${template + probe} images or more, at most 3 probes each${often}`,
    impostorFrom: `every template against one probe of everyone else, ${people} people${often}`,
  };
}

const mirrored = ({ mirror }: ScoringOptions): string => (mirror ? ', each image with its mirror image' : '');

function picturesBelow(root: string): string[] {
  try {
    return readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((f) => /\.(jpe?g|webp)$/i.test(f))
      .map((f) => f.split(path.sep).join('/'))
      .sort();
  } catch {
    throw new UsageError(`${root} cannot be read`);
  }
}
