import path from 'node:path';
import { type SignalTrack } from '../../apps/inference/src/pipeline/signals.js';
import { StepAnalyser } from '../../apps/inference/src/pipeline/analyse.js';
import type { Sample } from '../../apps/inference/src/pipeline/gestures.js';
import { type Clip, decoded, openClips } from './clips.js';
import type { Command } from './command.js';
import { numberOf, readCsv } from './csv.js';
import { loadModels } from './faces.js';
import { UsageError } from './fault.js';
import { detectGestures, type EventName, isEventName, judgeDetections, type Label } from './gesture-events.js';
import { positive, required, text } from './options.js';
import { percent, type Section } from './report.js';
import { progress } from './progress.js';
import { rateOf } from './statistics.js';

export const gestures: Command = {
  name: 'gestures',
  what: 'which labelled gestures in clips are seen, which are seen wrongly',
  help: `npm run -s eval -- gestures --clips DIR --labels FILE.csv --fps 30,20,15,10 --out R.json

Runs the product's tracker and gesture detectors over whole clips, in windows of at most six seconds as in a step.
FILE.csv: file,event,start_s,end_s; events blink, smile, turn_left, turn_right (the person's own sides), turn (either),
neutral (nothing may be seen), eyes_closed_long (no blink may be seen), ambiguous (counts neither way). All of a listed
clip counts as labelled: what is seen outside of the spans is false.

  --clips DIR      videos (ffmpeg on PATH), or folders of frames 001.jpg, 002.jpg, …
  --labels FILE    the spans
  --fps LIST       rates to measure at (30,20,15,10); a clip with fewer pictures a second is taken as it is
  --frames-fps N   rate at which folders of frames were taken (the highest of --fps)
  --tolerance S    a detection belongs to a span that it touches, give or take this (0.3)
`,
  options: {
    clips: { type: 'string' },
    labels: { type: 'string' },
    fps: { type: 'string' },
    'frames-fps': { type: 'string' },
    tolerance: { type: 'string' },
  },
  async run(values) {
    const labels = readLabels(required(values, 'labels'));
    const rates = ratesOf(text(values, 'fps') ?? '30,20,15,10');
    const toleranceMs = positive(values, 'tolerance', 0.3) * 1000;
    const framesFps = positive(values, 'frames-fps', Math.max(...rates));
    const clips = openClips(required(values, 'clips'), [...labels.keys()], framesFps);
    const { manifest, nets } = await loadModels(values.models);
    const bar = progress('clips', rates.length * clips.size);
    const perFps: Record<string, FpsReport> = {};
    for (const fps of rates) {
      const results: ClipResult[] = [];
      for (const [file, clip] of clips) {
        results.push(await judgeClip(new StepAnalyser(nets), file, clip, labels.get(file)!, fps, toleranceMs));
        bar.tick();
      }
      perFps[fps] = summary(results);
    }
    bar.end();
    const report = { clips: clips.size, toleranceSeconds: toleranceMs / 1000, fps: perFps };
    return { report, section: sectionOf(report), modelDigest: manifest.digest };
  },
};

function readLabels(file: string): Map<string, Label[]> {
  const name = path.basename(file);
  const out = new Map<string, Label[]>();
  for (const row of readCsv(file, ['file', 'event', 'start_s', 'end_s'])) {
    const event = row.values.event!;
    if (!isEventName(event)) throw new UsageError(`${name}:${row.line}: unknown event "${event}"`);
    const fromMs = numberOf(row, 'start_s', name) * 1000;
    const toMs = numberOf(row, 'end_s', name) * 1000;
    if (toMs < fromMs) throw new UsageError(`${name}:${row.line}: ends before it starts`);
    out.set(row.values.file!, [...(out.get(row.values.file!) ?? []), { event, fromMs, toMs }]);
  }
  if (out.size === 0) throw new UsageError(`${name}: no labels`);
  return out;
}

function ratesOf(list: string): number[] {
  const rates = list.split(',').map(Number);
  if (rates.some((r) => !(r > 0 && r <= 120))) throw new UsageError(`--fps is not a list of rates: ${list}`);
  return rates;
}

