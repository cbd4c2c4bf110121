import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ACTIONS } from '#contracts';
import { repositoryRoot } from '#stack';
import { type EmbeddingSample, samplesOf } from '../apps/inference/src/pipeline/analyse.js';
import { judgeStep } from '../apps/inference/src/pipeline/judge-step.js';
import type { SignalTrack } from '../apps/inference/src/pipeline/signals.js';
import { measured, type Report } from './command.js';

const FRAMES = 40;
/** As many as a step has at most: six spans, and three frames that look unlike them. */
const EMBEDDINGS = 9;
const LENGTH = 512;
const MS_MAX = 2;
const REPEATS = 20;

const HELP = `npm run -s bench -- judge [-- OPTIONS]

What the verdict on a step of ${FRAMES} frames costs beside the nets, on the recorded signal tracks, for every gesture.

  --rounds N    rounds (5)
  --markdown    writes docs/performance.md, too
  --json        the JSON line only
  --help        this text

Exit 0: at most ${MS_MAX} ms a step. 1: more. 2: called wrongly.`;

const embedding = (): Float32Array => {
  const v = Float32Array.from({ length: LENGTH }, () => Math.random() - 0.5);
  const norm = Math.hypot(...v);
  return v.map((x) => x / norm);
};
const sample = (): EmbeddingSample => ({ tMs: 0, yaw: 0, pitch: 0, sharpness: 1, fitness: 1, embedding: embedding() });

function tracks(): SignalTrack[] {
  const file = path.join(repositoryRoot(), 'apps/inference/src/pipeline/fixtures/tracks.jsonl');
  const all = readFileSync(file, 'utf8').trim().split('\n').map((line) => (JSON.parse(line) as { track: SignalTrack }).track); // prettier-ignore
  return all.filter((t) => t.frames.length >= FRAMES).map((t) => ({ ...t, frames: t.frames.slice(0, FRAMES) }));
}

function measure(rounds: number, _dir: string, header: string): Promise<Report> {
  const steps = tracks();
  const embeddings = Array.from({ length: EMBEDDINGS }, sample);
  const round = (): number => {
    const from = performance.now();
    for (let i = 0; i < REPEATS; i++)
      for (const track of steps)
        for (const action of ACTIONS)
          judgeStep(track, samplesOf({ track, embeddings, unlike: [], antispoof: [] }), action, -1);
    return (performance.now() - from) / (REPEATS * steps.length * ACTIONS.length);
  };
  round();
  const each = Array.from({ length: rounds }, round).sort((a, b) => a - b);
  const ms = each[each.length >> 1]!;
  const met = ms <= MS_MAX;
  const lines = [
    '## The verdict on a step',
    '',
    `${header}, ${rounds} rounds of ${REPEATS * steps.length * ACTIONS.length} steps.`,
    '',
    '| measurement | median | spread | bar | |',
    '| --- | --- | --- | --- | --- |',
    `| verdict on a step of ${FRAMES} frames and ${EMBEDDINGS} embeddings, beside the nets' time | ${ms.toFixed(3)} ms | ${each[0]!.toFixed(3)}–${each.at(-1)!.toFixed(3)} | ≤ ${MS_MAX} ms | ${met ? 'met' : '**not met**'} |`,
  ];
  return Promise.resolve({ lines, json: { judgeMs: ms, met }, met });
}

export const benchJudge = (args: string[]): Promise<boolean> =>
  measured({ name: 'judge', help: HELP, rounds: 5, measure }, args);
