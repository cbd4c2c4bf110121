import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import path from 'node:path';
import { type INestApplicationContext, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { KeyRotation, SealedTemplate, TemplateRewrapPayload } from '#contracts';
import { LoggerModule } from '#observability';
import { BlobStore, JobHandler, QueueModule } from '#queue';
import type { KeySet } from '#sealing';
import { repositoryRoot } from '#stack';
import { TemplateRepository } from '../../apps/gateway/src/face/template.repository.js';
import { RotationService } from '../../apps/gateway/src/key-rotation/rotation.service.js';
import { RewrapBatches } from '../../apps/gateway/src/key-rotation/rewrap-batch.js';
import { KEK_PROVIDER } from '../../apps/inference/src/keys/kek-provider.js';
import { LocalKeks } from '../../apps/inference/src/keys/local-keks.js';
import { WORKER_KEYS as WORKER_KEYS_TOKEN } from '../../apps/inference/src/keys/worker-keys.js';
import { RewrapService } from '../../apps/inference/src/template/rewrap.service.js';
import { openTemplate, sealTemplate } from '../../apps/inference/src/template/template.js';
import { GatewayWorld, sleep, WORKER_KEYS } from './gateway-world.js';

jest.setTimeout(120_000);

const ROWS = 450;
const KILLS = 10;
const key = (id: string) => ({ id, bytes: randomBytes(32) });

/** The worker's own service, as the worker's processor calls it, on the real queue. */
function startWorker(world: GatewayWorld, keks: KeySet): Promise<INestApplicationContext> {
  @Injectable()
  class Processor {
    constructor(private readonly service: RewrapService) {}
    @JobHandler('template.rewrap')
    async rewrap(payload: TemplateRewrapPayload): Promise<void> {
      await this.service.rewrap(payload);
    }
  }
  const { REDIS_URL } = world.config;
  @Module({
    imports: [
      LoggerModule.forRoot({ name: 'rewrap-worker', level: 'error' }),
      QueueModule.forRoot({ redisUrl: REDIS_URL, blobUrl: REDIS_URL, consumes: ['template.rewrap'], concurrency: 2 }),
    ],
    providers: [
      Processor,
      RewrapService,
      { provide: WORKER_KEYS_TOKEN, useValue: WORKER_KEYS },
      { provide: KEK_PROVIDER, useValue: new LocalKeks(keks) },
    ],
  })
  class Worker {}
  return NestFactory.createApplicationContext(Worker, { logger: false, abortOnError: false });
}

describe('rotation of the template keys (real Redis and MongoDB, the real command line)', () => {
  const old = key('k1');
  const next = key('k2');
  const face = Float32Array.from({ length: 512 }, (_, i) => Math.sin(i));
  let world: GatewayWorld;
  let worker: INestApplicationContext | undefined;
  const commands: ChildProcess[] = [];

  beforeAll(async () => {
    world = await GatewayWorld.start();
    // The world's own worker knows other jobs of this queue only.
    await world.stopWorker();
  });
  beforeEach(async () => {
    await rows().deleteMany({});
    await world.db.collection('key_rotations').deleteMany({});
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    for (const command of commands.splice(0)) command.kill('SIGKILL');
    await worker?.close();
    worker = undefined;
  });
  afterAll(() => world?.stop());

  const rows = () => world.db.collection<{ _id: string; keyVersion: string; wrappedDek: string }>('face_templates');
  const rotation = async () => (await world.db.collection<KeyRotation>('key_rotations').findOne({})) as KeyRotation;
  const service = () => world.app.get(RotationService, { strict: false });
  const versions = async () => (await rows().distinct('keyVersion')).sort();

  const insert = async (count: number): Promise<SealedTemplate[]> => {
    const sealed = await Promise.all(
      Array.from({ length: count }, () =>
        sealTemplate(new LocalKeks([old]), { userId: randomUUID(), templateId: randomUUID(), modelDigest: 'm' }, face),
      ),
    );
    for (let i = 0; i < count; i += 500) {
      await rows().insertMany(
        sealed
          .slice(i, i + 500)
          .map(({ templateId, ...rest }) => ({ ...rest, _id: templateId, createdAt: new Date() })),
      );
    }
    return sealed;
  };
  const opensWith = async (keks: KeySet, { userId, templateId }: SealedTemplate): Promise<boolean> => {
    const row = await world.app.get(TemplateRepository, { strict: false }).find(userId, templateId);
    const opened = row && (await openTemplate(new LocalKeks(keks), row).catch(() => null));
    return opened !== null && Buffer.from(opened.buffer).equals(Buffer.from(face.buffer));
  };

  const command = (...args: string[]) => {
    const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
    const env = { PATH: process.env.PATH, MONGODB_URI: world.config.MONGODB_URI };
    const child = spawn(process.execPath, [main, 'keys', 'rotate', ...args], { env });
    commands.push(child);
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    return new Promise<{ code: number | null; stdout: string }>((resolve) =>
      child.on('close', (code) => resolve({ code, stdout })),
    );
  };

  it('moves every row while they are being opened, and the old key is needed no more', async () => {
    const sealed = await insert(ROWS);
    const target = await new LocalKeks([next, old]).newest();
    worker = await startWorker(world, [next, old]);
    let [opened, failed, isDone] = [0, 0, false];
    const reader = (async () => {
      while (!isDone) {
        const some = sealed[Math.floor(Math.random() * ROWS)] as SealedTemplate;
        if (await opensWith([next, old], some)) opened += 1;
        else failed += 1;
      }
    })();
    const { code, stdout } = await command();
    isDone = true;
    await reader;
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `${ROWS} rows moved; every row that opens is wrapped by version ${target}\nolder keys may leave TEMPLATE_KEK two minutes from now\n`,
    });
    expect({ failed, versions: await versions() }).toEqual({ failed: 0, versions: [target] });
    expect(opened).toBeGreaterThan(20);
    for (const row of sealed.slice(0, 50)) expect(await opensWith([next], row)).toBe(true);
    expect(await command('--json')).toMatchObject({ code: 0, stdout: expect.stringContaining('"moved":0') as string });
  });

  it(`goes on after a gateway that died at ${KILLS} points, none of them in vain or twice`, async () => {
    const sealed = await insert(ROWS);
    worker = await startWorker(world, [next, old]);
    const asked = await command('--no-wait');
    expect(asked).toMatchObject({ code: 0, stdout: 'asked for; "keys rotate" follows it\n' });
    let deaths = 0;
    // Dies now before a batch is asked for, now after it was wrapped and before it is stored, now after it was stored.
    const ask = jest.spyOn(world.app.get(RewrapBatches, { strict: false }), 'ask');
    const store = jest.spyOn(world.app.get(TemplateRepository, { strict: false }), 'rewrap');
    const realAsk = RewrapBatches.prototype.ask.bind(world.app.get(RewrapBatches, { strict: false }));
    const realStore = TemplateRepository.prototype.rewrap.bind(world.app.get(TemplateRepository, { strict: false }));
    const dies = (): boolean => deaths < KILLS && ++deaths > 0;
    let calls = 0;
    ask.mockImplementation(async (...args) => {
      if (++calls % 3 === 0 && dies()) throw new Error('killed');
      return realAsk(...args);
    });
    store.mockImplementation(async (moves) => {
      if (++calls % 3 === 1 && dies()) throw new Error('killed');
      const moved = await realStore(moves.slice(0, 20));
      if (calls % 3 === 2 && dies()) throw new Error('killed');
      return moved;
    });
    for (let i = 0; i < 100 && (await rotation()).state === 'running'; i++) {
      await service()
        .run()
        .catch(() => undefined);
      await sleep(20);
    }
    expect(deaths).toBe(KILLS);
    expect(await rotation()).toMatchObject({ state: 'done', total: ROWS, unopened: 0 });
    expect(await versions()).toEqual([await new LocalKeks([next]).newest()]);
    for (const row of sealed) expect(await opensWith([next], row)).toBe(true);
  });

  it('leaves a row alone that was enrolled anew or removed meanwhile', async () => {
    const [kept, gone] = (await insert(2)) as [SealedTemplate, SealedTemplate];
    worker = await startWorker(world, [next, old]);
    const batches = world.app.get(RewrapBatches, { strict: false });
    const real = batches.ask.bind(batches);
    jest.spyOn(batches, 'ask').mockImplementation(async (...args) => {
      const answer = await real(...args);
      if (args[2].length > 0) {
        await rows().deleteOne({ _id: gone.templateId });
        await rows().updateOne({ _id: kept.templateId }, { $set: { wrappedDek: 'of another' } });
      }
      return answer;
    });
    await command('--no-wait');
    for (let i = 0; i < 10 && !(await rotation()).target; i++) await sleep(300);
    await sleep(500);
    expect(await rows().find().toArray()).toMatchObject([{ _id: kept.templateId, wrappedDek: 'of another' }]);
  });

  it('counts rows that no key opens, and goes on with the others', async () => {
    const sealed = await insert(5);
    await rows().updateOne({ _id: sealed[2]?.templateId }, { $set: { wrappedDek: sealed[3]?.wrappedDek } });
    worker = await startWorker(world, [next, old]);
    const { code, stdout } = await command('--json');
    expect({ code, said: JSON.parse(stdout) as unknown }).toMatchObject({
      code: 1,
      said: { state: 'done', total: 5, moved: 4, unopened: 1 },
    });
  });

  it('ends with the reason when no worker has the key that was named', async () => {
    await insert(1);
    worker = await startWorker(world, [old]);
    await command('--no-wait');
    await world.db.collection('key_rotations').updateOne({}, { $set: { target: 'ffffffffffffffff' } });
    const { code, stdout } = await command();
    expect(code).toBe(1);
    expect(stdout).toContain('FAILED after 0 of 0 rows: the workers do not all have the newest key');
    expect(await versions()).toEqual([await new LocalKeks([old]).newest()]);
  });

  it('stores nothing that no worker has signed', async () => {
    const [row] = (await insert(1)) as [SealedTemplate];
    const blobs = world.app.get(BlobStore, { strict: false });
    const get = jest.spyOn(blobs, 'get');
    let forged = 0;
    get.mockImplementation(async (name: string) => {
      if (!name.startsWith('rewrapped:')) return null;
      forged += 1;
      const value = { rotationId: randomUUID(), batchId: name.slice(10), inputDigest: 'a'.repeat(64), keyVersion: 'ffffffffffffffff', wrappedDeks: [] }; // prettier-ignore
      return Buffer.from(JSON.stringify({ value, keyId: 'r1', signature: 'AA' }));
    });
    await command('--no-wait');
    await service().run();
    await sleep(2_500);
    expect(forged).toBeGreaterThan(0);
    expect(await rotation()).toMatchObject({ state: 'running', target: null });
    expect(await rows().findOne({})).toMatchObject({ wrappedDek: row.wrappedDek });
  });
});
