import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot, startServices, temporaryFolder, testEnvironment } from '#stack';
import type { Mutation } from './guard-mutations.js';
import { MUTATIONS, mutate } from './mutate.js';

const HELP = `npm run -s mutations [-- --only TEXT] [-- --list] [-- --jobs N]

Takes away one condition of the guard, or of what sessions and faces are worth, after the other, each in a copy of the source, and runs the tests that must
notice, on a real database. Exits with 0 only if every mutation was killed: if a test failed by an assertion, after the
same tests passed on the unchanged source (T50). --only runs those whose name contains TEXT.`;

/** Everything that the specs need; node_modules is linked. */
const COPIED = ['apps', 'libs', 'tools', 'test', 'package.json', 'tsconfig.json', 'jest.config.cjs', '.swcrc'];

type Verdict = 'killed' | 'SURVIVED' | 'BROKEN';
interface Outcome {
  mutation: Mutation;
  verdict: Verdict;
  seconds: number;
}

async function main(): Promise<number> {
  const options = {
    only: { type: 'string' },
    list: { type: 'boolean' },
    jobs: { type: 'string', default: '2' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  const { values } = parseArgs({ options });
  if (values.help) return print(HELP);
  const chosen = MUTATIONS.filter(({ name }) => name.includes(values.only ?? ''));
  if (chosen.length === 0) throw new Error(`no mutation is named like "${values.only}"`);
  if (values.list) return print(chosen.map(({ name, file, tests }) => `${name}  (${file}; ${tests})`).join('\n'));
  for (const mutation of chosen) mutate(mutation);

  const folder = temporaryFolder('mutations');
  const services = await startServices({ dir: folder, ephemeral: true, log: (line) => console.error(line) });
  try {
    const env = { ...process.env, ...testEnvironment(services) } as Record<string, string>;
    return await runAll(chosen, Number(values.jobs), folder, env);
  } finally {
    await services.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function runAll(chosen: Mutation[], jobs: number, folder: string, env: Record<string, string>): Promise<number> {
  await checkUnchanged(chosen, copyTree(path.join(folder, 'unchanged')), env);
  const waiting = [...chosen];
  const outcomes: Outcome[] = [];
  const workers = Array.from({ length: Math.min(jobs, chosen.length) }, async (_, i) => {
    const copy = copyTree(path.join(folder, `tree-${i}`));
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const outcome = await tryOne(next, copy, env);
      outcomes.push(outcome);
      const place = String(outcomes.length).padStart(3);
      console.log(`${place} of ${chosen.length}  ${outcome.verdict.padEnd(8)}  ${outcome.seconds} s  ${next.name}`);
    }
  });
  await Promise.all(workers);
  const killed = outcomes.filter(({ verdict }) => verdict === 'killed').length;
  console.log(`${killed} killed of ${chosen.length}`);
  return killed === chosen.length ? 0 : 1;
}

/** On the source as it is the same tests must pass, or their failing would prove nothing. */
async function checkUnchanged(chosen: readonly Mutation[], copy: string, env: Record<string, string>): Promise<void> {
  for (const spec of new Set(chosen.map((m) => m.spec))) {
    const tests = chosen.flatMap((m) => (m.spec === spec ? [m.tests] : [])).join('|');
    const result = await runTests({ spec, tests }, copy, env);
    if (result !== 'passed') throw new Error(`${spec} on the unchanged source: ${result}`);
    console.log(`unchanged  passed    ${spec}`);
  }
}

async function tryOne(mutation: Mutation, copy: string, env: Record<string, string>): Promise<Outcome> {
  const from = performance.now();
  const file = path.join(copy, mutation.file);
  const original = fs.readFileSync(file, 'utf8');
  let verdict: Verdict;
  try {
    fs.writeFileSync(file, mutate(mutation));
    const result = await runTests(mutation, copy, env);
    verdict = result === 'failed' ? 'killed' : result === 'passed' ? 'SURVIVED' : 'BROKEN';
  } finally {
    fs.writeFileSync(file, original);
  }
  return { mutation, verdict, seconds: Math.round((performance.now() - from) / 1000) };
}

/** `broken`: no test ran, the source did not even load, or a busy machine made a test late, which says nothing. */
async function runTests(
  m: Pick<Mutation, 'spec' | 'tests'>,
  copy: string,
  env: Record<string, string>,
): Promise<'passed' | 'failed' | 'broken'> {
  const output = path.join(copy, 'result.json');
  fs.rmSync(output, { force: true });
  const args = ['--selectProjects', m.spec.startsWith('test/medium/') ? 'medium' : 'unit', '--runInBand', '--json', `--outputFile=${output}`, '--testNamePattern', m.tests]; // prettier-ignore
  const jest = path.join(repositoryRoot(), 'node_modules/jest/bin/jest.js');
  const child = spawn(process.execPath, [jest, m.spec, ...args], {
    cwd: copy,
    env: { ...env, COUNTERSIGN_MODEL_RUNS: '5' },
    stdio: 'ignore',
  });
  await once(child, 'close');
  if (!fs.existsSync(output)) return 'broken';
  const text = fs.readFileSync(output, 'utf8');
  if (text.includes('Exceeded timeout')) return 'broken';
  const result = JSON.parse(text) as Record<string, number>;
  const { numFailedTests = 0, numPassedTests = 0, numRuntimeErrorTestSuites = 0 } = result;
  if (numRuntimeErrorTestSuites > 0 || numFailedTests + numPassedTests === 0) return 'broken';
  return numFailedTests > 0 ? 'failed' : 'passed';
}

function copyTree(to: string): string {
  const root = repositoryRoot();
  fs.mkdirSync(to, { recursive: true });
  const isSource = (file: string): boolean => !file.includes(`${path.sep}test${path.sep}media`);
  for (const name of COPIED)
    fs.cpSync(path.join(root, name), path.join(to, name), { recursive: true, filter: isSource });
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(to, 'node_modules'));
  return to;
}

function print(text: string): number {
  console.log(text);
  return 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(`mutations: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(2);
  },
);
