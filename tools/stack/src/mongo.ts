import path from 'node:path';
import { provide, type Tree } from './debian/index.js';
import { findSource } from './debian/source.js';
import { DOCUMENTDB_PACKAGES } from './documentdb/packages.js';
import { isAtLeast, type Log, onPath, versionOf } from './shell.js';

const FLOOR = [6, 0, 0];
const PROBE_MS = 2000;
const DOWNLOADS = 'https://fastdl.mongodb.org';

/** Which server plays MongoDB on this machine. */
export type MongoProgram =
  { kind: 'mongod'; file: string; chosen: string } | { kind: 'documentdb'; tree: Tree; chosen: string };

export async function findMongo(env: NodeJS.ProcessEnv, cache: () => string, log: Log): Promise<MongoProgram> {
  const installed = onPath('mongod', env);
  const version = installed ? versionOf(installed, ['--version']) : undefined;
  if (installed && version && isAtLeast(version, FLOOR)) {
    return { kind: 'mongod', file: installed, chosen: `mongod ${version.join('.')} on PATH` };
  }
  if (installed) log(`MongoDB: ${installed} is ${version?.join('.') ?? 'of unknown version'}, 6.0 is needed; not used`);
  const memoryServer = await fromMemoryServer(cache, env, log);
  if (memoryServer) return memoryServer;
  const source = findSource(env);
  if (typeof source === 'string') {
    throw new Error(
      `no MongoDB: none on PATH, none to download, and ${source}. ` +
        'Install MongoDB 6 or later (package mongodb-org) or set MONGODB_URI.',
    );
  }
  const tree = await provide(DOCUMENTDB_PACKAGES, cache(), source, env, log);
  return {
    kind: 'documentdb',
    tree,
    chosen: "MongoDB-compatible (DocumentDB) of Debian's packages, unpacked privately",
  };
}

/** A mongod that mongodb-memory-server has on this machine or can download; it reads MONGOMS_* itself. */
async function fromMemoryServer(
  cache: () => string,
  env: NodeJS.ProcessEnv,
  log: Log,
): Promise<MongoProgram | undefined> {
  try {
    const { DryMongoBinary, MongoBinary } = await import('mongodb-memory-server-core');
    const defaults = await DryMongoBinary.generateOptions();
    const cached = await DryMongoBinary.locateBinary(defaults);
    if (cached)
      return { kind: 'mongod', file: cached, chosen: `mongod ${defaults.version} cached by mongodb-memory-server` };
    const options = { ...defaults, downloadDir: env.MONGOMS_DOWNLOAD_DIR || path.join(cache(), 'mongod') };
    const ours = await DryMongoBinary.locateBinary(options);
    if (ours) return { kind: 'mongod', file: ours, chosen: `mongod ${defaults.version} downloaded earlier` };
    if (!(await downloadable(env))) return undefined;
    log(`MongoDB: downloading mongod ${defaults.version}`);
    const file = await MongoBinary.getPath(options);
    return { kind: 'mongod', file, chosen: `mongod ${defaults.version}, downloaded` };
  } catch (error) {
    log(`MongoDB: no mongod by mongodb-memory-server (${String((error as Error).message).split('\n')[0]})`);
    return undefined;
  }
}

/** Asked before a download: where the host cannot be reached its client would wait and try again for minutes. */
async function downloadable(env: NodeJS.ProcessEnv): Promise<boolean> {
  if (/^(0|off|no|false)$/i.test(env.MONGOMS_RUNTIME_DOWNLOAD ?? '')) return false;
  const url = env.MONGOMS_DOWNLOAD_URL || env.MONGOMS_DOWNLOAD_MIRROR || DOWNLOADS;
  try {
    await fetch(url, { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(PROBE_MS) });
    return true; // any answer: the host is there
  } catch {
    return false;
  }
}
