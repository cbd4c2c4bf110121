import path from 'node:path';
import { inTree, type PackageSet, provide, type Tree } from './debian/index.js';
import { findSource } from './debian/source.js';
import { type Log, onPath } from './shell.js';

interface Surroundings {
  env: NodeJS.ProcessEnv;
  cache: () => string;
  log: Log;
}

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
export async function findProgram(set: PackageSet, file: string, o: Surroundings): Promise<Program> {
  const name = path.basename(file);
  const installed = onPath(name, o.env);
  if (installed) return { command: (args) => [installed, args], chosen: `${name} on PATH` };
  const tree = await unpackedPackages(set, o);
  return {
    command: (args) => inTree(tree, file, args),
    chosen: `${name} of Debian's packages, unpacked privately`,
  };
}

/**
 * Packages of Debian and all that they need, unpacked into a folder of the cache that could be a machine's root.
 *
 * @throws Error naming the packages, where this machine has no source of Debian's packages.
 */
export async function unpackedPackages(set: PackageSet, o: Surroundings): Promise<Tree> {
  const source = findSource(o.env);
  if (typeof source === 'string') throw new Error(`no ${set.title}: ${source}. Install ${set.packages.join(', ')}`);
  return provide(set, o.cache(), source, o.env, o.log);
}
