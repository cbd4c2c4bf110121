import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { findMongo } from './mongo.js';
import { findRedis } from './redis.js';
import { startServices } from './services.js';

/** A PATH with nothing on it but the given programs, each of which prints a line. */
function pathWith(programs: Record<string, string>): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'choice-'));
  folders.push(dir);
  for (const [name, line] of Object.entries(programs)) {
    fs.writeFileSync(path.join(dir, name), `#!/bin/sh\necho '${line}'\n`, { mode: 0o755 });
  }
  return dir;
}

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((dir) => fs.rmSync(dir, { recursive: true, force: true })));

const noCache = (): string => {
  throw new Error('the cache must not be needed');
};
const WITHOUT_DOWNLOAD = { MONGOMS_RUNTIME_DOWNLOAD: 'false' };

describe('which server is used', () => {
  it('servers given by URL are used as they are, and nothing is started', async () => {
    const dir = pathWith({});
    const env = { REDIS_URL: 'redis://r:1', MONGODB_URI: 'mongodb://m:2/x', SMTP_URL: 'smtp://s:3', PATH: '' };
    const lines: string[] = [];
    const services = await startServices({ dir, ephemeral: true, log: (line) => lines.push(line), env });
    expect(services).toMatchObject({
      redisUrl: 'redis://r:1',
      redisBlobUrl: 'redis://r:1',
      mongoUri: 'mongodb://m:2/x',
    });
    expect(services.smtpUrl).toBe('smtp://s:3');
    expect(services.control).toEqual({});
    expect(lines.map((line) => line.split(' – ')[0])).toEqual([
      'Redis: REDIS_URL',
      'MongoDB: MONGODB_URI',
      'mail: SMTP_URL',
    ]);
    await services.stop();
  });

  it('a redis-server on PATH that is new enough comes before packages', async () => {
    const PATH = pathWith({ 'redis-server': 'Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc bits=64' });
    const { chosen, command } = await findRedis({ PATH }, noCache, () => undefined);
    expect(chosen).toBe('redis-server 7.0.15 on PATH');
    expect(command(['-'])).toEqual([path.join(PATH, 'redis-server'), ['-']]);
  });

  it('one that is too old is passed over and said so, and the error names the package to install', async () => {
    const PATH = pathWith({ 'redis-server': 'Redis server v=6.0.16 sha=00000000:0' });
    const lines: string[] = [];
    const attempt = findRedis({ PATH }, noCache, (line) => lines.push(line));
    await expect(attempt).rejects.toThrow(/package redis-server .* or set REDIS_URL/);
    expect(lines.join()).toMatch(/6\.0\.16, 6\.2 is needed/);
  });

  it('a mongod on PATH that is new enough comes before downloads and packages', async () => {
    const PATH = pathWith({ mongod: 'db version v7.0.5' });
    expect(await findMongo({ PATH, ...WITHOUT_DOWNLOAD }, noCache, () => undefined)).toEqual({
      kind: 'mongod',
      file: path.join(PATH, 'mongod'),
      chosen: 'mongod 7.0.5 on PATH',
    });
  });

  it('without any source the error names what to install', async () => {
    const PATH = pathWith({ mongod: 'db version v4.4.29' });
    const cache = () => PATH;
    const attempt = findMongo({ PATH, ...WITHOUT_DOWNLOAD }, cache, () => undefined);
    await expect(attempt).rejects.toThrow(/no apt-get.*package mongodb-org.*MONGODB_URI/s);
  });

  it('a download host that does not answer costs no more than the probe', async () => {
    const PATH = pathWith({});
    const from = performance.now();
    const env = { PATH, MONGOMS_DOWNLOAD_URL: 'http://127.0.0.1:9/mongod.tgz' };
    await expect(
      findMongo(
        env,
        () => PATH,
        () => undefined,
      ),
    ).rejects.toThrow('no MongoDB');
    expect(performance.now() - from).toBeLessThan(5000);
  });
});
