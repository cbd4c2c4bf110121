/** A child process of `bench -- inference`: the same decodes, crops and kernels without queue, threads or sealing. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import type { Frame } from '#testing';
import { readModelFiles } from '../apps/inference/src/model/model-files.js';
import { OnnxNets } from '../apps/inference/src/model/onnx.js';
import * as ort from '../apps/inference/src/model/runtime.js';
import { type DecodedFrame, StepAnalyser } from '../apps/inference/src/pipeline/analyse.js';
import {
  antispoofInput,
  ANTISPOOF_SIDE,
  EXPRESSION_SIDE,
  expressionInput,
  EYE_SIDE,
  eyeInput,
  facePatch,
  patchPlace,
  PATCH_SIDE,
  recogniserInput,
} from '../apps/inference/src/pipeline/crops.js';
import { decodeDetections, DETECTOR_SIDE, detectorInput } from '../apps/inference/src/pipeline/detector.js';
import {
  type Landmarks,
  MESH_SIDE,
  meshInput,
  type Region,
  regionOfDetection,
  regionOfLandmarks,
  toPicture,
} from '../apps/inference/src/pipeline/mesh.js';
import type { FaceModels, FaceNets } from '../apps/inference/src/pipeline/nets.js';
import { candidateTensor } from '../apps/inference/src/pipeline/recognisers.js';
import { type Picture, Pyramid } from '../apps/inference/src/pipeline/picture.js';
import { decode, DECODED_BYTES_MAX, prepareDecoder } from '../apps/inference/src/threads/decode.js';
import { Figures } from './figures.js';
import { takes } from './footage.js';

/** Grey of the faces in the footage: their eyes are cut without being lifted. */
const LIGHT = 130;

export type BareRow = 'all' | 'decodes' | 'kernels' | 'tracked' | 'floor' | 'equal' | 'stages' | 'recognisers';
export interface BareTask {
  row: BareRow;
  /** How many steps to go through. */
  steps: number;
}
export type BareAnswer =
  | { kind: 'ready' }
  /** `ms` in all, for `frames`; or figures by name. */
  | { kind: 'done'; ms: number; frames: number; stages: Record<string, number> };
export interface BareOptions {
  framesEach: number;
  /** The recogniser as its package ships it; null when it cannot be had. */
  shippedRecogniser: string | null;
}

/** How often each net ran on a frame; what the pipeline did, so that the bare loop does the same. */
type Runs = Record<keyof FaceNets, number>;
const NONE: Runs = { detect: 0, mesh: 0, embed: 0, live: 0, happy: 0, eyeClosed: 0 };

interface Step {
  frames: Frame[];
  runs: Runs[];
}

/** Width and height of what the shipped recogniser takes. */
const SHIPPED_SIDE = 112;

class Bare {
  private readonly tensors;
  private readonly patch = new Float32Array(PATCH_SIDE * PATCH_SIDE);
  private readonly analyser: StepAnalyser;
  private readonly pyramid = new Pyramid({ data: new Uint8Array(0), width: 0, height: 0 });
  /** One picture at a time, as in a thread of the worker. */
  private readonly memory = new Uint8Array(DECODED_BYTES_MAX);
  private detectMs = 0;

  constructor(
    private readonly nets: OnnxNets,
    private readonly shipped: Recogniser | null,
    private readonly steps: readonly Step[],
  ) {
    this.analyser = new StepAnalyser(this.trackingOnly());
    this.tensors = {
      detect: new Float32Array(DETECTOR_SIDE * DETECTOR_SIDE * 3),
      mesh: new Float32Array(MESH_SIDE * MESH_SIDE * 3),
      embed: candidateTensor(nets.recognisers[0]!),
      live: new Float32Array(ANTISPOOF_SIDE * ANTISPOOF_SIDE * 3),
      happy: new Float32Array(EXPRESSION_SIDE * EXPRESSION_SIDE * 3),
      eyeClosed: new Float32Array(EYE_SIDE * EYE_SIDE),
    };
  }