interface ClipResult extends ReturnType<typeof judgeDetections> {
  file: string;
  fps: number;
  frames: number;
  framesWithFace: number;
  seconds: number;
}

async function judgeClip(
  analyser: StepAnalyser,
  file: string,
  clip: Clip,
  labels: readonly Label[],
  fps: number,
  toleranceMs: number,
): Promise<ClipResult> {
  const rate = Math.min(fps, clip.nativeFps);
  const { track } = await analyser.run(decoded(clip.frames(rate)), 0);
  const samples = samplesWithFace(track);
  const seconds = track.frames.length / rate;
  return {
    file,
    fps: rate,
    frames: track.frames.length,
    framesWithFace: samples.length,
    seconds,
    ...judgeDetections(detectGestures(samples), labels, toleranceMs),
  };
}

export const samplesWithFace = (track: SignalTrack): Sample[] =>
  track.frames.flatMap((f) => (f.face ? [{ ...f.face, tMs: f.tMs }] : []));

const ASKED = ['blink', 'smile', 'turn_left', 'turn_right', 'turn'] as const satisfies readonly EventName[];

function summary(results: readonly ClipResult[]) {
  const hours = results.reduce((sum, r) => sum + r.seconds, 0) / 3600;
  const events = Object.fromEntries(
    ASKED.map((event) => {
      const hits = results.flatMap((r) => r.hits.filter((l) => l.event === event));
      const missed = results.flatMap((r) => r.misses.filter((l) => l.event === event).map((l) => spanOf(r.file, l)));
      const wrong = results.flatMap((r) =>
        r.falseDetections.filter((d) => d.gesture === event).map((d) => spanOf(r.file, d)),
      );
      return [
        event,
        {
          labelled: hits.length + missed.length,
          hits: hits.length,
          misses: missed.length,
          found: rateOf(hits.length, hits.length + missed.length),
          falseDetections: wrong.length,
          falsePerHour: hours > 0 ? wrong.length / hours : null,
          missed,
          wrong,
        },
      ];
    }),
  );
  const quiet = Object.fromEntries(
    (['neutral', 'eyes_closed_long'] as const).map((event) => {
      const spans = results.flatMap((r) => r.quiet.filter((q) => q.label.event === event));
      return [event, { labelled: spans.length, clean: spans.filter((q) => q.clean).length }];
    }),
  );
  const clips = results.map(({ file, fps, frames, framesWithFace, seconds }) => ({
    file,
    fps,
    frames,
    framesWithFace,
    seconds,
  }));
  return { hours, events, quiet, clips };
}

type FpsReport = ReturnType<typeof summary>;

const spanOf = (file: string, s: { fromMs: number; toMs: number }) => ({
  file,
  start_s: Math.round(s.fromMs) / 1000,
  end_s: Math.round(s.toMs) / 1000,
});

function sectionOf(report: { clips: number; toleranceSeconds: number; fps: Record<string, FpsReport> }): Section {
  const rows: string[][] = [];
  let seconds = 0;
  for (const [fps, { events, hours }] of Object.entries(report.fps).sort(([a], [b]) => Number(b) - Number(a))) {
    seconds = hours * 3600;
    for (const [event, e] of Object.entries(events)) {
      if (e.labelled === 0 && e.falseDetections === 0) continue;
      rows.push([
        fps,
        event,
        `${e.labelled}`,
        `${e.hits}`,
        e.found.rate === null ? '–' : `${percent(e.found.lower95)} – ${percent(e.found.upper95)}`,
        `${e.falseDetections}`,
        e.falsePerHour === null ? '–' : e.falsePerHour.toFixed(0),
      ]);
    }
  }
  return {
    paragraphs: [
      `${report.clips} clips, ${seconds.toFixed(0)} s, labels ±${report.toleranceSeconds} s; what is seen outside of ` +
        'the labelled spans is false. A detector may see a real but smaller movement than the labels asked for.',
    ],
    table: { head: ['fps', 'gesture', 'labelled', 'found', '95 % bounds', 'false', 'false an hour'], rows },
  };
}
