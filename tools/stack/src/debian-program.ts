import path from 'node:path';
import { inTree, type PackageSet, provide } from './debian/index.js';
import { findSource } from './debian/source.js';
import { type Log, onPath } from './shell.js';

export interface Program {
  /** The command and the arguments that run it with these arguments. */
  command(args: string[]): [string, string[]];
  /** Which one it is, in words for a log. */
  chosen: string;
}

/**
 * A program that checks or runs deployments: the one on PATH, else that of Debian's packages, unpacked privately.
 *
 * @param file where the package puts it, relative to the root.
 * @throws Error naming the package, where there is neither.
 */
export async function findProgram(
  set: PackageSet,
  file: string,
  o: { env: NodeJS.ProcessEnv; cache: () => string; log: Log },
): Promise<Program> {
  const name = path.basename(file);
  const installed = onPath(name, o.env);
  if (installed) return { command: (args) => [installed, args], chosen: `${name} on PATH` };
  const source = findSource(o.env);
  if (typeof source === 'string') throw new Error(`no ${name}: ${source}. Install ${set.packages.join(', ')}`);
  const tree = await provide(set, o.cache(), source, o.env, o.log);
  return {
    command: (args) => inTree(tree, file, args),
    chosen: `${name} of Debian's packages, unpacked privately`,
  };
}