  static async load({ framesEach, shippedRecogniser }: BareOptions): Promise<Bare> {
    prepareDecoder();
    const { bytes } = await readModelFiles(path.join(repositoryRoot(), 'models/manifest.json'));
    const nets = await OnnxNets.load(bytes);
    const shipped = shippedRecogniser === null ? null : await loadShipped(shippedRecogniser);
    const steps: Step[] = [];
    for (const { frames } of await takes(framesEach)) steps.push({ frames, runs: await runsOf(nets, frames) });
    const bare = new Bare(nets, shipped, steps);
    await bare.run({ row: 'all', steps: steps.length });
    return bare;
  }

  async run({ row, steps }: BareTask): Promise<BareAnswer> {
    if (row === 'stages') return done(0, 0, await this.stages());
    if (row === 'recognisers') return done(0, 0, await this.recognisers());
    let frames = 0;
    let ms = 0;
    for (let i = 0; i < steps; i++) {
      const step = this.steps[i % this.steps.length]!;
      const from = performance.now();
      const notCounted = row === 'tracked' ? await this.tracked(step) : await this.rows[row](step);
      ms += performance.now() - from - (notCounted ?? 0);
      frames += step.frames.length;
    }
    return done(ms, frames);
  }

  private readonly rows: Record<'all' | 'decodes' | 'kernels' | 'floor' | 'equal', (step: Step) => Promise<void>> = {
    decodes: async ({ frames }) => {
      for (const { jpeg } of frames) await this.decoded(jpeg);
    },
    kernels: async ({ runs }) => {
      for (const run of runs)
        for (const net of Object.keys(NONE) as (keyof FaceNets)[])
          for (let k = 0; k < run[net]; k++) await this.nets[net](this.tensors[net]);
    },
    floor: async ({ frames }) => {
      const { nets, tensors } = this;
      for (const { jpeg } of frames) {
        await this.decoded(jpeg);
        await nets.mesh(tensors.mesh);
        for (let eye = 0; eye < 2; eye++) await nets.eyeClosed(tensors.eyeClosed);
        await nets.happy(tensors.happy);
      }
    },
    all: async ({ frames, runs }) => {
      let region: Region | null = null;
      const source = this.pyramid;
      for (const [i, { jpeg }] of frames.entries()) {
        source.load(await this.decoded(jpeg));
        region = await this.frame(source, region, runs[i]!);
      }
    },
    equal: async ({ frames }) => {
      for (const { jpeg } of frames) await this.equal(jpeg);
    },
  };

  /** What the pipeline does on a frame, with nothing around it. */
  private async frame(source: Pyramid, before: Region | null, run: Runs): Promise<Region | null> {
    const { nets, tensors } = this;
    let region = before;
    if (run.detect > 0) {
      const map = detectorInput(source, tensors.detect);
      const [first] = decodeDetections(await nets.detect(tensors.detect), map);
      if (!region && first) region = regionOfDetection(first);
    }
    let l: Landmarks | null = null;
    for (let k = 0; k < run.mesh && region; k++) {
      l = await this.landmarks(source, region);
      region = regionOfLandmarks(l);
    }
    if (!l || !region) return region;
    for (const side of ['right', 'left'] as const) {
      eyeInput(source, l, side, LIGHT, tensors.eyeClosed);
      await nets.eyeClosed(tensors.eyeClosed);
    }
    expressionInput(source, l, tensors.happy);
    await nets.happy(tensors.happy);
    facePatch(source, patchPlace(l), this.patch);
    for (let k = 0; k < run.live; k++) {
      antispoofInput(source, boxOf(region), k === 0 ? 2.7 : 4, tensors.live);
      await nets.live(tensors.live);
    }
    if (run.embed > 0) {
      recogniserInput(source, l, nets.recognisers[0]!, tensors.embed);
      await nets.embed(tensors.embed);
    }
    return region;
  }

