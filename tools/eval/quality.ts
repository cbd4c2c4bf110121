import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { StepVerdict } from '#contracts';
import { readFramesContainer } from '../../apps/gateway/src/capture/frames-container.js';
import { errorRow } from '../../apps/gateway/src/http/error-table.js';
import type { Command } from './command.js';
import { manifestPathOf } from './faces.js';
import { UsageError } from './fault.js';
import { Judge, JudgeLostError } from './judge.js';
import { required, text, whole } from './options.js';
import { progress } from './progress.js';
import { showOverHttp } from './quality-http.js';
import type { FileResult, Picture, Shown } from './quality-result.js';
import type { Section } from './report.js';
import { stillStep } from './still-step.js';

export const quality: Command = {
  name: 'quality',
  what: 'what the product says of single pictures: an HTTP refusal or their quality code',
  help: `npm run -s eval -- quality --images DIR --out R.json [--expect no_face,unreadable] [--http URL]

Holds every file of a folder before the product as a step of ten equal frames: first the gateway's look at the
containers, then the worker's analysis in a process of its own. Reports per file what a client would be told: 4xx and
its code, or 202 and the quality code ("usable" where a gesture could have been judged), and the time that took; over all
files the p99 of those that were rejected (4xx and unreadable) and the most memory that was held. For broken files, odd
formats, groups, empty scenes, a camera's settings.

  --images DIR     all files below it, whatever they are
  --expect LIST    codes (or "usable") of which every file must have one; exit 1 and a list if not. A crash is exit 1 always
  --http URL       sends them to a running gateway through its public API instead: registers accounts
                   (eval-…@example.org), gives consent, practises. Memory is then the gateway's and not seen from here;
                   rejected is then what is 4xx, as every verdict, unreadable too, is held for the next 250 ms
  --parallel N     accounts at a time with --http (2)
`,
  options: {
    images: { type: 'string' },
    expect: { type: 'string' },
    http: { type: 'string' },
    parallel: { type: 'string' },
  },
  async run(values) {
    const root = required(values, 'images');
    const expected = text(values, 'expect')?.split(',') ?? null;
    const files = filesBelow(root);
    const url = text(values, 'http');
    const bar = progress('files', files.length);
    const picture = (file: string): Buffer => readFileSync(path.join(root, file));
    const shown =
      url === undefined
        ? await showHere(manifestPathOf(values.models), files, picture, () => bar.tick())
        : await showOverHttp(url, whole(values, 'parallel', 2, 1), files, picture, () => bar.tick());
    bar.end();
    const { files: results, modelDigest, rssPeakBytes } = shown;
    const unexpected = expected ? results.filter((r) => !expected.includes(r.code)) : [];
    for (const { file, code } of unexpected) process.stderr.write(`unexpected: ${file}: ${code}\n`);
    const rejected = results.filter((r) => r.status >= 400 || (url === undefined && r.code === UNREADABLE));
    const crashed = results.filter((r) => r.worker === CRASHED).map(({ file }) => file);
    const report = {
      ...(url === undefined ? {} : { http: url }),
      n: results.length,
      codes: tally(results),
      ...(expected ? { expected, unexpected: unexpected.map(({ file, code }) => ({ file, code })) } : {}),
      crashed,
      rejected: rejected.length,
      rejectedMsP50: percentile(rejected, 0.5),
      rejectedMsP99: percentile(rejected, 0.99),
      rssPeakBytes,
      files: results,
    };
    return {
      report,
      section: sectionOf(report),
      modelDigest,
      exitCode: unexpected.length + crashed.length > 0 ? 1 : 0,
    };
  },
};

/** In place of a code: the process ended over this file. */
const CRASHED = 'crashed';

/** Holds no picture, as the worker found. */
const UNREADABLE = 'unreadable';

async function showHere(
  manifestPath: string,
  files: readonly string[],
  picture: Picture,
  tick: () => void,
): Promise<Shown> {
  let judge = await Judge.start(manifestPath);
  const { modelDigest } = judge;
  let rssPeakBytes = judge.rssPeakBytes;
  const results: FileResult[] = [];
  try {
    for (const file of files) {
      results.push(await look(judge, file, picture(file)));
      rssPeakBytes = Math.max(rssPeakBytes, judge.rssPeakBytes);
      if (results.at(-1)!.worker === CRASHED) judge = await Judge.start(manifestPath);
      tick();
    }
  } finally {
    judge.stop();
  }
  return { files: results, modelDigest, rssPeakBytes };
}

/** What the gateway refuses the worker sees all the same: it must not depend on the gateway. */
async function look(judge: Judge, file: string, bytes: Buffer): Promise<FileResult> {
  const body = stillStep(bytes);
  const from = performance.now();
  const container = readFramesContainer(body);
  const parsed = performance.now();
  const worker = await judge.verdict(body).then(codeOf, lost);
  const judged = performance.now();
  const size = { file, bytes: bytes.length };
  return container.kind === 'refused'
    ? { ...size, status: errorRow(container.code).status, code: container.code, worker, ms: parsed - from }
    : { ...size, status: 202, code: worker, worker, ms: judged - from };
}

function lost(error: unknown): string {
  if (error instanceof JudgeLostError) return CRASHED;
  throw error;
}

const codeOf = (verdict: StepVerdict): string => (verdict.kind === 'quality' ? verdict.code : 'usable');

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

function percentile(of: readonly FileResult[], q: number): number | null {
  const values = of.map((r) => r.ms).sort((a, b) => a - b);
  return values[Math.ceil(q * values.length) - 1] ?? null;
}

function sectionOf(report: {
  http?: string;
  crashed: string[];
  rejected: number;
  rejectedMsP99: number | null;
  rssPeakBytes: number | null;
  n: number;
  codes: Record<string, number>;
  expected?: string[];
  unexpected?: unknown[];
}): Section {
  return {
    paragraphs: [
      `${report.n} files${report.http === undefined ? '' : ' through the public API'}, ${report.crashed.length} of which ended the process.` +
        (report.expected ? ` Expected: ${report.expected.join(', ')}; otherwise: ${report.unexpected?.length}.` : '') +
        (report.rejectedMsP99 === null
          ? ''
          : ` ${report.rejected} rejected (${report.http === undefined ? '4xx or unreadable' : '4xx'}), a step of them in ${report.rejectedMsP99.toFixed(0)} ms (p99).`) +
        (report.rssPeakBytes === null
          ? ''
          : ` Peak memory of the process with the models: ${(report.rssPeakBytes / 1e6).toFixed(0)} MB.`),
    ],
    table: { head: ['code', 'files'], rows: Object.entries(report.codes).map(([code, n]) => [code, `${n}`]) },
  };
}
