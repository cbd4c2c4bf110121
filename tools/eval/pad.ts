import path from 'node:path';
import { readFileSync } from 'node:fs';
import { type AntispoofSample, type DecodedFrame, StepAnalyser } from '../../apps/inference/src/pipeline/analyse.js';
import type { OnnxNets } from '../../apps/inference/src/model/onnx.js';
import { ATTEMPT, isSpoof } from '../../apps/inference/src/pipeline/judge-attempt.js';
import { median } from '../../apps/inference/src/pipeline/vector.js';
import { decodePhoto } from '../../apps/inference/src/threads/decode.js';
import { type Clip, decoded, isStill, openClips } from './clips.js';
import type { Command } from './command.js';
import { numberOf, readCsv } from './csv.js';
import { livenessOf, loadModels, requireFiles } from './faces.js';
import { UsageError } from './fault.js';
import { positive, required } from './options.js';
import { progress } from './progress.js';
import { rateText, type Section } from './report.js';
import { rateOf } from './statistics.js';

const BONA_FIDE = 'bona_fide';
/** Steps of an attempt: the anti-spoof is judged over all of them. */
const WINDOWS_PER_TRANSACTION = 3;
/** Fewer samples in a window are no measurement. */
const WINDOW_SAMPLES_MIN = 3;

interface Presentation {
  file: string;
  subject: string;
  label: string;
  fromSeconds: number;
  toSeconds: number;
}

/** One decision. `score`: median over its frames of the lower P(live) of both crops; null: too few frames to be checked. */
interface Decision {
  score: number | null;
  denied: boolean;
}

export const pad: Command = {
  name: 'pad',
  what: 'which presentation attacks and which genuine faces the passive check denies',
  help: `npm run -s eval -- pad --clips DIR --labels FILE.csv --out R.json [--per-frame]

The product's passive anti-spoof on labelled presentations. FILE.csv: file,subject,label[,start_s,end_s]; label is
bona_fide or the species of the attack (print, replay, …). A window is as long as a step, a transaction is three windows
in a row, as an attempt has three steps; both are denied by the product's own rule. APCER: share of the checked attack
presentations that were not denied; BPCER: share of the checked genuine ones that were. What has too few usable frames
is "not checked": the product asks for another capture then, it never passes.

  --clips DIR      videos (ffmpeg on PATH), folders of frames, stills with --per-frame
  --labels FILE    the presentations
  --per-frame      every frame is a decision of its own, whatever the pose; for stills
  --fps N          frames a second (20)
  --frames-fps N   rate at which folders of frames were taken (that of --fps)
  --window S       seconds of a window (2.5)
`,
  options: {
    clips: { type: 'string' },
    labels: { type: 'string' },
    'per-frame': { type: 'boolean' },
    fps: { type: 'string' },
    'frames-fps': { type: 'string' },
    window: { type: 'string' },
  },
  async run(values) {
    const root = required(values, 'clips');
    const presentations = readPresentations(required(values, 'labels'));
    const perFrame = values['per-frame'] === true;
    const fps = positive(values, 'fps', 20);
    const window = positive(values, 'window', 2.5);
    if (fps === 0 || window === 0) throw new UsageError('--fps and --window are above 0');
    const stills = presentations.map((p) => p.file).filter(isStill);
    if (stills.length > 0 && !perFrame)
      throw new UsageError(`stills need --per-frame: ${[...new Set(stills)].slice(0, 5).join(', ')}`);
    requireFiles(root, stills);
    const moving = presentations.map((p) => p.file).filter((f) => !isStill(f));
    const clips = openClips(root, moving, positive(values, 'frames-fps', fps));
    const { manifest, nets } = await loadModels(values.models);
    const reader = new Reader(root, clips, fps, nets);
    const bar = progress('presentations', presentations.length);
    const judged: Judged[] = [];
    for (const p of presentations) {
      judged.push(await judge(reader, p, perFrame, window));
      bar.tick();
    }
    bar.end();
    const report = {
      perFrame,
      ...(perFrame ? {} : { windowSeconds: window, windowsPerTransaction: WINDOWS_PER_TRANSACTION }),
      deniedBelow: ATTEMPT.liveMin,
      n: presentations.length,
      bySpecies: bySpecies(judged),
      bySubject: bySubject(judged),
    };
    return { report, section: sectionOf(report), modelDigest: manifest.digest };
  },
};

function readPresentations(file: string): Presentation[] {
  const name = path.basename(file);
  const rows = readCsv(file, ['file', 'subject', 'label'], ['start_s', 'end_s']);
  if (rows.length === 0) throw new UsageError(`${name}: no presentations`);
  return rows.map((row) => {
    const { start_s, end_s } = row.values;
    const fromSeconds = start_s ? numberOf(row, 'start_s', name) : 0;
    const toSeconds = end_s ? numberOf(row, 'end_s', name) : Infinity;
    if (toSeconds < fromSeconds) throw new UsageError(`${name}:${row.line}: ends before it starts`);
    return {
      file: row.values.file!,
      subject: row.values.subject!,
      label: row.values.label!,
      fromSeconds,
      toSeconds,
    };
  });
}

interface Judged {
  of: Presentation;
  windows: Decision[];
  transactions: Decision[];
}

class Reader {
  constructor(
    private readonly root: string,
    private readonly clips: ReadonlyMap<string, Clip>,
    private readonly fps: number,
    private readonly nets: OnnxNets,
  ) {}

