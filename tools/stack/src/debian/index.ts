import fs from 'node:fs';
import path from 'node:path';
import { waitForLock } from '../lock.js';
import { type Log, stage } from '../shell.js';
import { Apt, lockOf, sha256 } from './apt.js';
import { type PackageSource } from './source.js';
import { fingerprint, unpack } from './unpack.js';

export interface PackageSet {
  /** Folder name in the cache. */
  name: string;
  /** What the progress lines call it. */
  title: string;
  packages: string[];
  /** What the packages' own scripts would have done; `tree` is the folder now, `root` the one it will be in. */
  finish?(tree: string, root: string, source: PackageSource): void;
}

/** An unpacked set of packages whose programs are run through its own loader. */
export interface Tree {
  root: string;
  source: PackageSource;
}

interface Ready {
  lock: string;
  tree: string;
  /** What was asked for: a set that has changed since is prepared anew. */
  packages?: string[];
}

/**
 * A program of the tree, run with the tree's libraries only, whatever the host has. `extra` are folders of libraries
 * relative to the root.
 */
export function inTree(
  tree: Tree,
  program: string,
  args: string[],
  extra: string[] = [],
  name = program,
): [string, string[]] {
  const [loader, ...options] = loaderOf(tree.root, tree.source, extra);
  const file = path.join(tree.root, program);
  return [loader, [...options, '--argv0', path.join(tree.root, name), file, ...args]];
}

export function loaderOf(
  root: string,
  { triplet, loader }: PackageSource,
  extra: string[] = [],
): [string, ...string[]] {
  const libraries = `${root}/usr/lib/${triplet}`;
  const where = [libraries, ...extra.map((folder) => `${root}/${folder}`)].join(':');
  return [`${libraries}/${loader}`, '--inhibit-cache', '--library-path', where];
}

/** The unpacked set, from the cache if it is complete there, else downloaded. Safe against a second first run. */
export async function provide(
  set: PackageSet,
  cache: string,
  source: PackageSource,
  env: NodeJS.ProcessEnv,
  log: Log,
): Promise<Tree> {
  const base = path.join(cache, 'debian', source.suite);
  const tree: Tree = { root: path.join(base, set.name, 'root'), source };
  if (isComplete(tree.root, set.packages)) return tree;
  fs.mkdirSync(path.join(base, set.name), { recursive: true });
  const lock = await waitForLock(path.join(base, 'lock'), () =>
    log(`${set.title}: another process is preparing it, waiting`),
  );
  try {
    if (!isComplete(tree.root, set.packages)) await prepare(set, base, tree, env, log);
  } finally {
    await lock.release();
  }
  return tree;
}

async function prepare(set: PackageSet, base: string, tree: Tree, env: NodeJS.ProcessEnv, log: Log): Promise<void> {
  const { root, source } = tree;
  const apt = new Apt(base, source, env);
  const lockFile = lockPath(root);
  if (!debsMatch(apt.debs, lockFile)) {
    await stage(
      log,
      `${set.title}: package index`,
      () => apt.update(),
      () => `${source.suite} of ${source.mirror}`,
    );
    const debs = await apt.closure(set.packages);
    const bytes = debs.reduce((sum, deb) => sum + deb.bytes, 0);
    await stage(
      log,
      `${set.title}: download`,
      () => apt.download(set.packages, debs, log, set.title),
      () => `${debs.length} packages, ${(bytes / 1e6).toFixed(0)} MB`,
    );
    writeAtomically(lockFile, lockOf(apt.debs, debs));
  }
  const files = lockedFiles(lockFile).map(([, file]) => path.join(apt.debs, file));
  await stage(log, `${set.title}: unpack`, () => unpack(files, root, (fresh) => set.finish?.(fresh, root, source)));
  writeAtomically(
    readyPath(root),
    JSON.stringify({ lock: sha256(lockFile), tree: fingerprint(root), packages: set.packages } satisfies Ready),
  );
  for (const file of files) fs.rmSync(file, { force: true });
}

/** Complete means: unpacked to the end from exactly the packages of packages.lock, and nothing taken away since. */
function isComplete(root: string, packages: readonly string[]): boolean {
  try {
    const ready = JSON.parse(fs.readFileSync(readyPath(root), 'utf8')) as Ready;
    const isAsked = !ready.packages || ready.packages.join() === packages.join();
    return isAsked && ready.lock === sha256(lockPath(root)) && ready.tree === fingerprint(root);
  } catch {
    return false;
  }
}

/** After an interrupted unpacking the downloaded files are used again, if they are what they were. */
function debsMatch(debs: string, lockFile: string): boolean {
  try {
    const locked = lockedFiles(lockFile);
    return locked.length > 0 && locked.every(([hash, file]) => sha256(path.join(debs, file)) === hash);
  } catch {
    return false;
  }
}

function lockedFiles(lockFile: string): [hash: string, file: string][] {
  const lines = fs.readFileSync(lockFile, 'utf8').trim().split('\n');
  return lines.map((line) => [line.slice(0, 64), line.slice(66)]);
}

const lockPath = (root: string): string => path.join(path.dirname(root), 'packages.lock');
const readyPath = (root: string): string => path.join(path.dirname(root), 'ready.json');

function writeAtomically(file: string, text: string): void {
  fs.writeFileSync(`${file}.new`, text);
  fs.renameSync(`${file}.new`, file);
}