  private async decoded(jpeg: Uint8Array): Promise<Picture> {
    const picture = await decode(jpeg, this.memory);
    if (!picture) throw new Error('a frame of the footage does not decode');
    return picture;
  }

  private async landmarks(source: Pyramid, region: Region): Promise<Landmarks> {
    const map = meshInput(source, region, this.tensors.mesh);
    return toPicture((await this.nets.mesh(this.tensors.mesh)).landmarks, map);
  }

  /** What other packages do on every frame: decode, detect, landmarks, embedding. */
  private async equal(jpeg: Uint8Array): Promise<void> {
    const source = this.pyramid;
    source.load(await this.decoded(jpeg));
    const map = detectorInput(source, this.tensors.detect);
    const [face] = decodeDetections(await this.nets.detect(this.tensors.detect), map);
    if (!face) throw new Error('a frame of the footage has no face');
    const l = await this.landmarks(source, regionOfDetection(face));
    recogniserInput(source, l, this.nets.recognisers[0]!, this.tensors.embed);
    await this.nets.embed(this.tensors.embed);
  }

  /** The pipeline itself, one frame after the other. Returns the time of the detector, which tracked frames do not run. */
  private async tracked({ frames }: Step): Promise<number> {
    this.detectMs = 0;
    const { memory } = this;
    async function* oneByOne(): AsyncGenerator<DecodedFrame> {
      for (const { tMs, jpeg } of frames) yield { tMs, picture: await decode(jpeg, memory) };
    }
    await this.analyser.run(oneByOne(), frames.at(-1)!.tMs);
    return this.detectMs;
  }

  /** The nets of a tracked frame; those of samples answer at once, and the detector's time is taken. */
  private trackingOnly(): FaceModels {
    const { nets } = this;
    return {
      detect: async (input) => {
        const from = performance.now();
        const found = await nets.detect(input);
        this.detectMs += performance.now() - from;
        return found;
      },
      mesh: (input) => nets.mesh(input),
      happy: (input) => nets.happy(input),
      eyeClosed: (input) => nets.eyeClosed(input),
      recognisers: nets.recognisers,
      embed: (_, which = 0) => Promise.resolve(new Float32Array(nets.recognisers[which]?.length ?? 0)),
      live: () => Promise.resolve(1),
    };
  }

