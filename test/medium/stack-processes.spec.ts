import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { repositoryRoot, type Services } from '#stack';

/** Real: all servers, started from the built output in a process of their own, which is then killed. */

jest.setTimeout(180_000);

const INDEX = path.join(repositoryRoot(), 'dist/tools/stack/src/index.js');
const SCRIPT = `require(process.argv[1]).startServices({ dir: process.argv[2], ephemeral: false, log: () => {} })
  .then((services) => console.log(JSON.stringify(services)), (error) => { console.error(error); process.exit(1); });
  process.on('SIGINT', () => console.log('asked to end'));
  setInterval(() => {}, 1000);`;

let dir: string;
beforeEach(() => (dir = fs.mkdtempSync(path.join(os.tmpdir(), 'stack-'))));
afterEach(() => {
  const note = path.join(dir, 'postgres-folder.json');
  if (fs.existsSync(note)) {
    const { folder } = JSON.parse(fs.readFileSync(note, 'utf8')) as { folder: string };
    fs.rmSync(folder, { recursive: true, force: true });
  }
  fs.rmSync(dir, { recursive: true, force: true });
});

it('after a SIGKILL of their parent no server is left, and a new start has the same data', async () => {
  const first = await startInChild();
  await writeTo(first.services);
  const servers = descendantsOf(first.child.pid ?? 0);
  expect(servers.length).toBeGreaterThan(2);
  const ports = [
    first.services.redisUrl,
    first.services.redisBlobUrl,
    first.services.mongoUri,
    first.services.smtpUrl,
  ].map(portOf);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  await eventually(() => servers.filter(isRunning).length === 0);
  for (const port of ports) expect(await answers(port)).toBe(false);

  const second = await startInChild();
  try {
    expect(await readFrom(second.services)).toEqual({ document: 'kept', value: 'kept', blob: null });
  } finally {
    const again = descendantsOf(second.child.pid ?? 0);
    second.child.kill('SIGKILL');
    await eventually(() => again.filter(isRunning).length === 0);
  }
});

it('13.1: Ctrl-C, which reaches the whole process group, leaves the servers to those who end them in order', async () => {
  const { child, services } = await startInChild();
  const servers = descendantsOf(child.pid ?? 0);
  try {
    const asked = once(child.stdout!, 'data');
    process.kill(-(child.pid ?? 0), 'SIGINT');
    expect(String((await asked)[0])).toContain('asked to end');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(servers.filter((server) => !isRunning(server))).toEqual([]);
    expect(await answers(portOf(services.redisUrl))).toBe(true);
  } finally {
    child.kill('SIGKILL');
    await eventually(() => servers.filter(isRunning).length === 0);
  }
});

interface Stack {
  child: ChildProcess;
  services: Services;
}

async function startInChild(): Promise<Stack> {
  // Servers of one's own must be started here, whatever this test run was given.
  const env = { ...process.env, REDIS_URL: '', REDIS_BLOB_URL: '', MONGODB_URI: '', SMTP_URL: '' };
  const stdio: StdioOptions = ['ignore', 'pipe', 'inherit'];
  // A process group of its own, as a terminal gives it to a command.
  const child = spawn(process.execPath, ['-e', SCRIPT, INDEX, dir], { env, stdio, detached: true });
  const lines = readline.createInterface({ input: child.stdout! });
  const [line] = (await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(() => Promise.reject(new Error('the stack did not start'))),
  ])) as [string];
  return { child, services: JSON.parse(line) as Services };
}

async function writeTo({ mongoUri, redisUrl, redisBlobUrl }: Services): Promise<void> {
  const connection = await mongoose.createConnection(mongoUri, { dbName: 'kill' }).asPromise();
  await connection.collection('kept').insertOne({ is: 'kept' }, { writeConcern: { w: 'majority', j: true } });
  await connection.destroy();
  await withRedis(redisUrl, async (redis) => {
    await redis.set('kept', 'kept');
    await new Promise((resolve) => setTimeout(resolve, 1500)); // appendfsync everysec
  });
  await withRedis(redisBlobUrl, (redis) => redis.set('frame', 'pixels'));
}

async function readFrom({ mongoUri, redisUrl, redisBlobUrl }: Services): Promise<Record<string, unknown>> {
  const connection = await mongoose.createConnection(mongoUri, { dbName: 'kill' }).asPromise();
  const document = await connection.collection('kept').findOne({});
  await connection.destroy();
  return {
    document: document?.is as unknown,
    value: await withRedis(redisUrl, (redis) => redis.get('kept')),
    blob: await withRedis(redisBlobUrl, (redis) => redis.get('frame')),
  };
}

async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

interface Known {
  pid: string;
  /** A pid may be given to another process; its start time tells them apart. */
  started: string;
}

function descendantsOf(pid: number): Known[] {
  const children = new Map<string, Known[]>();
  for (const name of fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const stat = statOf(name);
    if (stat) children.set(stat.parent, [...(children.get(stat.parent) ?? []), { pid: name, started: stat.started }]);
  }
  const below = (parent: string): Known[] =>
    (children.get(parent) ?? []).flatMap((child) => [child, ...below(child.pid)]);
  return below(String(pid));
}

/** Without an init process the dead stay as zombies: those are not running. */
function isRunning({ pid, started }: Known): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.started === started && !/[ZX]/.test(stat.state);
}

function statOf(pid: string): { state: string; parent: string; started: string } | undefined {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', parent: fields[1] ?? '', started: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

const portOf = (url: string): number => Number(/:(\d+)(?:[/?]|$)/.exec(url)?.[1]);

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function eventually(holds: () => boolean): Promise<void> {
  const until = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > until) throw new Error('did not become true within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
