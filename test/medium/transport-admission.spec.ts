import { Redis } from 'ioredis';
import { GatewayWorld, GOOD } from './gateway-world.js';

jest.setTimeout(60_000);

/** Begin is asked before the client opens its camera: a refusal there costs nobody anything. */
describe('admission: a capture that could not be judged in time does not begin', () => {
  const busy = { status: 503, body: { code: 'busy' } };

  it('with as many live captures as there may be, until one of them ends', async () => {
    const world = await GatewayWorld.start({ CAPTURES_MAX: '2' });
    try {
      const [a, b, c] = [await world.account(), await world.account(), await world.account()];
      const first = await world.begin(a.client, 'practice', GOOD);
      expect(first.status).toBe(201);
      expect((await world.begin(b.client, 'practice', GOOD)).status).toBe(201);
      const refused = await world.begin(c.client, 'practice', GOOD);
      expect(refused).toMatchObject(busy);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await world.guard(c.userId)).toMatchObject({ reservation: null, uncharged: [], recent: [] });
      await a.client.delete(`/v1/face/attempts/${String(first.body.attemptId)}`);
      expect((await world.begin(c.client, 'practice', GOOD)).status).toBe(201);
    } finally {
      await world.stop();
    }
  });

  it('with as many jobs waiting as the connected workers may have', async () => {
    const world = await GatewayWorld.start({ JOBS_PER_WORKER_MAX: '2' });
    const redis = new Redis(world.config.REDIS_URL);
    try {
      const { client } = await world.account();
      // Jobs for a time far ahead, so that no worker takes them; many, as workers of other tests are counted, too.
      await redis.zadd('bull:face:delayed', ...Array.from({ length: 200 }, (_, i) => [9e15, `later-${i}`]).flat());
      expect(await world.begin(client, 'practice', GOOD)).toMatchObject(busy);
      await redis.del('bull:face:delayed');
      expect((await world.begin(client, 'practice', GOOD)).status).toBe(201);
    } finally {
      await redis.del('bull:face:delayed');
      redis.disconnect();
      await world.stop();
    }
  });

  it('with more bytes in the Redis of the blobs than it may hold', async () => {
    const world = await GatewayWorld.start({ BLOB_BYTES_MAX: '1000' });
    try {
      const { client } = await world.account();
      expect(await world.begin(client, 'practice', GOOD)).toMatchObject(busy);
    } finally {
      await world.stop();
    }
  });
});
