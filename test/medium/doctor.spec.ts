import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { type Connection, createConnection } from 'mongoose';
import { SCHEMA_VERSION } from '#contracts';
import {
  cacheFolder,
  findRedis,
  repositoryRoot,
  servicesOfTestRun,
  startRedis,
  temporaryFolder,
  withDatabase,
} from '#stack';
import type { Finding } from '../../apps/cli/src/doctor/check.js';
import { diagnose } from '../../apps/cli/src/doctor/diagnose.js';
import { startWorld, type World } from '../e2e/world.js';

jest.setTimeout(180_000);

/** The built command beside the running service: all its processes, real MongoDB, Redis and SMTP. */
describe('countersign doctor', () => {
  let world: World;
  let env: Record<string, string>;
  let dir: string;
  let evicting: Awaited<ReturnType<typeof startRedis>>;
  let deaf: net.Server;

  beforeAll(async () => {
    world = await startWorld({ name: 'doctor' });
    env = { ...world.apps.env('gateway'), SMTP_URL: world.apps.env('audit').SMTP_URL ?? '' };
    dir = temporaryFolder('doctor-files');
    const program = await findRedis(process.env, cacheFolder, () => undefined);
    evicting = await startRedis(program, {
      name: 'evicting',
      dir: path.join(dir, 'redis'),
      persistent: true,
      logFile: path.join(dir, 'redis.log'),
      env: process.env,
      settings: ['maxmemory 100mb', 'maxmemory-policy allkeys-lru'],
    });
    deaf = net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    deaf?.close();
    await evicting?.process.stop('SIGKILL');
    await world?.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  const cli = async (args: string[], changed: Record<string, string> = {}) => {
    const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
    const child = spawn(process.execPath, [main, ...args], { env: { ...env, ...changed } });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, stdout };
  };
  const isBad = ({ verdict }: Finding): boolean => verdict === 'bad';

  it('finds nothing bad in the running service, and says what it has looked at', async () => {
    // Beside running processes: what they have made themselves is left alone.
    expect(JSON.parse((await cli(['migrate', '--json'])).stdout)).toMatchObject({
      dryRun: false,
      from: 0,
      indexes: [],
    });
    const { status, stdout } = await cli(['doctor']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/all well\n$/) as string });
    const looked = [...stdout.matchAll(/^(?:ok {2}|note) {2}([^:]+): /gm)].map(([, check]) => check);
    expect(new Set(looked)).toEqual(
      new Set([
        'Node.js', 'configuration', 'erasure', 'key files', 'models', 'MongoDB', 'MongoDB replica set', 'clock of MongoDB', 'indexes',
        'schema', 'audit', 'Redis', 'Redis maxmemory-policy', 'clock of Redis', 'inference processes', 'gateway processes',
        'audit processes', 'Redis of frames', 'SMTP', 'gateway', 'telemetry of onnxruntime', 'published checkpoints',
      ]), // prettier-ignore
    );
    expect(stdout).toContain(`ok    schema: version ${SCHEMA_VERSION}\n`);
  });

  it('says so in JSON and by its exit code', async () => {
    const { status, stdout } = await cli(['doctor', '--json'], { PUBLIC_URL: 'http://127.0.0.1:1' });
    const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
    expect({ status, ok, bad: findings.filter(isBad).map(({ check }) => check) }).toEqual({
      status: 1,
      ok: false,
      bad: ['gateway'],
    });
  });

  const file = (name: string, content: string, mode: number): string => {
    const where = path.join(dir, name);
    fs.writeFileSync(where, content);
    fs.chmodSync(where, mode);
    return where;
  };
  const alteredModels = (): string => {
    const models = path.join(dir, 'models');
    fs.mkdirSync(models);
    fs.writeFileSync(path.join(models, 'a.onnx'), 'altered');
    const sha256 = createHash('sha256').update('as it was').digest('hex');
    fs.writeFileSync(path.join(models, 'manifest.json'), JSON.stringify({ models: { a: { file: 'a.onnx', sha256 } } }));
    return path.join(models, 'manifest.json');
  };
  const port = (server: net.Server): number => (server.address() as net.AddressInfo).port;
  it.each<[string, () => Record<string, string | undefined>, string, RegExp, RegExp]>([
    ['a database that is away', () => ({ MONGODB_URI: 'mongodb://127.0.0.1:1/x' }), 'MongoDB', /does not answer/, /correct MONGODB_URI/],
    ['an empty database', () => ({ MONGODB_URI: withDatabase(servicesOfTestRun().mongoUri, 'doctor_empty') }), 'indexes', /users\(email\)/, /countersign migrate/],
    ['a Redis that is away', () => ({ REDIS_URL: 'redis://127.0.0.1:1' }), 'Redis', /does not answer/, /correct REDIS_URL/],
    ['a Redis that evicts', () => ({ REDIS_URL: evicting.url }), 'Redis maxmemory-policy', /allkeys-lru/, /noeviction/],
    ['no worker', () => ({ REDIS_URL: evicting.url }), 'inference processes', /none/, /start inference/],
    ['a Redis of frames that writes to disk', () => ({ REDIS_BLOB_URL: evicting.url }), 'Redis of frames', /to disk/, /appendonly no/],
    ['a mail server that is none', () => ({ SMTP_URL: `smtp://127.0.0.1:${port(deaf)}` }), 'SMTP', /does not greet/, /correct SMTP_URL/],
    ['a gateway that is away', () => ({ PUBLIC_URL: 'http://127.0.0.1:1' }), 'gateway', /does not answer/, /start gateway/],
    ['a model that was altered', () => ({ MODEL_MANIFEST: alteredModels() }), 'models', /a\.onnx/, /models:verify/],
    ['a key that is none', () => ({ SESSION_KEY: 'k1:short' }), 'configuration', /SESSION_KEY/, /set SESSION_KEY/],
    ['a key file for everybody', () => ({ SESSION_KEY: undefined, SESSION_KEY_FILE: file('session.key', `k1:${randomBytes(32).toString('base64url')}`, 0o644) }), 'key files', /SESSION_KEY.*644/, /chmod 600/],
    ['development keys in production', () => ({ NODE_ENV: 'production' }), 'configuration', /SESSION_KEY/, /set SESSION_KEY/],
  ])('is red about %s, and says what to do', async (_, broken, check, found, advice) => {
    const findings = await diagnose({ ...env, ...broken() });
    const about = findings.filter((one) => isBad(one) && one.check === check);
    expect(about.map((one) => one.found).join('\n')).toMatch(found);
    expect(about.map((one) => one.advice).join('\n')).toMatch(advice);
    expect(JSON.stringify(findings)).not.toContain('k1:short');
  }); // prettier-ignore

  it('is red about clocks that are a minute apart', async () => {
    const findings = (await diagnose(env, () => Date.now() + 60_000)).filter(isBad);
    expect(findings.map(({ check }) => check).sort()).toEqual(['clock of MongoDB', 'clock of Redis']);
    for (const { found, advice } of findings) {
      expect(found).toMatch(/^(59|60|61)\.\d s from/);
      expect(advice).toMatch(/NTP/);
    }
  });

  it('is answered by migrate, which makes what the processes make, and nothing twice', async () => {
    const MONGODB_URI = withDatabase(servicesOfTestRun().mongoUri, `doctor_${randomBytes(4).toString('hex')}`);
    const db = await createConnection(MONGODB_URI).asPromise();
    await db.collection('users').insertOne({ email: 'old@example.org' });
    await db.collection('face_templates').insertOne({ createdAt: new Date('2026-01-31T23:59:59Z') });
    const migrate = async (...args: string[]) => (await cli(['migrate', ...args], { MONGODB_URI })).stdout;
    expect(await migrate('--dry-run')).toContain('index to make: users(email)');
    expect(await db.collection('users').indexes()).toHaveLength(1);
    const made = await migrate();
    expect(made).toContain('index made: face_auth_events(seq)');
    expect(made).toContain('version 1: accounts');
    expect(await db.collection('users').findOne({})).toMatchObject({ disabled: false, hasNewEmail: false });
    expect(await db.collection('face_templates').findOne({})).toMatchObject({ createdDay: '2026-01-31' });
    expect(await migrate()).toMatch(
      new RegExp(`^nothing to do: version ${SCHEMA_VERSION}, all \\d+ indexes are there\\n$`),
    );
    const findings = await diagnose({ ...env, MONGODB_URI });
    expect(findings.filter(isBad)).toEqual([]);

    // What the running processes have made, and what migrate makes, are the same.
    const running = await createConnection(env.MONGODB_URI ?? '').asPromise();
    expect(await indexesOf(running)).toEqual(await indexesOf(db));
    await db.dropDatabase();
    await db.close();
    await running.close();
  });
});

async function indexesOf(connection: Connection): Promise<string[]> {
  const names = (await connection.listCollections()).map(({ name }) => name);
  const lists = await Promise.all(
    names.map(async (name) =>
      (await connection.collection(name).indexes())
        .filter((index) => index.name !== '_id_')
        .map(({ key, unique, sparse, expireAfterSeconds, partialFilterExpression }) =>
          JSON.stringify({ name, key, unique, sparse, expireAfterSeconds, partialFilterExpression }),
        ),
    ),
  );
  return lists.flat().sort();
}
