import { spawn, spawnSync, type SpawnOptions } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { dieWithParent } from './parent-death.js';

export interface Ran {
  status: number | null;
  output: string;
  stdout: string;
}

/** Runs a command to its end; whether a non-zero status is a failure is the caller's to say. */
export function run(command: string, args: string[], options: SpawnOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const wrapped = dieWithParent(command, args);
    const child = spawn(wrapped.command, wrapped.args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      output += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('error', reject).once('spawn', () => wrapped.register(child));
    child.once('close', (status) => resolve({ status, output, stdout }));
  });
}

/** The first executable file of that name on PATH. */
export function onPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  for (const dir of (env.PATH ?? '').split(path.delimiter).filter(Boolean)) {
    const file = path.join(dir, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      if (fs.statSync(file).isFile()) return file;
    } catch {
      continue;
    }
  }
  return undefined;
}

/** The version a program reports, as numbers: `Redis server v=8.0.6 sha=…` → [8, 0, 6]. */
export function versionOf(program: string, args: string[]): number[] | undefined {
  const { stdout, status } = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 });
  const found = status === 0 ? /v(?:ersion)?[= ]?v?(\d+)\.(\d+)\.(\d+)/i.exec(stdout) : null;
  return found ? found.slice(1).map(Number) : undefined;
}

export function isAtLeast(version: number[], floor: number[]): boolean {
  for (const [index, wanted] of floor.entries()) {
    const have = version[index] ?? 0;
    if (have !== wanted) return have > wanted;
  }
  return true;
}

export type Log = (line: string) => void;

/** Runs one stage of a longer preparation and reports it in one line with the time it took. */
export async function stage<T>(
  log: Log,
  name: string,
  work: () => Promise<T>,
  note?: (result: T) => string,
): Promise<T> {
  const from = performance.now();
  const result = await work();
  const told = note?.(result);
  log(`${name}: ${((performance.now() - from) / 1000).toFixed(1)} s${told ? ` (${told})` : ''}`);
  return result;
}
