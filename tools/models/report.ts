import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readModelFiles } from '../../apps/inference/src/model/model-files.js';
import { OnnxNets } from '../../apps/inference/src/model/onnx.js';
import * as ort from '../../apps/inference/src/model/runtime.js';
import { antispoofInput, expressionInput, eyeInput, recogniserInput } from '../../apps/inference/src/pipeline/crops.js';
import { decodeDetections, DETECTOR_SIDE, detectorInput } from '../../apps/inference/src/pipeline/detector.js';
import { meshInput, regionOfDetection, toPicture } from '../../apps/inference/src/pipeline/mesh.js';
import { Pyramid } from '../../apps/inference/src/pipeline/picture.js';
import { decode, prepareDecoder } from '../../apps/inference/src/threads/decode.js';
import { type CatalogueEntry, type ModelSet } from './catalogue.js';
import { encodeModel, graphOf, type Model, shapeOf } from './graph.js';
import { loadPackage, type Log } from './npm-package.js';
import { whyNotFolded } from './passes/fold-normalisation.js';
import { type Normalisation } from './passes/pass.js';
import { repositoryRoot } from './repository-root.js';

/** Grey of the faces on them: eyes are cut without being lifted. */
const LIGHT = 130;
/** Two men, at rest, smiling, turned and with closed eyes. */
const FRAMES = ['franck', 'cap'].flatMap((person) =>
  [
    ['neutral-1', 3],
    ['blink-1', 12],
    ['blink-1', 20],
    ['turn-right-1', 25],
  ].map(([part, frame]) => `${person}/${part}/${String(frame).padStart(3, '0')}.jpg`),
);
const ROUNDS = 12;
/** Rounding, as a share of the largest number of an output. What a rewrite got wrong is a thousand times as much. */
const DIFFERENCE_MAX = 2e-6;

interface Stage {
  readonly name: string;
  readonly found: string;
  readonly nodes: number;
  readonly session: ort.InferenceSession;
  readonly shape: readonly number[];
  readonly normalisation: Normalisation;
  readonly ms: number[];
}

interface Outputs {
  readonly [name: string]: Float32Array;
}

/**
 * Every pass of every model on real faces: nodes, the largest difference from the graph before any pass, and the time
 * before and after, all stages interleaved in one run on one thread. Returns whether every difference is rounding.
 */
export async function reportPasses(folder: string, log: Log, set: ModelSet): Promise<boolean> {
  const entries = [...set.models, ...set.recognisers];
  const crops = await cropsOf(folder, entries);
  let equal = true;
  for (const entry of entries) {
    const stages = await stagesOf(entry);
    const faces = crops.get(entry.file) ?? [];
    const reference = await Promise.all(faces.map((pixels) => run(stages[0]!, pixels)));
    for (let round = 0; round < ROUNDS; round++)
      for (const pixels of faces)
        for (const stage of stages) {
          const input = tensorOf(stage, pixels);
          const from = performance.now();
          await stage.session.run({ [stage.session.inputNames[0]!]: input });
          stage.ms.push(performance.now() - from);
        }
    log(`${entry.file}: ${stages[0]!.nodes} nodes, ${lowerQuartile(stages[0]!.ms)} ms as converted`);
    for (const [i, stage] of stages.entries()) {
      const before = stages[i - 1];
      if (!before) continue;
      const { difference, largest, share } = await compare(stage, faces, reference);
      const isEqual = share <= DIFFERENCE_MAX;
      equal &&= isEqual;
      log(
        `  ${stage.name.padEnd(21)} ${before.nodes} → ${stage.nodes} nodes, ` +
          `${lowerQuartile(before.ms)} → ${lowerQuartile(stage.ms)} ms, ` +
          `max abs diff ${difference.toExponential(1)} of ${largest.toPrecision(3)}${isEqual ? '' : ' NOT EQUAL'}; ${stage.found}`,
      );
    }
    if (!entry.passes.some((pass) => pass.folds))
      log(`  fold-normalisation    left out: ${whyNotFolded(stages.at(-1)!.model, entry.input) ?? 'possible'}`);
    const [first, last] = [stages[0]!, stages.at(-1)!];
    log(
      `  in all ${lowerQuartile(first.ms)} → ${lowerQuartile(last.ms)} ms (lower quartile of ${first.ms.length} runs)`,
    );
    await Promise.all(stages.map(({ session }) => session.release()));
  }
  return equal;
}

