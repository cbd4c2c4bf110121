import { Redis } from 'ioredis';
import type { ApiClient } from '#testing';
import { GatewayWorld, GOOD, stepBody } from './gateway-world.js';

jest.setTimeout(120_000);

const NO_SMILE = { optOuts: ['smile'], extraTime: false };
const SIDES = { optOuts: ['blink', 'smile'], extraTime: false };

describe('T53: whoever makes few gestures has long challenges, or asked for short ones (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  const begun = async (client: ApiClient) => {
    const { body } = await world.begin(client, 'practice', GOOD);
    const seconds = (Date.parse(String(body.expiresAt)) - Date.now()) / 1_000;
    return { attemptId: String(body.attemptId), count: (body.step as { count: number }).count, seconds };
  };

  it.each([
    [{ optOuts: [], extraTime: false }, 3, 90],
    [{ ...NO_SMILE, shortChallenges: false }, 4, 120],
    [SIDES, 6, 180],
    [{ ...SIDES, extraTime: true }, 6, 240],
    [{ ...SIDES, shortChallenges: true }, 3, 90],
    [{ ...NO_SMILE, shortChallenges: true }, 3, 90],
  ])('%j: %i steps in %i s', async (preferences, steps, seconds) => {
    const { client } = await world.account();
    const put = await client.put('/v1/face/preferences', preferences);
    expect(put).toMatchObject({ status: 200, body: { shortChallenges: false, ...preferences } });
    const attempt = await begun(client);
    expect(attempt.count).toBe(steps);
    expect(Math.abs(attempt.seconds - seconds)).toBeLessThan(10);
  });

  it('six steps enrol and verify, and only the six together', async () => {
    const { client } = await world.account();
    await client.put('/v1/face/preferences', SIDES);
    expect((await world.capture(client, 'enrolments', GOOD)).body).toEqual({ status: 'enrolled' });
    const { body } = await world.begin(client, 'attempts', GOOD);
    const attemptId = String(body.attemptId);
    for (let step = 1; step < 6; step++)
      expect((await world.sendStep(client, attemptId, step)).body).toMatchObject({
        step: { index: step + 1, count: 6 },
      });
    expect((await world.sendStep(client, attemptId, 6)).body).toMatchObject({ status: 'deciding' });
    expect((await world.outcome(client, attemptId)).body).toMatchObject({ status: 'verified' });
  });

  it.each([
    [{ optOuts: [], extraTime: false }, 120],
    [SIDES, 210],
    [{ ...SIDES, extraTime: true }, 270],
  ])('%j: frames lie sealed, and are known again, for %i s at most', async (preferences, seconds) => {
    const { client } = await world.account();
    await client.put('/v1/face/preferences', preferences);
    const redis = new Redis(world.config.REDIS_BLOB_URL);
    const known = new Set(await redis.keys('*frame-seen:*'));
    const { attemptId } = await begun(client);
    await world.stopWorker();
    expect(await world.sendStep(client, attemptId, 1, stepBody())).toMatchObject({ status: 202 });
    const kept = await redis.keys(`*frames:${attemptId}:*`);
    const digests = (await redis.keys('*frame-seen:*')).filter((key) => !known.has(key));
    expect([kept.length > 0, digests.length > 0]).toEqual([true, true]);
    for (const key of [...kept, ...digests]) expect(Math.abs((await redis.ttl(key)) - seconds)).toBeLessThan(10);
    redis.disconnect();
    await world.startWorker();
  });

  it('a choice that is not one is refused', async () => {
    const { client } = await world.account();
    for (const wrong of [
      { ...SIDES, shortChallenges: 'yes' },
      { ...SIDES, short: true },
      { ...SIDES, optOuts: ['blink', 'smile', 'turn_left'] },
    ])
      // prettier-ignore
      expect(await client.put('/v1/face/preferences', wrong)).toMatchObject({ status: 400 });
  });
});

describe('T53: SHORT_CHALLENGES=forbidden (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ SHORT_CHALLENGES: 'forbidden' });
  });
  afterAll(() => world?.stop());

  it('short challenges cannot be chosen, and who had chosen them has long ones', async () => {
    const { client, userId } = await world.account();
    const refused = { status: 403, body: { code: 'short_challenges_forbidden' } };
    expect(await client.put('/v1/face/preferences', { ...SIDES, shortChallenges: true })).toMatchObject(refused);
    expect(await client.put('/v1/face/preferences', SIDES)).toMatchObject({ status: 200 });
    const guards = world.db.collection<{ _id: string }>('face_guards');
    await guards.updateOne({ _id: userId }, { $set: { shortChallenges: true } });
    expect((await world.begin(client, 'practice', GOOD)).body.step).toMatchObject({ count: 6 });
  });
});