  /** Median milliseconds of each stage by itself over the frames of one step; crops with the frame's pyramid made. */
  private async stages(): Promise<Record<string, number>> {
    const figures = new Map<string, Figures>();
    const lap = async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
      const from = performance.now();
      const result = await work();
      let of = figures.get(name);
      if (!of) figures.set(name, (of = new Figures()));
      of.add(performance.now() - from);
      return result;
    };
    const { nets, tensors } = this;
    for (const { jpeg } of this.steps[0]!.frames) {
      const picture = await lap('decode', () => this.decoded(jpeg));
      const source = this.pyramid;
      source.load(picture);
      await lap('pyramid', () => source.at(2));
      const map = await lap('crop detector', () => detectorInput(source, tensors.detect));
      const output = await lap('net detector', () => nets.detect(tensors.detect));
      const [face] = await lap('boxes', () => decodeDetections(output, map));
      if (!face) throw new Error('a frame of the footage has no face');
      const region = regionOfLandmarks(await this.landmarks(source, regionOfDetection(face)));
      const meshMap = await lap('crop mesh', () => meshInput(source, region, tensors.mesh));
      const raw = await lap('net mesh', () => nets.mesh(tensors.mesh));
      const l = toPicture(raw.landmarks, meshMap);
      await lap('crop eyes', () => {
        eyeInput(source, l, 'right', LIGHT, tensors.eyeClosed);
        eyeInput(source, l, 'left', LIGHT, tensors.eyeClosed);
      });
      await lap('net eyes', async () => {
        await nets.eyeClosed(tensors.eyeClosed);
        await nets.eyeClosed(tensors.eyeClosed);
      });
      await lap('crop expression', () => expressionInput(source, l, tensors.happy));
      await lap('net expression', () => nets.happy(tensors.happy));
      await lap('crop patch', () => facePatch(source, patchPlace(l), this.patch));
      await lap('crop recogniser', () => recogniserInput(source, l, nets.recognisers[0]!, tensors.embed));
      await lap('net recogniser', () => nets.embed(tensors.embed));
      await lap('crop anti-spoof', () => antispoofInput(source, face, 2.7, tensors.live));
      await lap('net anti-spoof', () => nets.live(tensors.live));
    }
    return Object.fromEntries([...figures].map(([name, of]) => [name, of.median]));
  }

  /** The recogniser as built and as its package ships it, in turns on one real crop. */
  private async recognisers(): Promise<Record<string, number>> {
    const source = new Pyramid(await this.decoded(this.steps[0]!.frames[0]!.jpeg));
    const map = detectorInput(source, this.tensors.detect);
    const [face] = decodeDetections(await this.nets.detect(this.tensors.detect), map);
    recogniserInput(
      source,
      await this.landmarks(source, regionOfDetection(face!)),
      this.nets.recognisers[0]!,
      this.tensors.embed,
    );
    const figures = { built: new Figures(), shipped: new Figures() };
    for (let i = 0; i < RECOGNISER_RUNS; i++)
      for (const which of ['built', 'shipped'] as const) {
        const from = performance.now();
        if (which === 'built') await this.nets.embed(this.tensors.embed);
        else await this.shipped?.(this.tensors.embed);
        figures[which].add(performance.now() - from);
      }
    return { built: figures.built.median, ...(this.shipped ? { shipped: figures.shipped.median } : {}) };
  }
}

const RECOGNISER_RUNS = 20;
type Recogniser = (input: Float32Array) => Promise<unknown>;

/** With the same settings as the worker's own sessions. */
async function loadShipped(file: string): Promise<Recogniser> {
  const session = await ort.InferenceSession.create(readFileSync(file), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
  const [name = ''] = session.inputNames;
  const shape = [1, 3, SHIPPED_SIDE, SHIPPED_SIDE];
  return (input) => session.run({ [name]: new ort.Tensor('float32', input, shape) });
}

const done = (ms: number, frames: number, stages: Record<string, number> = {}): BareAnswer => ({ kind: 'done', ms, frames, stages }); // prettier-ignore

const boxOf = ({ cx, cy, size }: Region) => {
  const side = size / 1.5;
  return { x: cx - side / 2, y: cy - side / 2, width: side, height: side };
};

/** One real run of the pipeline, counted. */
async function runsOf(nets: FaceModels, frames: readonly Frame[]): Promise<Runs[]> {
  const runs: Runs[] = [];
  const counting = Object.fromEntries(
    (Object.keys(NONE) as (keyof FaceNets)[]).map((net) => [
      net,
      (input: Float32Array) => {
        runs.at(-1)![net]++;
        return nets[net](input);
      },
    ]),
  ) as unknown as FaceNets;
  const models = { ...counting, recognisers: nets.recognisers };
  async function* counted(): AsyncGenerator<DecodedFrame> {
    for (const { tMs, jpeg } of frames) {
      const picture = await decode(jpeg);
      runs.push({ ...NONE });
      yield { tMs, picture };
    }
  }
  await new StepAnalyser(models).run(counted(), frames.at(-1)!.tMs);
  return runs;
}

async function main(): Promise<void> {
  const say = (answer: BareAnswer): boolean | undefined => process.send?.(answer);
  const bare = await Bare.load(JSON.parse(process.argv[2] ?? '') as BareOptions);
  process.on('message', (task: BareTask) => void bare.run(task).then(say, fail));
  process.on('disconnect', () => process.exit(0));
  say({ kind: 'ready' });
}

function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}

// Only as a program: its types are also imported.
if (require.main === module) main().catch(fail);
