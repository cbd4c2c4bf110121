import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { CAPTURE_LIMITS, type StepVerdict } from '#contracts';
import { type DecodedFrame, samplesOf, StepAnalyser } from '../../apps/inference/src/pipeline/analyse.js';
import { judgeStep } from '../../apps/inference/src/pipeline/judge-step.js';
import { decode } from '../../apps/inference/src/threads/decode.js';
import type { Command } from './command.js';
import { loadModels } from './faces.js';
import { UsageError } from './fault.js';
import { required, text } from './options.js';
import { progress } from './progress.js';
import type { Section } from './report.js';

/** A still becomes a step of so many equal frames: enough to be judged, more would only repeat it. */
const FRAMES = 10;
const FRAME_MS = 50;

export const quality: Command = {
  name: 'quality',
  what: 'what the product says of single pictures: their quality code',
  help: `npm run -s eval -- quality --images DIR --out R.json [--expect no_face,unreadable]

Holds every file of a folder before the product as a step of ${FRAMES} equal frames and reports the quality code, or "usable"
where a gesture could have been judged. For broken files, odd formats, groups, empty scenes, a camera's settings.

  --images DIR     all files below it, whatever they are
  --expect LIST    codes (or "usable") of which every file must have one; exit 1 and a list if not
`,
  options: { images: { type: 'string' }, expect: { type: 'string' } },
  async run(values) {
    const root = required(values, 'images');
    const expected = text(values, 'expect')?.split(',') ?? null;
    const files = filesBelow(root);
    const { manifest, nets } = await loadModels(values.models);
    const rssBefore = process.memoryUsage().rss;
    const analyser = new StepAnalyser(nets);
    const bar = progress('files', files.length);
    const results: FileResult[] = [];
    for (const file of files) {
      results.push(await look(analyser, root, file));
      bar.tick();
    }
    bar.end();
    const unexpected = expected ? results.filter((r) => !expected.includes(r.code)) : [];
    for (const { file, code } of unexpected) process.stderr.write(`unexpected: ${file}: ${code}\n`);
    const report = {
      n: results.length,
      codes: tally(results),
      ...(expected ? { expected, unexpected: unexpected.map(({ file, code }) => ({ file, code })) } : {}),
      rejectedMsP99: percentile(
        results.filter((r) => r.code === 'unreadable').map((r) => r.ms),
        0.99,
      ),
      rssPeakBytes: process.resourceUsage().maxRSS * 1024,
      rssModelsBytes: rssBefore,
      files: results,
    };
    return {
      report,
      section: sectionOf(report),
      modelDigest: manifest.digest,
      exitCode: unexpected.length > 0 ? 1 : 0,
    };
  },
};

interface FileResult {
  file: string;
  bytes: number;
  code: string;
  /** For the whole step. */
  ms: number;
}

async function look(analyser: StepAnalyser, root: string, file: string): Promise<FileResult> {
  const bytes = readFileSync(path.join(root, file));
  if (bytes.length > CAPTURE_LIMITS.frameBytesMax) return { file, bytes: bytes.length, code: 'image_too_large', ms: 0 };
  const from = performance.now();
  const analysis = await analyser.run(repeated(bytes), FRAMES * FRAME_MS);
  const verdict = judgeStep(analysis.track, samplesOf(analysis), 'blink');
  return { file, bytes: bytes.length, code: codeOf(verdict), ms: performance.now() - from };
}

const codeOf = (verdict: StepVerdict): string => (verdict.kind === 'quality' ? verdict.code : 'usable');

/** One picture again and again; as bytes they would count once, a camera never repeats them. */
async function* repeated(picture: Uint8Array): AsyncGenerator<DecodedFrame> {
  for (let i = 0; i < FRAMES; i++) yield { tMs: i * FRAME_MS, picture: await decode(picture) };
}

function filesBelow(root: string): string[] {
  let names: string[];
  try {
    names = readdirSync(root, { recursive: true, encoding: 'utf8' });
  } catch {
    throw new UsageError(`${root} cannot be read`);
  }
  const files = names.filter((f) => statSync(path.join(root, f)).isFile()).sort();
  if (files.length === 0) throw new UsageError(`no files below ${root}`);
  return files;
}

function tally(results: readonly FileResult[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const { code } of results) out[code] = (out[code] ?? 0) + 1;
  return Object.fromEntries(Object.entries(out).sort());
}

function percentile(values: number[], q: number): number | null {
  return values.sort((a, b) => a - b)[Math.ceil(q * values.length) - 1] ?? null;
}

function sectionOf(report: {
  rejectedMsP99: number | null;
  rssPeakBytes: number;
  n: number;
  codes: Record<string, number>;
  expected?: string[];
  unexpected?: unknown[];
}): Section {
  return {
    paragraphs: [
      `${report.n} files, none of which ended the process.` +
        (report.expected ? ` Expected: ${report.expected.join(', ')}; otherwise: ${report.unexpected?.length}.` : '') +
        (report.rejectedMsP99 === null
          ? ''
          : ` A step of unreadable frames took ${report.rejectedMsP99.toFixed(0)} ms (p99).`) +
        ` Peak memory with the models: ${(report.rssPeakBytes / 2 ** 20).toFixed(0)} MiB.`,
    ],
    table: { head: ['code', 'files'], rows: Object.entries(report.codes).map(([code, n]) => [code, `${n}`]) },
  };
}
