import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { Injectable, type INestApplicationContext, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { type JobName } from '#contracts';
import { LoggerModule } from '#observability';
import {
  BlobStore,
  type JobContext,
  JobHandler,
  JobQueue,
  PermanentError,
  QueueModule,
  SHUTDOWN_GRACE_MS,
} from '#queue';
import { cacheFolder, findRedis, startRedis, temporaryFolder } from '#stack';
import { TcpProxy } from '#testing';
import { ownRedisUrl } from '../redis-database.js';

let redisUrl: string;

async function start(
  provider: new () => object,
  consumes: JobName[],
  url = redisUrl,
): Promise<INestApplicationContext> {
  @Module({
    imports: [
      LoggerModule.forRoot({ name: 'test', level: 'error', destination: { write: () => undefined } }),
      QueueModule.forRoot({ redisUrl: url, blobUrl: url, consumes, concurrency: 4 }),
    ],
    providers: [provider],
  })
  class App {}
  return NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
}

async function until(done: () => boolean, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!done()) {
    if (performance.now() > end) throw new Error('did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('queue (real Redis)', () => {
  let redis: Redis;
  beforeAll(async () => {
    redisUrl = await ownRedisUrl();
    redis = new Redis(redisUrl);
  });
  beforeEach(() => redis.flushdb());
  afterAll(() => redis.disconnect());

  it('refuses to start with a missing, a doubled or an unlisted handler', async () => {
    @Injectable()
    class None {}
    @Injectable()
    class Twice {
      @JobHandler('audit.drain')
      async one(): Promise<void> {}
      @JobHandler('audit.drain')
      async two(): Promise<void> {}
    }
    await expect(start(None, ['audit.drain'])).rejects.toThrow('audit.drain has no handler');
    await expect(start(Twice, ['audit.drain'])).rejects.toThrow('more than one handler');
    await expect(start(Twice, [])).rejects.toThrow('not consumed here');
  });

  it('refuses to start on a Redis that forgets when it is full, in a line that says so', async () => {
    const program = await findRedis(process.env, cacheFolder, () => undefined);
    const dir = temporaryFolder('forgetful');
    const o = { name: 'redis', dir, persistent: false, logFile: `${dir}/log`, env: process.env };
    const forgetful = await startRedis(program, { ...o, settings: ['maxmemory-policy allkeys-lru'] });
    try {
      @Injectable()
      class None {}
      const began = performance.now();
      // Both stores ask at once, and either may be the first to refuse.
      await expect(start(None, [], forgetful.url)).rejects.toThrow(/REDIS_(BLOB_)?URL: must .*noeviction/);
      expect(performance.now() - began).toBeLessThan(25_000);
    } finally {
      await forgetful.process.kill('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    }
  }, 120_000);

  it('delivers a parsed payload, refuses a bad one at the sender, and a repeated id is one job', async () => {
    const got: unknown[] = [];
    @Injectable()
    class Handler {
      @JobHandler('audit.drain')
      async drain(payload: { userId: string | null }, context: JobContext): Promise<void> {
        got.push({ ...payload, triesLeft: context.triesLeft, stalled: context.stalledCount });
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    const app = await start(Handler, ['audit.drain']);
    const userId = randomUUID();
    await Promise.all([1, 2, 3].map(() => app.get(JobQueue).enqueue('audit.drain', { userId }, `drain-${userId}`)));
    await expect(app.get(JobQueue).enqueue('audit.drain', { userId: 'no uuid' }, 'x')).rejects.toThrow();
    await until(() => got.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(got).toEqual([{ userId, triesLeft: 0, stalled: 0 }]);
    const elsewhere = await start(Handler, ['audit.drain'], await ownRedisUrl());
    expect(await app.get(JobQueue).workers('audit')).toBe(1);
    await elsewhere.close();
    await app.close();
  });

  it("13.2: one person's job does not wait behind forty of another, in whatever order they come", async () => {
    const done: string[] = [];
    @Injectable()
    class Handler {
      @JobHandler('audit.drain')
      async drain({ userId }: { userId: string | null }): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve, 40));
        done.push(userId ?? '');
      }
    }
    const app = await start(Handler, ['audit.drain']);
    const jobs = app.get(JobQueue);
    const [hog, other] = [randomUUID(), randomUUID()];
    for (let ahead = 0; ahead < 40; ahead++) await jobs.enqueue('audit.drain', { userId: hog }, `hog-${ahead}`, ahead);
    await jobs.enqueue('audit.drain', { userId: other }, 'other');
    expect(await jobs.depth('audit')).toBeGreaterThan(20);
    const before = done.length;
    await until(() => done.includes(other));
    // Those that were in work, four at a time, and what ended beside it.
    expect(done.indexOf(other) - before).toBeLessThan(12);
    await until(() => done.length === 41);
    await app.close();
  }, 60_000);

  it('tries a fault again as the contract says, a permanent one never, and keeps no message in Redis', async () => {
    const tries: Record<string, number> = {};
    @Injectable()
    class Handler {
      @JobHandler('audit.erase')
      async erase({ erasureId }: { erasureId: string }): Promise<void> {
        tries[erasureId] = (tries[erasureId] ?? 0) + 1;
        if (erasureId === permanent) throw new PermanentError('canary-in-message');
        if (tries[erasureId] < 3) throw new Error('canary-in-message');
      }
    }
    const [passing, permanent] = [randomUUID(), randomUUID()];
    const app = await start(Handler, ['audit.erase']);
    await app.get(JobQueue).enqueue('audit.erase', { erasureId: passing }, 'passing');
    await app.get(JobQueue).enqueue('audit.erase', { erasureId: permanent }, 'permanent');
    await until(() => tries[permanent] === 1);
    for (const key of await redis.keys('bull:audit:p*')) {
      expect(JSON.stringify(await redis.hgetall(key).catch(() => ({})))).not.toContain('canary');
    }
    await until(() => tries[passing] === 3);
    expect(tries[permanent]).toBe(1);
    await until(() => true);
    await app.close();
  });

  it('keeps a blob for its life and no longer, byte for byte', async () => {
    @Injectable()
    class None {}
    const app = await start(None, []);
    const blobs = app.get(BlobStore);
    const bytes = Buffer.from([0, 255, 1, 254]);
    await blobs.put('frames:x', bytes, 1);
    expect(await blobs.get('frames:x')).toEqual(bytes);
    expect(await redis.ttl('countersign:blob:frames:x')).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(await blobs.get('frames:x')).toBeNull();
    await app.close();
  });

  it('fails within a second while Redis is away and works again by itself', async () => {
    const proxy = await TcpProxy.before(redisUrl);
    const got: string[] = [];
    @Injectable()
    class Handler {
      @JobHandler('audit.mail')
      async mail({ mailId }: { mailId: string }): Promise<void> {
        got.push(mailId);
      }
    }
    const app = await start(Handler, ['audit.mail'], proxy.through(redisUrl));
    await proxy.cut();
    const started = performance.now();
    await expect(app.get(JobQueue).enqueue('audit.mail', { mailId: 'm1' }, 'm1')).rejects.toThrow('does not answer');
    expect(performance.now() - started).toBeLessThan(1_000);
    await proxy.open();
    await until(() => {
      void app
        .get(JobQueue)
        .enqueue('audit.mail', { mailId: 'm2' }, 'm2')
        .catch(() => undefined);
      return got.includes('m2');
    });
    await app.close();
    await proxy.cut();
  });

  it.each([
    ['is away', 0],
    ['has just come back', 50],
  ])(
    'ends soon while Redis %s, and leaves no connection that goes on trying, and no timer',
    async (_, backMs) => {
      const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
      const timersBefore = timers();
      const proxy = await TcpProxy.before(redisUrl);
      @Injectable()
      class Handler {
        @JobHandler('audit.mail')
        mail(): Promise<void> {
          return Promise.resolve();
        }
      }
      const app = await start(Handler, ['audit.mail'], proxy.through(redisUrl));
      await proxy.cut();
      if (backMs > 0) {
        await proxy.open();
        await new Promise((resolve) => setTimeout(resolve, backMs));
      }
      const started = performance.now();
      await app.close();
      // Half of what jobs in work would be given: there is none.
      expect(performance.now() - started).toBeLessThan(SHUTDOWN_GRACE_MS / 2);
      await proxy.cut();
      let tries = 0;
      const server = createServer((socket) => {
        tries++;
        socket.destroy();
      }).listen(proxy.port, '127.0.0.1');
      // A lost connection is tried again at least each second.
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      server.close();
      expect(tries).toBe(0);
      // That of a worker's locks would keep the process for ever.
      expect(timers()).toBeLessThanOrEqual(timersBefore);
    },
    60_000,
  );
});
