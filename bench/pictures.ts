import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { CAPTURE_LIMITS } from '#contracts';
import { repositoryRoot } from '#stack';
import { encodeStep, Media, type CostlyPicture, costlyPictures, ordinaryPicture } from '#testing';
import { readFramesContainer } from '../apps/gateway/src/capture/frames-container.js';
import { readImageHeader, stepSamplesMax } from '../apps/gateway/src/capture/image-header.js';
import { readModelFiles } from '../apps/inference/src/model/model-files.js';
import { OnnxNets } from '../apps/inference/src/model/onnx.js';
import { type DecodedFrame, StepAnalyser } from '../apps/inference/src/pipeline/analyse.js';
import type { Picture } from '../apps/inference/src/pipeline/picture.js';
import { decode, DECODED_BYTES_MAX, prepareDecoder } from '../apps/inference/src/threads/decode.js';
import { measured, type Report, say } from './command.js';
import { type Bar, barLines, Figures, isMet, table } from './figures.js';
import { takes } from './footage.js';
import { machine } from './machine.js';

const RATIO_BAR = 3;
const STEP_FRAMES = 30;
/** So that the compiler of the kernels has done with them. */
const WARM_DECODES = 200;
/** Of each file in a round; the clock of CPU time is coarse beside a decode of a millisecond. */
const DECODES = 5;
const WARM_FILE = 1;
const PERSON = 'franck';

const HELP = `npm run -s bench -- pictures [--json] [--rounds N] [--markdown]

What a frame costs a worker, for files that cost a decoder more than their size says: milliseconds of CPU of all threads in
the worker's way from bytes to pixels, beside an ordinary frame (640 × 480, JPEG of quality 85, as cameras' software writes
it) in turns, and what the gateway says to each. The bar: what the gateway takes costs at most ${RATIO_BAR} × an ordinary
frame, decoded and looked at by the nets. Refused files are measured all the same: that is what they would cost.

  --rounds N   rounds of all files (7)
  --json       only the JSON line
  --markdown   also writes docs/performance.md
`;

export const benchPictures = (args: string[]): Promise<boolean> =>
  measured({ name: 'pictures', help: HELP, rounds: 7, measure }, args);

interface Row extends CostlyPicture {
  /** What a gateway says to a step of it: `taken`, or the code of the refusal. */
  answer: string;
  pixels: number;
  decodeMs: Figures;
  /** Of the round: decoded and looked at, by the same of an ordinary frame. */
  ratio: Figures;
}

