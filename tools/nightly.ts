import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { exitAs, repositoryRoot, startServices, temporaryFolder, testEnvironment, wrongly } from '#stack';
import { readModelFiles } from '../apps/inference/src/model/model-files.js';
import { withSection } from './eval/report.js';
import { rateOf } from './eval/statistics.js';

const REPORT = 'docs/nightly.md';
/** T08 has a second half, which needs the nets. */
const TESTS: Readonly<Record<string, string>> = {
  T08: 'a recorded good session replayed against fresh challenges: byte for byte at the gateway, and encoded anew at the judgement',
  T09: 'frames of another step or attempt',
  T12: 'what the answer to a failure tells: 500 real attempts',
  T13: 'what its time tells: 1,000 failures of each of three causes',
  T34: 'changes of a signed log of 128 entries: its rows, its checkpoints, the lines outside the database',
  T17: 'what a failed login tells, and its time: 1,000 of each of four kinds of account',
};

const HELP = `npm run nightly -- [OPTIONS]

Tests that are too long for npm test, on servers of their own; about 35 minutes. Writes a section a test to ${REPORT}.
T13 and T17 measure time: nothing else should run.

  --only T08,T13   these tests; the other sections of the report stay
  --share S        so much of each (1); with less than 1, for a look, the report is not touched
  --list           the tests
  --help           this text

Exit 0: all passed. 1: one failed. 2: called wrongly.`;

const PREFACE = `# Nightly tests

Written by \`npm run nightly\`, a section a test; not typed by hand. Pass numbers are those of the threat model.
`;

interface Row {
  id: string;
  what: string;
  n: number;
  found: string;
  bar: string;
}

async function main(args: string[]): Promise<number> {
  const string = { type: 'string' } as const;
  const boolean = { type: 'boolean' } as const;
  const options = { only: string, share: string, list: boolean, help: { ...boolean, short: 'h' } } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ args: args.filter((arg) => arg !== '--'), options }));
  } catch (error) {
    return wrong((error as Error).message);
  }
  if (values.help || values.list) {
    console.log(values.help ? HELP : Object.entries(TESTS).map(([id, what]) => `${id}  ${what}`).join('\n')); // prettier-ignore
    return 0;
  }
  const wanted = values.only?.split(',').map((id) => id.trim().toUpperCase()) ?? Object.keys(TESTS);
  const unknown = wanted.filter((id) => !Object.hasOwn(TESTS, id));
  if (unknown.length > 0) return wrong(`no test ${unknown.join(', ')}; there are ${Object.keys(TESTS).join(', ')}`);
  const share = Number(values.share ?? '1');
  if (!(share > 0 && share <= 1)) return wrong('--share is above 0 and at most 1');
  const rows: Row[] = [];
  const atGateways = wanted.filter((id) => id !== 'T34');
  const passed = atGateways.length === 0 || (await atGateway(atGateways, share, rows));
  const isReplayFine = !wanted.includes('T08') || (await encodedAnew(share, rows));
  const isNamed = !wanted.includes('T34') || (await changesOfTheLog(share, rows));
  for (const { id, what, n, found, bar } of rows) console.log(`${id}  ${what}: n = ${n}, ${found} (${bar})`);
  if (share === 1) await report(wanted, rows);
  return passed && isReplayFine && isNamed ? 0 : 1;
}

