import { rmSync } from 'node:fs';
import { Redis } from 'ioredis';
import { cacheFolder, findRedis, type Redis as Server, startRedis, temporaryFolder } from '#stack';
import { TcpProxy } from '#testing';
import { ownRedisUrl } from '../redis-database.js';
import { GatewayWorld, GOOD, PASSWORD, sleep } from './gateway-world.js';

/** Real: two Redis servers of one's own, one the other's replica; the gateway; a worker on BullMQ. */

jest.setTimeout(300_000);

const PASSWORD_OF_REDIS = 'of-both-servers';

describe('Redis that answers, and takes no writes', () => {
  const dir = temporaryFolder('failover');
  const clients: Redis[] = [];
  let first: Server;
  let second: Server;
  let proxy: TcpProxy;
  let frames: TcpProxy;
  let world: GatewayWorld;

  beforeAll(async () => {
    const program = await findRedis(process.env, cacheFolder, () => undefined);
    const start = (name: string, settings: string[]): Promise<Server> =>
      startRedis(program, {
        name,
        dir: `${dir}/${name}`,
        persistent: false,
        logFile: `${dir}/${name}.log`,
        env: process.env,
        password: PASSWORD_OF_REDIS,
        settings: [`masterauth ${PASSWORD_OF_REDIS}`, ...settings],
      });
    first = await start('first', []);
    second = await start('second', [`replicaof 127.0.0.1 ${portOf(first)}`]);
    proxy = await TcpProxy.before(first.url);
    const framesUrl = await ownRedisUrl();
    frames = await TcpProxy.before(framesUrl);
    world = await GatewayWorld.start({
      REDIS_URL: proxy.through(first.url),
      REDIS_BLOB_URL: frames.through(framesUrl),
    });
  }, 300_000);
  afterAll(async () => {
    await world?.stop();
    for (const client of clients) client.disconnect();
    for (const one of [proxy, frames]) await one?.cut();
    for (const server of [first, second]) await server?.process.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });

  function ask(server: Server): Redis {
    const client = new Redis(server.url);
    clients.push(client);
    return client;
  }
  const readiness = async () => {
    const { status, body } = await world.client().get('/health/ready');
    return { status, degraded: body.degraded as string[] | undefined, code: body.code };
  };
  const READY = { status: 200, degraded: [] };

  async function until(done: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
    const end = performance.now() + withinMs;
    while (!(await done())) {
      if (performance.now() > end) throw new Error('did not happen in time');
      await sleep(100);
    }
  }

  it('13.1: a gateway whose Redis is full is not ready, and is again when there is room', async () => {
    expect(await readiness()).toMatchObject(READY);
    const redis = ask(first);
    await redis.config('SET', 'maxmemory', 1);
    try {
      expect(await redis.ping()).toBe('PONG');
      expect(await readiness()).toMatchObject({ status: 503, code: 'unavailable' });
    } finally {
      await redis.config('SET', 'maxmemory', 0);
    }
    expect(await readiness()).toMatchObject(READY);
  });

  it('13.1: without workers, or a Redis of frames, it is ready and says what is lacking: people log in', async () => {
    const { email } = await world.account();
    await world.stopWorker();
    await until(async () => (await readiness()).degraded?.includes('no_workers') ?? false);
    expect(await readiness()).toMatchObject({ status: 200, degraded: ['no_workers'] });
    expect(await world.client().login(email, PASSWORD)).toMatchObject({ status: 200 });
    await world.startWorker();
    expect(await readiness()).toMatchObject(READY);

    await frames.cut();
    try {
      expect(await readiness()).toMatchObject({ status: 200, degraded: ['no_frame_store'] });
      expect(await world.client().login(email, PASSWORD)).toMatchObject({ status: 200 });
    } finally {
      await frames.open();
    }
    await until(async () => (await readiness()).degraded?.length === 0);
  });

  it('case 4: after a failover all connections find the new master, the old one being reachable as a replica', async () => {
    const { client, email } = await world.account({ consent: false });
    // What the new master has not been told yet would be lost: a session, here.
    expect(await ask(first).wait(1, 10_000)).toBe(1);
    // As Sentinel does it: promoted first; the old master follows, and lets nobody go.
    await ask(second).replicaof('NO', 'ONE');
    await ask(first).replicaof('127.0.0.1', portOf(second));
    await until(async () => /role:slave[^]*master_link_status:up/.test(await ask(first).info('replication')));
    // The name still leads to the old one: not ready, as nobody could log in.
    expect(await world.client().login(email, PASSWORD)).toMatchObject({ status: 503 });
    expect(await readiness()).toMatchObject({ status: 503, code: 'unavailable' });

    proxy.leadNew(portOf(second));
    await until(async () => (await readiness()).degraded?.length === 0);
    await until(async () => (await client.get('/v1/auth/session')).status === 200);
    await until(async () => (await world.client().login(email, PASSWORD)).status === 200);
    // The queues and both ends of BullMQ, too: a face is judged.
    const { version, textSha256 } = (await client.get('/v1/face/consent')).body;
    await until(async () => (await client.put('/v1/face/consent', { version, textSha256 })).status === 200);
    await until(async () => (await world.capture(client, 'enrolments', GOOD)).body.status === 'enrolled', 120_000);
  });
});

const portOf = ({ url }: Server): number => Number(new URL(url).port);
