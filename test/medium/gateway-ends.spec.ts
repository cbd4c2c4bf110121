import { request } from 'node:http';
import { Redis } from 'ioredis';
import { type GuardDocument } from '#guard';
import { StoreEpoch } from '../../apps/gateway/src/store/store-epoch.repository.js';
import { Reconciler } from '../../apps/gateway/src/results/reconciler.js';
import { GatewayWorld, GOOD, sleep, stepBody } from './gateway-world.js';

jest.setTimeout(180_000);

/** How attempts end that nobody decides, at the real gateway on real Redis and MongoDB; the worker's findings are prepared. */
describe('an attempt that ends undecided', () => {
  let world: GatewayWorld;
  let redis: Redis;
  beforeAll(async () => {
    world = await GatewayWorld.start();
    redis = new Redis(world.config.REDIS_URL);
  });
  afterAll(async () => {
    redis?.disconnect();
    await world?.stop();
  });

  const guardOf = async (userId: string): Promise<GuardDocument> =>
    (await world.guard(userId)) as unknown as GuardDocument;
  const begun = async (client: Awaited<ReturnType<typeof world.enrolled>>['client']): Promise<string> => {
    const answer = await client.post('/v1/face/attempts');
    expect(answer).toMatchObject({ status: 201 });
    return String(answer.body.attemptId);
  };
  const blobsOf = async (attemptId: string): Promise<string[]> =>
    (await redis.keys('*')).filter(
      (key) => key.includes(attemptId) && /frames:|evidence:|template:|similarity:/.test(key),
    );
  /** Moves the whole reservation back in time: the window is over without waiting for it. */
  const passes = async (userId: string, ms: number): Promise<void> => {
    const guards = world.db.collection<{ _id: string }>('face_guards');
    const back = (path: string) => ({ $subtract: [path, ms] });
    const revealedAt = { $map: { input: '$reservation.revealedAt', in: back('$$this') } };
    await guards.updateOne({ _id: userId }, [
      { $set: { 'reservation.revealedAt': revealedAt, 'reservation.captureUntil': back('$reservation.captureUntil'), dueAt: back('$dueAt') } },
    ]); // prettier-ignore
  };

  it('case 3: late uploads in a row cost no strike; then begin says when to come back', async () => {
    const { client, userId } = await world.enrolled();
    for (let i = 0; i < 3; i++) {
      const attemptId = await begun(client);
      await passes(userId, 6_700);
      expect(await world.sendStep(client, attemptId, 1)).toMatchObject({ status: 410, body: { code: 'attempt_over' } });
      expect((await client.get(`/v1/face/attempts/${attemptId}`)).body).toEqual({ status: 'expired' });
    }
    const refused = await client.post('/v1/face/attempts');
    expect(refused).toMatchObject({ status: 429, body: { code: 'too_many_attempts' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await guardOf(userId)).toMatchObject({ strikes: 0, abandoned: 0, uncharged: [], lockedUntil: null });
  });

  it('case 3: an upload that is cut, and one that is refused, cost no strike when nothing follows', async () => {
    const { client, userId } = await world.enrolled();
    for (const way of ['cut', 'refused'] as const) {
      const attemptId = await begun(client);
      await sleep(350);
      if (way === 'cut') await cut(`${world.url}/v1/face/attempts/${attemptId}/steps/1`, client.token ?? '');
      else {
        const refused = await client.postBytes(`/v1/face/attempts/${attemptId}/steps/1`, Buffer.from('nothing'));
        expect(refused).toMatchObject({ status: 400 });
      }
      await passes(userId, 20_000);
      await world.app.get(Reconciler, { strict: false }).run();
      expect((await client.get(`/v1/face/attempts/${attemptId}`)).body).toEqual({ status: 'expired' });
    }
    expect(await guardOf(userId)).toMatchObject({ strikes: 0, abandoned: 0, lockedUntil: null });
  });

  it('core 8: in an outage that this gateway answered 503 in, or a gateway that was killed, nothing is counted', async () => {
    const { client, userId } = await world.enrolled();
    const store = world.app.get(StoreEpoch, { strict: false });
    const beats = world.db.collection<{ _id: string; gateways: object[] }>('gateway_beats');
    const outages: (() => Promise<unknown> | void)[] = [
      () => store.noteOutage(),
      // Another that was heard of a minute ago, and not since.
      async () => {
        const before = await store.current();
        const dead = { id: 'dead', at: new Date(Date.now() - 60_000) };
        await beats.updateOne({ _id: 'gateways' }, { $push: { gateways: dead } });
        for (let i = 0; i < 50 && (await store.current()) === before; i++) await sleep(200);
      },
    ];
    for (const outage of outages) {
      const attemptId = await begun(client);
      await outage();
      await passes(userId, 20_000);
      await world.app.get(Reconciler, { strict: false }).run();
      expect((await client.get(`/v1/face/attempts/${attemptId}`)).body).toEqual({ status: 'error' });
    }
    expect(await guardOf(userId)).toMatchObject({ strikes: 0, abandoned: 0, uncharged: [], freeEnds: [] });
    // And without one the value stays.
    const before = await store.current();
    await sleep(5_000);
    expect(await store.current()).toBe(before);
  });

  it('core 2: no blob is left, whatever ended the attempt', async () => {
    const ways: [string, (o: Owner, attemptId: string) => Promise<unknown>][] = [
      ['a cancel', ({ client }, id) => client.delete(`/v1/face/attempts/${id}`)],
      [
        'the reconciler',
        async ({ userId }) => {
          await passes(userId, 20_000);
          await world.app.get(Reconciler, { strict: false }).run();
        },
      ],
      [
        'a late step',
        async ({ client, userId }, id) => {
          await passes(userId, 7_000);
          expect(await world.sendStep(client, id, 2)).toMatchObject({ status: 410 });
        },
      ],
      [
        'the next begin',
        async ({ client, userId }) => {
          await passes(userId, 20_000);
          await begun(client);
        },
      ],
      ['a change of the account', ({ client }) => client.delete('/v1/face/consent')],
      ['a decision', ({ client }, id) => finish(client, id)],
    ];
    for (const [way, end] of ways) {
      const owner = await world.enrolled();
      const attemptId = String((await world.begin(owner.client, 'attempts', GOOD)).body.attemptId);
      expect(await world.sendStep(owner.client, attemptId, 1, stepBody())).toMatchObject({ status: 202 });
      expect({ way, blobs: (await blobsOf(attemptId)).length }).toEqual({ way, blobs: 1 });
      await end(owner, attemptId);
      expect((await guardOf(owner.userId)).recent.map((one) => one.attemptId)).toContain(attemptId);
      await sleep(300);
      expect({ way, blobs: await blobsOf(attemptId) }).toEqual({ way, blobs: [] });
    }
  });

  it('13.2: after an attempt that was left, more steps are asked for, and all of them verify', async () => {
    const { client } = await world.enrolled();
    const first = await client.post('/v1/face/attempts');
    const shown = (first.body.step as { action: string }).action;
    await client.delete(`/v1/face/attempts/${String(first.body.attemptId)}`);
    const second = await world.begin(client, 'attempts', GOOD);
    expect(second.body.step).toMatchObject({ index: 1, count: 3, action: shown });
    const secondId = String(second.body.attemptId);
    const next = await world.sendStep(client, secondId, 1);
    const also = (next.body.step as { action: string }).action;
    await client.delete(`/v1/face/attempts/${secondId}`);
    const third = await world.begin(client, 'attempts', GOOD);
    expect(third.body.step).toMatchObject({ index: 1, count: 4, action: shown });
    const thirdId = String(third.body.attemptId);
    expect((await world.sendStep(client, thirdId, 1)).body.step).toMatchObject({ index: 2, action: also });
    for (const step of [2, 3]) expect((await world.sendStep(client, thirdId, step)).body).toMatchObject({ step: { index: step + 1 } }); // prettier-ignore
    expect((await world.sendStep(client, thirdId, 4)).body).toMatchObject({ status: 'deciding' });
    expect((await world.outcome(client, thirdId)).body).toMatchObject({ status: 'verified' });
  });

  type Owner = Awaited<ReturnType<typeof world.enrolled>>;
  async function finish(client: Owner['client'], attemptId: string): Promise<void> {
    for (const step of [2, 3]) await world.sendStep(client, attemptId, step);
    expect((await world.outcome(client, attemptId)).body).toMatchObject({ status: 'verified' });
  }
});

/** Half a body, and the connection is gone. */
function cut(url: string, token: string): Promise<void> {
  return new Promise((resolve) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/octet-stream',
      'content-length': 5_000,
    };
    const sending = request(url, { method: 'POST', headers });
    sending.once('error', () => resolve());
    sending.write(stepBody().subarray(0, 100), () => setTimeout(() => sending.destroy(), 100));
    sending.once('close', () => resolve());
  });
}