  /** Anti-spoof samples of every stretch of `windowMs`, in order; a stretch of less than half of it is left out. */
  async windows(p: Presentation, windowMs: number): Promise<AntispoofSample[][]> {
    const out: AntispoofSample[][] = [];
    let frames: DecodedFrame[] = [];
    const flush = async (): Promise<void> => {
      const length = frames.length > 0 ? frames.at(-1)!.tMs : 0;
      if (length >= windowMs / 2) out.push(await this.samples(frames));
      frames = [];
    };
    let start = 0;
    for await (const { tMs, picture } of this.frames(p)) {
      if (tMs - start >= windowMs) {
        await flush();
        start = tMs;
      }
      frames.push({ tMs: tMs - start, picture });
    }
    await flush();
    return out;
  }

  /** Anti-spoof samples of every frame on its own: none where no usable face is. */
  async singles(p: Presentation): Promise<AntispoofSample[][]> {
    const out: AntispoofSample[][] = [];
    for await (const { picture } of this.frames(p)) {
      const sample = await livenessOf(this.nets, picture);
      out.push(sample ? [sample] : []);
    }
    return out;
  }

  private async samples(frames: readonly DecodedFrame[]): Promise<AntispoofSample[]> {
    const all = (async function* () {
      yield* frames;
    })();
    return (await new StepAnalyser(this.nets).run(all, frames.at(-1)?.tMs ?? 0)).antispoof;
  }

  private async *frames(p: Presentation): AsyncGenerator<DecodedFrame> {
    const clip = this.clips.get(p.file);
    if (clip) yield* decoded(clip.frames(this.fps, p.fromSeconds, p.toSeconds));
    else yield { tMs: 0, picture: await decodePhoto(readFileSync(path.join(this.root, p.file))) };
  }
}

async function judge(reader: Reader, of: Presentation, perFrame: boolean, window: number): Promise<Judged> {
  const samples = perFrame ? await reader.singles(of) : await reader.windows(of, window * 1000);
  const windows = samples.map((s) => decide(s, perFrame ? 1 : WINDOW_SAMPLES_MIN));
  const transactions: Decision[] = [];
  if (!perFrame)
    for (let at = 0; at + WINDOWS_PER_TRANSACTION <= samples.length; at += WINDOWS_PER_TRANSACTION) {
      const all = samples.slice(at, at + WINDOWS_PER_TRANSACTION).flat();
      transactions.push(decide(all, ATTEMPT.antispoofMin));
    }
  return { of, windows, transactions };
}

function decide(samples: AntispoofSample[], samplesMin: number): Decision {
  if (samples.length < samplesMin) return { score: null, denied: false };
  return { score: median(samples.map((s) => Math.min(s.near, s.far))), denied: isSpoof([{ antispoof: samples }]) };
}

function rates(label: string, decisions: readonly Decision[]) {
  const checked = decisions.filter((d) => d.score !== null);
  const denied = checked.filter((d) => d.denied).length;
  const bonaFide = label === BONA_FIDE;
  const error = rateOf(bonaFide ? denied : checked.length - denied, checked.length);
  return {
    n: decisions.length,
    notChecked: decisions.length - checked.length,
    denied,
    ...(bonaFide ? { bpcer: error } : { apcer: error }),
  };
}

function scoresOf(decisions: readonly Decision[]) {
  const scores = decisions.flatMap((d) => (d.score === null ? [] : [d.score]));
  if (scores.length === 0) return null;
  const [min, max] = [scores.reduce((a, b) => Math.min(a, b)), scores.reduce((a, b) => Math.max(a, b))];
  return { min, median: median(scores), max };
}

function summaryOf(label: string, judged: readonly Judged[]) {
  const windows = judged.flatMap((j) => j.windows);
  return {
    presentations: judged.length,
    windows: rates(label, windows),
    transactions: rates(
      label,
      judged.flatMap((j) => j.transactions),
    ),
    score: scoresOf(windows),
  };
}

function bySpecies(judged: readonly Judged[]) {
  const labels = [...new Set(judged.map((j) => j.of.label))].sort();
  return Object.fromEntries(
    labels.map((label) => {
      const own = judged.filter((j) => j.of.label === label);
      return [label, { subjects: new Set(own.map((j) => j.of.subject)).size, ...summaryOf(label, own) }];
    }),
  );
}

function bySubject(judged: readonly Judged[]) {
  const keys = [...new Set(judged.map((j) => `${j.of.subject}\u0000${j.of.label}`))].sort();
  return keys.map((key) => {
    const [subject, label] = key.split('\u0000') as [string, string];
    return {
      subject,
      label,
      ...summaryOf(
        label,
        judged.filter((j) => j.of.subject === subject && j.of.label === label),
      ),
    };
  });
}

function sectionOf(report: {
  perFrame: boolean;
  deniedBelow: number;
  bySpecies: ReturnType<typeof bySpecies>;
}): Section {
  const unit = report.perFrame ? 'frames' : 'windows';
  return {
    paragraphs: [
      `Denied below a score of ${report.deniedBelow} (median of the lower P(live) of two crops). ` +
        'The errors are APCER for attacks, BPCER for bona_fide, over what was checked; windows of one person are not ' +
        'independent, so read the number of subjects with them.',
    ],
    table: {
      head: [
        'species',
        'subjects',
        unit,
        'not checked',
        'error',
        ...(report.perFrame ? [] : ['transactions', 'error']),
        'score',
      ],
      rows: Object.entries(report.bySpecies).map(([label, s]) => [
        label,
        `${s.subjects}`,
        `${s.windows.n}`,
        `${s.windows.notChecked}`,
        errorText(s.windows),
        ...(report.perFrame ? [] : [`${s.transactions.n}`, errorText(s.transactions)]),
        s.score ? `${s.score.min.toFixed(3)} – ${s.score.max.toFixed(3)}` : '–',
      ]),
    },
  };
}

function errorText(r: ReturnType<typeof rates>): string {
  const error = 'bpcer' in r ? r.bpcer : r.apcer;
  return error.n > 0 ? rateText(error) : '–';
}
