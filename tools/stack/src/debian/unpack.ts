import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../shell.js';

const WORKERS = 4;
const LEFT_OUT = ['doc', 'man', 'locale', 'gtk-doc', 'info', 'lintian'];

/**
 * Unpacks packages into a new folder. dpkg-deb only extracts: no maintainer script is ever run. The folder appears
 * under its name only when it is complete (`finish` included).
 */
export async function unpack(debs: string[], root: string, finish: (tree: string) => void): Promise<void> {
  const tree = `${root}.new`;
  fs.rmSync(tree, { recursive: true, force: true, maxRetries: 10 }); // an interrupted run's tar may still be writing
  mergedUsr(tree);
  const queue = [...debs];
  const worker = async () => {
    for (let deb = queue.pop(); deb; deb = queue.pop()) await extract(deb, tree);
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
  finish(tree);
  dropPrivilegeBits(tree);
  fs.rmSync(root, { recursive: true, force: true });
  fs.renameSync(tree, root);
}

/** Debian's layout since 12: /bin and its like are links into /usr. */
function mergedUsr(tree: string): void {
  for (const folder of ['bin', 'sbin', 'lib', 'lib64']) {
    fs.mkdirSync(path.join(tree, 'usr', folder), { recursive: true });
    fs.symlinkSync(`usr/${folder}`, path.join(tree, folder));
  }
}

async function extract(deb: string, tree: string): Promise<void> {
  const without = LEFT_OUT.map((folder) => `--exclude=./usr/share/${folder}`).join(' ');
  const script = `set -e; dpkg-deb --fsys-tarfile "$1" | tar -C "$2" -xpf - --no-same-owner ${without}`;
  const { status, output } = await run('sh', ['-c', script, 'sh', deb, tree]);
  if (status !== 0) throw new Error(`unpacking ${path.basename(deb)} failed: ${output.trim().slice(-300)}`);
}

/** The closure has su, mount and their like: setuid programs must not lie about in a cache. */
function dropPrivilegeBits(tree: string): void {
  for (const { file, stat } of walk(tree)) {
    if (stat.isFile() && stat.mode & 0o6000) fs.chmodSync(file, stat.mode & 0o755);
  }
}

/** A fingerprint of a tree by names, sizes and modes: tells a complete tree from one that was cleaned up in part. */
export function fingerprint(tree: string): string {
  const hash = createHash('sha256');
  for (const { file, stat } of walk(tree)) {
    hash.update(`${file.slice(tree.length)}\0${stat.isFile() ? stat.size : ''}\0${stat.mode}\n`);
  }
  return hash.digest('hex');
}

function* walk(folder: string): Generator<{ file: string; stat: fs.Stats }> {
  for (const name of fs.readdirSync(folder).sort()) {
    const file = path.join(folder, name);
    const stat = fs.lstatSync(file);
    yield { file, stat };
    if (stat.isDirectory()) yield* walk(file);
  }
}