/** The graph before the first pass that may change its numbers, and after each. */
async function stagesOf(entry: CatalogueEntry): Promise<(Stage & { model: Model })[]> {
  const files = await loadPackage(entry.source, () => undefined);
  const model = entry.convert(files);
  const stages: (Stage & { model: Model })[] = [];
  let normalisation: Normalisation = entry.passes.find((pass) => pass.folds)?.folds ?? entry.input;
  const add = async (name: string, found: string): Promise<void> => {
    const graph = graphOf(model);
    const session = await ort.InferenceSession.create(encodeModel(model), {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
    });
    const shape = shapeOf(graph.input[0]!);
    stages.push({ name, found, nodes: graph.node.length, session, shape, normalisation, ms: [], model });
  };
  const naming = entry.passes.filter((pass) => pass.names);
  for (const pass of naming) pass.apply(model);
  await add('converted', entry.conversion);
  for (const pass of entry.passes) {
    if (pass.names) continue;
    const found = pass.apply(model);
    if (pass.folds) normalisation = { mean: pass.folds.mean.map(() => 0), scale: 1 };
    await add(pass.name, found);
  }
  return stages;
}

/** Pixels 0..255 in NCHW, as the product cuts them for each model. */
async function cropsOf(folder: string, entries: readonly CatalogueEntry[]): Promise<Map<string, Float32Array[]>> {
  prepareDecoder();
  const { bytes } = await readModelFiles(join(folder, 'manifest.json'));
  const nets = await OnnxNets.load(bytes);
  const crops = new Map<string, Float32Array[]>(entries.map(({ file }) => [file, []]));
  const keep = (entry: CatalogueEntry | undefined, cut: (out: Float32Array) => void): Float32Array => {
    if (!entry) throw new Error('the set has no such model');
    const [, channels = 3, side = 0] = entry.input.shape;
    const { mean, scale } = entry.input;
    const tensor = new Float32Array(channels * side * side);
    cut(tensor);
    crops.get(entry.file)?.push(tensor.map((v, i) => v / scale + (mean[Math.floor(i / (side * side))] ?? 0)));
    return tensor;
  };
  const of = (role: CatalogueEntry['role']) => entries.find((entry) => entry.role === role);
  const recognisers = entries.filter((entry) => entry.role === 'recogniser');
  for (const frame of FRAMES) {
    const picture = await decode(readFileSync(join(repositoryRoot(), 'test/media', frame)));
    if (!picture) throw new Error(`${frame} cannot be read`);
    const source = new Pyramid(picture);
    const scene = new Float32Array(3 * DETECTOR_SIDE * DETECTOR_SIDE);
    const map = detectorInput(source, scene);
    keep(of('detector'), (out) => out.set(scene));
    const [face] = decodeDetections(await nets.detect(scene), map);
    if (!face) throw new Error(`no face in ${frame}`);
    const region = regionOfDetection(face);
    const cut = keep(of('mesh'), (out) => meshInput(source, region, out));
    const landmarks = toPicture((await nets.mesh(cut)).landmarks, meshInput(source, region, cut));
    for (const [i, entry] of recognisers.entries())
      keep(entry, (out) => recogniserInput(source, landmarks, nets.recognisers[i]!, out));
    keep(of('antispoof'), (out) => antispoofInput(source, face, 2.7, out));
    keep(of('expression'), (out) => expressionInput(source, landmarks, out));
    keep(of('eye'), (out) => eyeInput(source, landmarks, 'left', LIGHT, out));
  }
  await nets.release();
  return crops;
}

/** In the layout and normalisation that the graph expects at this stage. */
function tensorOf({ shape, normalisation }: Stage, pixels: Float32Array): ort.Tensor {
  const channels = normalisation.mean.length;
  const area = pixels.length / channels;
  const isPlanar = shape[1] === channels;
  const values = new Float32Array(pixels.length);
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < area; i++)
      values[isPlanar ? c * area + i : i * channels + c] =
        (pixels[c * area + i]! - normalisation.mean[c]!) * normalisation.scale;
  return new ort.Tensor('float32', values, shape);
}

async function run(stage: Stage, pixels: Float32Array): Promise<Outputs> {
  const answer = await stage.session.run({ [stage.session.inputNames[0]!]: tensorOf(stage, pixels) });
  return Object.fromEntries(
    Object.entries(answer).map(([name, { data }]) => [name, Float32Array.from(data as Float32Array)]),
  );
}

/** The output that differs most for its size: how far, and the size. */
async function compare(stage: Stage, faces: readonly Float32Array[], reference: readonly Outputs[]) {
  const worst = { difference: 0, largest: 0, share: -1 };
  for (const [i, pixels] of faces.entries())
    for (const [name, values] of Object.entries(await run(stage, pixels))) {
      const expected = reference[i]![name]!;
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const difference = expected.reduce((most, value, at) => Math.max(most, Math.abs(value - values[at]!)), 0);
      const share = difference / Math.max(1, largest);
      if (share > worst.share) Object.assign(worst, { difference, largest, share });
    }
  return worst;
}

function lowerQuartile(ms: readonly number[]): string {
  const sorted = [...ms].sort((a, b) => a - b);
  return (sorted[sorted.length >> 2] ?? Number.NaN).toFixed(2);
}
