import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { repositoryRoot, startServices, temporaryFolder, testEnvironment } from '#stack';
import { runGate } from './gate.js';

const HELP = `npm test

The gate of "npm run check", then all tests (unit, architecture, medium, deployment, e2e) against a Redis and a MongoDB that are
started once. The last line is "N passed, N failed". To run some tests only:

  node tools/run.mjs jest -- JEST-ARGUMENTS      for example: test/medium/guard.spec.ts -t "200 parallel"`;

/** End-to-end tests act in real time, as people do: one at a time, or a busy machine is mistaken for a slow person. */
const PARTS = [
  ['--selectProjects', 'unit', 'architecture', 'medium', 'deployment', '--maxWorkers=2'],
  ['--selectProjects', 'e2e', '--maxWorkers=1'],
];

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** What of Jest's own result file is counted. */
interface JestResult {
  success: boolean;
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  numRuntimeErrorTestSuites: number;
}

async function main(): Promise<number> {
  const [mode, ...rest] = process.argv.slice(2);
  if (mode !== '--jest' && [mode, ...rest].includes('--help')) {
    console.log(HELP);
    return 0;
  }
  const gate = mode === '--jest' ? { passed: 0, failed: 0 } : await runGate();
  const tests = await runJest(mode === '--jest' ? [['--maxWorkers=2', ...rest.filter((arg) => arg !== '--')]] : PARTS);
  const passed = gate.passed + tests.passed;
  const failed = gate.failed + tests.failed;
  console.log(`${passed} passed, ${failed} failed${tests.skipped ? `, ${tests.skipped} skipped` : ''}`);
  return failed ? 1 : 0;
}

async function runJest(parts: string[][]): Promise<Counts> {
  const dir = temporaryFolder('test');
  const services = await startServices({ dir, ephemeral: true, log: (line) => console.error(line) });
  const total = { passed: 0, failed: 0, skipped: 0 };
  try {
    for (const [i, args] of parts.entries()) {
      const counts = await jest(args, path.join(dir, `jest-${i}.json`), testEnvironment(services));
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.skipped += counts.skipped;
    }
    return total;
  } finally {
    await services.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

async function jest(args: string[], outputFile: string, env: Record<string, string>): Promise<Counts> {
  const root = repositoryRoot();
  const file = path.join(root, 'node_modules/jest/bin/jest.js');
  const child = spawn(process.execPath, [file, '--json', `--outputFile=${outputFile}`, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'], // with --json the human output goes to stderr
  });
  const end = (): unknown => child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end);
  const [code] = (await once(child, 'close')) as [number | null];
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, end);
  return count(outputFile, code);
}

function count(outputFile: string, code: number | null): Counts {
  if (!fs.existsSync(outputFile)) return { passed: 0, failed: 1, skipped: 0 };
  const result = JSON.parse(fs.readFileSync(outputFile, 'utf8')) as JestResult;
  const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
  // Whatever else Jest is not content with (no tests found, a threshold) must not look like success.
  const unexplained = failed === 0 && (code !== 0 || !result.success) ? 1 : 0;
  return {
    passed: result.numPassedTests,
    failed: failed + unexplained,
    skipped: result.numPendingTests + result.numTodoTests,
  };
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    console.log('0 passed, 1 failed');
    process.exit(1);
  },
);
