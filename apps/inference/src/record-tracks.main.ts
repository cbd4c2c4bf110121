import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readModelFiles } from './model/model-files.js';
import { OnnxNets } from './model/onnx.js';
import { type DecodedFrame, samplesOf, StepAnalyser } from './pipeline/analyse.js';
import { decode, prepareDecoder } from './threads/decode.js';

/**
 * Makes the recorded signal tracks again, after a change of the signals: numbers only, no picture and no embedding.
 * `node dist/apps/inference/src/record-tracks.main.js`, from the repository's root.
 */
async function main(): Promise<void> {
  const media = 'test/media';
  const target = 'apps/inference/src/pipeline/fixtures/tracks.jsonl';
  const index = JSON.parse(readFileSync(path.join(media, 'index.json'), 'utf8')) as {
    segments: { person: string; segment: string; action: string; frames: { file: string; tMs: number }[] }[];
  };
  prepareDecoder();
  const analyser = new StepAnalyser(await OnnxNets.load((await readModelFiles('models/manifest.json')).bytes));
  const lines: string[] = [];
  for (const { person, segment, action, frames } of index.segments) {
    if (action === 'still') continue;
    const decoded = async function* (): AsyncGenerator<DecodedFrame> {
      for (const { file, tMs } of frames) yield { tMs, picture: await decode(readFileSync(path.join(media, file))) };
    };
    const analysis = await analyser.run(decoded(), frames.at(-1)?.tMs ?? 0);
    const recorded = { name: `${person}/${segment}`, action, samples: samplesOf(analysis), track: analysis.track };
    lines.push(JSON.stringify(recorded, (_, v: unknown) => (typeof v === 'number' ? Math.round(v * 1e4) / 1e4 : v)));
  }
  writeFileSync(target, `${lines.join('\n')}\n`);
}

void main();