/** Jest's project `nightly`, against servers that are started for it. */
async function atGateway(wanted: readonly string[], share: number, rows: Row[]): Promise<boolean> {
  const dir = temporaryFolder('nightly');
  const services = await startServices({ dir, ephemeral: true, log: (line) => console.error(line) });
  try {
    const file = path.join(dir, 'rows.jsonl');
    const env = { ...testEnvironment(services), NIGHTLY: '1', NIGHTLY_ROWS: file, NIGHTLY_SHARE: `${share}` };
    const jest = path.join(repositoryRoot(), 'node_modules/jest/bin/jest.js');
    const names = `(${wanted.join('|')}):`;
    const code = await run([jest, '--selectProjects', 'nightly', '--runInBand', '-t', names], env);
    if (fs.existsSync(file))
      for (const line of fs.readFileSync(file, 'utf8').trim().split('\n')) rows.push(JSON.parse(line) as Row);
    return code === 0;
  } finally {
    await services.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** The same session filmed anew: passes where the fresh challenge happens to be the recorded one. */
async function encodedAnew(share: number, rows: Row[]): Promise<boolean> {
  const dir = temporaryFolder('nightly');
  try {
    const out = path.join(dir, 'replay.json');
    const n = Math.max(1, Math.round(100 * share));
    const attacks = path.join(__dirname, 'attacks/main.js');
    const code = await run([attacks, '--only', 'replay', '--n', `${n}`, '--variants', '1', '--doc', 'none', '--out', out]); // prettier-ignore
    if (code !== 0) return false;
    const { results } = JSON.parse(fs.readFileSync(out, 'utf8')) as { results: { tally: { n: number; verified: number } }[] }; // prettier-ignore
    const { n: played, verified } = results[0]!.tally;
    const { lower95, upper95 } = rateOf(verified, played);
    rows.push({
      id: 'T08',
      what: 'the session encoded anew, against challenges that are drawn independently, by the judgement',
      n: played,
      found: `${verified} accepted, 1 in ${verified > 0 ? Math.round(played / verified) : '∞'} (95 %: ${(100 * lower95).toFixed(2)}–${(100 * upper95).toFixed(2)} %)`,
      bar: 'not above 1 in 64 (1.56 %) by more than chance',
    });
    return lower95 <= 1 / 64;
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** The verifier's own test, with more changes than `npm test` makes. */
async function changesOfTheLog(share: number, rows: Row[]): Promise<boolean> {
  const n = Math.max(100, Math.round(10_000 * share));
  const jest = path.join(repositoryRoot(), 'node_modules/jest/bin/jest.js');
  const spec = 'libs/audit-log/src/verify.spec.ts';
  const isNamed = (await run([jest, spec, '--selectProjects', 'unit', '-t', 'T34:'], { LOG_CHANGES: `${n}` })) === 0;
  rows.push({
    id: 'T34',
    what: 'changes of a row, a checkpoint or a line of the file, forks that a stolen checkpoint key signed among them',
    n,
    found: isNamed ? `${n} named, with the first bad entry where there is one` : 'one was not named: see the output',
    bar: 'all named',
  });
  return isNamed;
}

async function report(wanted: readonly string[], rows: readonly Row[]): Promise<void> {
  const { manifest } = await readModelFiles(path.join(repositoryRoot(), 'models/manifest.json'));
  const file = path.join(repositoryRoot(), REPORT);
  let document = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : PREFACE;
  const date = new Date().toISOString().slice(0, 10);
  for (const id of wanted) {
    const own = rows.filter((row) => row.id === id);
    const table = { head: ['what', 'n', 'found', 'must be'], rows: own.map((r) => [r.what, `${r.n}`, r.found, r.bar]) };
    const paragraphs = [own.length > 0 ? TESTS[id]! : 'Ended without a figure.'];
    const head = { title: id, command: `nightly --only ${id}`, date, modelDigest: manifest.digest };
    document = withSection(document, head, { paragraphs, ...(own.length > 0 ? { table } : {}) });
  }
  fs.writeFileSync(file, document);
}

async function run(args: string[], env: Record<string, string> = {}): Promise<number> {
  const child = spawn(process.execPath, args, {
    cwd: repositoryRoot(),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const end = (): unknown => child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end);
  const [code] = (await once(child, 'close')) as [number | null];
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, end);
  return code ?? 1;
}

const wrong = (what: string): number => wrongly(what, HELP);

exitAs(main(process.argv.slice(2)));
