import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { repositoryRoot, startServices, temporaryFolder, testEnvironment } from '#stack';
import { runGate } from './gate.js';

const HELP = `npm test

The gate of "npm run check", then all tests (unit, architecture, medium, e2e) against a Redis and a MongoDB that are
started once. The last line is "N passed, N failed". To run some tests only:

  node tools/run.mjs jest -- JEST-ARGUMENTS      for example: test/medium/guard.spec.ts -t "200 parallel"`;

const WORKERS = '2';

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
  const tests = await runJest(mode === '--jest' ? rest.filter((arg) => arg !== '--') : []);
  const passed = gate.passed + tests.passed;
  const failed = gate.failed + tests.failed;
  console.log(`${passed} passed, ${failed} failed${tests.skipped ? `, ${tests.skipped} skipped` : ''}`);
  return failed ? 1 : 0;
}

async function runJest(args: string[]): Promise<Counts> {
  const root = repositoryRoot();
  const dir = temporaryFolder('test');
  const services = await startServices({ dir, ephemeral: true, log: (line) => console.error(line) });
  try {
    const outputFile = path.join(dir, 'jest.json');
    const jest = path.join(root, 'node_modules/jest/bin/jest.js');
    const own = ['--json', `--outputFile=${outputFile}`, `--maxWorkers=${WORKERS}`];
    const child = spawn(process.execPath, [jest, ...own, ...args], {
      cwd: root,
      env: { ...process.env, ...testEnvironment(services) },
      stdio: ['ignore', 'ignore', 'inherit'], // with --json the human output goes to stderr
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
    const [code] = (await once(child, 'close')) as [number | null];
    return count(outputFile, code);
  } finally {
    await services.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  }
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
