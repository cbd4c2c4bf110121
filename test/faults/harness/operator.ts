import { execFile } from 'node:child_process';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import type { Fleet } from './fleet.js';

/** `countersign audit …` against the fleet's database. */
export function countersign(fleet: Fleet, ...args: string[]): Promise<{ code: number; output: string }> {
  const file = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
  return new Promise((resolve) => {
    execFile(process.execPath, [file, ...args], { env: fleet.operatorEnvironment() }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: `${stdout}${stderr}`.trim() });
    });
  });
}