async function measure(rounds: number, _dir: string, header: string): Promise<Report> {
  prepareDecoder();
  const [take] = await takes(STEP_FRAMES);
  if (!take) throw new Error('no footage');
  const photo = await photoOfFace();
  const ordinary = await ordinaryPicture(photo);
  say('making the files …');
  const rows = (await costlyPictures(photo)).map(rowOf);
  const look = await Look.load(take.frames.map(({ jpeg }) => jpeg));
  const [ordinaryMs, lookMs] = [new Figures(), new Figures()];
  for (let i = 0; i < WARM_DECODES; i++) await decode(ordinary, MEMORY);
  for (let round = 1; round <= rounds; round++) {
    const from = performance.now();
    const lookNow = await look.cpuMs();
    lookMs.add(lookNow);
    for (const row of rows) {
      // In turns: a machine that slows down does so for both.
      const plain = await decodeMs(ordinary);
      const odd = await decodeMs(row.bytes);
      ordinaryMs.add(plain);
      row.decodeMs.add(odd);
      row.ratio.add((odd + lookNow) / (plain + lookNow));
    }
    say(`round ${round} of ${rounds}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
  }
  return report(rows, { ordinaryMs, lookMs }, rounds, header);
}

export interface Bomb {
  name: string;
  bytes: Buffer;
  /** How many of it a step takes. */
  frames: number;
}

/** What makes a step cost a worker the most, of all that a gateway takes. Measured here and now. */
export async function dearestStep(): Promise<Bomb> {
  prepareDecoder();
  const files = (await costlyPictures(await photoOfFace())).map(rowOf).filter(({ answer }) => answer === 'taken');
  let dearest: { bomb: Bomb; ms: number } | null = null;
  for (const { name, bytes } of files) {
    const { samples = Infinity } = readImageHeader(bytes) ?? {};
    // Room for the header, and for what tells one from the other.
    const frames = Math.floor(Math.min(CAPTURE_LIMITS.framesMax, CAPTURE_LIMITS.bytesMax / (bytes.length + 100), stepSamplesMax(CAPTURE_LIMITS.framesMax) / (samples + 2_000))); // prettier-ignore
    const ms = frames * (await decodeMs(bytes));
    if (!dearest || ms > dearest.ms) dearest = { bomb: { name, bytes, frames }, ms };
  }
  if (!dearest) throw new Error('the gateway takes none of the pictures');
  return dearest.bomb;
}

export async function photoOfFace(): Promise<Buffer> {
  const media = new Media(path.join(repositoryRoot(), 'test/media'));
  const [photo] = await media.load(media.takes(PERSON, 'smile').at(-1)!.segment);
  if (!photo) throw new Error('no footage');
  return photo.jpeg;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** One picture at a time, as in a thread of the worker. */
const MEMORY = new Uint8Array(DECODED_BYTES_MAX);

function rowOf(picture: CostlyPicture): Row {
  const outcome = readFramesContainer(encodeStep([{ tMs: 0, jpeg: picture.bytes }]));
  const { width = 0, height = 0 } = readImageHeader(picture.bytes) ?? {};
  const answer = outcome.kind === 'ok' ? 'taken' : outcome.code;
  return { ...picture, answer, pixels: width * height, decodeMs: new Figures(), ratio: new Figures() };
}

/** Milliseconds of CPU of all threads of this process, of which no other does anything. */
async function cpuOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function decodeMs(bytes: Buffer): Promise<number> {
  // Else a file pays for what those before it left: a collection takes as long as ten decodes.
  collectGarbage();
  for (let i = 0; i < WARM_FILE; i++) await decode(bytes, MEMORY);
  return (
    (await cpuOf(async () => {
      for (let i = 0; i < DECODES; i++) await decode(bytes, MEMORY);
    })) / DECODES
  );
}

/** What the nets cost on a frame of an ordinary step: its samples for recogniser and anti-spoof, and the detector, shared out. */
class Look {
  private constructor(
    private readonly analyser: StepAnalyser,
    private readonly pictures: readonly Picture[],
  ) {}

  static async load(frames: readonly Buffer[]): Promise<Look> {
    const { bytes } = await readModelFiles(path.join(repositoryRoot(), 'models/manifest.json'));
    const pictures = await Promise.all(frames.map((frame) => decode(frame)));
    const look = new Look(new StepAnalyser(await OnnxNets.load(bytes)), pictures.filter((picture) => picture !== null)); // prettier-ignore
    await look.cpuMs();
    return look;
  }

  async cpuMs(): Promise<number> {
    const { pictures } = this;
    async function* frames(): AsyncGenerator<DecodedFrame> {
      for (const [i, picture] of pictures.entries()) yield await Promise.resolve({ tMs: i * FRAME_GAP_MS, picture });
    }
    return (await cpuOf(() => this.analyser.run(frames(), pictures.length * FRAME_GAP_MS))) / pictures.length;
  }
}

const FRAME_GAP_MS = 1000 / CAPTURE_LIMITS.fpsMax;

function report(
  rows: readonly Row[],
  { ordinaryMs, lookMs }: Record<'ordinaryMs' | 'lookMs', Figures>,
  rounds: number,
  header: string,
): Report {
  const takenRows = rows.filter(({ answer }) => answer === 'taken');
  const dearest = takenRows.reduce((a, b) => (b.ratio.median > a.ratio.median ? b : a));
  const bars: Bar[] = [
    { what: `dearest that is taken (${dearest.name}) ÷ ordinary frame`, value: dearest.ratio.median, limit: RATIO_BAR, better: 'lower' },
    { what: 'files that the gateway answers otherwise than meant', value: rows.filter((row) => row.taken !== (row.answer === 'taken')).length, limit: 0, better: 'lower' },
  ]; // prettier-ignore
  const perPixel = (ms: Figures, pixels: number): number => (ms.median * 1e6) / pixels;
  const ordinaryPixel = perPixel(ordinaryMs, ORDINARY_PIXELS);
  const lines = [
    '## Pictures that cost more than their size says',
    '',
    `${header}. ${rounds} rounds, all files in turn with the ordinary one; CPU of all threads.`,
    `Ordinary frame: 640 × 480, baseline JPEG of quality 85, colours at half size: ${ordinaryMs.toString(2)} ms to decode, ${lookMs.toString(2)} ms a frame for the nets.`,
    '÷ frame: decoded and looked at, by the same of an ordinary frame. ÷ pixel: nanoseconds of decoding a pixel, by the same of an ordinary frame.',
    '',
    ...barLines(bars),
    '',
    ...table(
      ['file', 'bytes', 'gateway', 'decode ms', '÷ decode', '÷ frame', '÷ pixel'],
      rows.map((row) => [
        row.name,
        String(row.bytes.length),
        row.answer,
        row.decodeMs.toString(1),
        (row.decodeMs.median / ordinaryMs.median).toFixed(1),
        row.ratio.median.toFixed(2),
        row.pixels > 0 ? (perPixel(row.decodeMs, row.pixels) / ordinaryPixel).toFixed(1) : '–',
      ]),
    ),
  ];
  const json = {
    pictures: rows.map(({ name, bytes, answer, decodeMs: ms, ratio }) => ({
      name,
      bytes: bytes.length,
      answer,
      decodeMs: ms.median,
      ratioToOrdinaryFrame: ratio.median,
    })),
    ordinary: { decodeMs: ordinaryMs.median, lookMs: lookMs.median },
    rounds,
    machine: machine(),
  };
  return { lines, json, met: bars.every((bar) => isMet(bar) !== false) };
}

const ORDINARY_PIXELS = 640 * 480;
