import { spawn } from 'node:child_process';
import path from 'node:path';
import { repositoryRoot } from '#stack';

interface Step {
  name: string;
  command: string;
  args: string[];
}

const STEPS: Step[] = [
  { name: 'lint', command: 'eslint', args: ['.', '--max-warnings', '0'] },
  { name: 'types', command: 'tsc', args: ['--noEmit', '-p', 'tsconfig.json'] },
  { name: 'format', command: 'prettier', args: ['--check', '.', '--log-level', 'warn'] },
  {
    name: 'borders',
    command: 'depcruise',
    args: ['apps', 'libs', 'tools', 'test', 'examples', '--config', '.dependency-cruiser.cjs'],
  },
  { name: 'dead code', command: 'knip', args: ['--no-progress'] },
];
const AT_A_TIME = 2;

export interface GateResult {
  passed: number;
  failed: number;
}

/** All steps run and all report, whatever becomes of the others; what the failed ones wrote comes after. */
export async function runGate(): Promise<GateResult> {
  const queue = [...STEPS];
  const outputs: string[] = [];
  const worker = async () => {
    for (let step = queue.shift(); step; step = queue.shift()) {
      const output = await runStep(step);
      if (output !== undefined) outputs.push(output);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  for (const output of outputs) console.log(output);
  return { passed: STEPS.length - outputs.length, failed: outputs.length };
}

/** Undefined if it passed, else what it wrote. */
function runStep({ name, command, args }: Step): Promise<string | undefined> {
  const from = performance.now();
  const root = repositoryRoot();
  return new Promise((resolve) => {
    const child = spawn(path.join(root, 'node_modules/.bin', command), args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('error', (error) => (output += error.message));
    child.once('close', (code) => {
      const seconds = ((performance.now() - from) / 1000).toFixed(1);
      console.log(`${code === 0 ? '✔' : '✖'} ${name} (${command}) ${seconds} s`);
      resolve(code === 0 ? undefined : `\n── ${name} ──\n${output.trim()}\n`);
    });
  });
}
