import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import type { GuardStore } from '#guard';
import { RequestThrottle } from '../../apps/gateway/src/auth/request-throttle.js';
import { GUARD } from '../../apps/gateway/src/face/guard.module.js';
import { SessionService } from '../../apps/gateway/src/sessions/session.service.js';
import { GatewayWorld, GOOD, PASSWORD, patiently } from './gateway-world.js';

jest.setTimeout(180_000);

/** What one right password can make without end has a bound, and each bound an answer. */
describe('caps of the gateway', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  it('B16: of 21 sessions of a person the oldest goes, and its end is told', async () => {
    const { client, email, userId } = await world.account();
    const oldest = world.client();
    oldest.token = client.token;
    const sessions = world.app.get(SessionService, { strict: false });
    for (let i = 0; i < 19; i++) await sessions.open(userId, 0);
    expect(await oldest.get('/v1/auth/session')).toMatchObject({ status: 200 });
    expect(await patiently(() => client.login(email, PASSWORD))).toMatchObject({ status: 200 });
    expect(await patiently(() => oldest.get('/v1/auth/session'))).toMatchObject({ status: 401 });
    expect(await world.eventTypes(userId)).toEqual(expect.arrayContaining(['session_ended']));
    const { body } = await patiently(() => client.get('/v1/auth/sessions'));
    expect(body.sessions).toHaveLength(20);
  });

  it('B16: a list of 130,000 sessions is worked through: they are shown, and a change of password ends them', async () => {
    const { client, userId } = await world.account();
    const redis = new Redis(world.config.REDIS_URL);
    const list = `sess-of:${userId}`;
    for (let at = 0; at < 130_000; at += 1_000) {
      await redis.sadd(
        list,
        Array.from({ length: 1_000 }, (_, i) => `sess:${at + i}`),
      );
    }
    const next = `${PASSWORD} and more`;
    const changed = await client.put('/v1/auth/password', { currentPassword: PASSWORD, newPassword: next });
    expect({ status: changed.status, code: changed.body.code, left: await redis.scard(list) }).toEqual({
      status: 204,
      left: 1,
    });
    for (let at = 0; at < 130_000; at += 1_000) {
      await redis.sadd(
        list,
        Array.from({ length: 1_000 }, (_, i) => `sess:${at + i}`),
      );
    }
    const shown = await patiently(() => client.get('/v1/auth/sessions'));
    expect(shown).toMatchObject({ status: 200, body: { sessions: [{}] } });
    redis.disconnect();
  });

  it('B16: rows of logins never make a begin busy; other rows do', async () => {
    const { client, userId } = await world.enrolledAtOnce();
    const guard = world.app.get<GuardStore>(GUARD, { strict: false });
    const append = (type: 'login_ok' | 'admin_read') => guard.appendEvent(userId, { eventId: randomUUID(), type });
    for (let i = 0; i < 60; i++) await append('login_ok');
    const begun = await patiently(() => client.post('/v1/face/attempts'));
    expect(begun).toMatchObject({ status: 201 });
    expect(await client.delete(`/v1/face/attempts/${String(begun.body.attemptId)}`)).toMatchObject({ status: 204 });
    for (let i = 0; i < 50; i++) await append('admin_read');
    expect(await client.post('/v1/face/attempts')).toMatchObject({ status: 503, body: { code: 'busy' } });
  });

  it('B16: logins that succeed have a high limit', async () => {
    const { email, userId } = await world.account();
    const throttle = world.app.get(RequestThrottle, { strict: false });
    for (let taken = 1; taken < 300; taken++) await throttle.takeLogin(userId);
    const refused = await patiently(() => world.client().login(email, PASSWORD));
    expect(refused).toMatchObject({ status: 429, body: { code: 'too_many_requests' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('core 10d: of more than four polls that wait in one session the oldest is answered', async () => {
    const { client } = await world.enrolledAtOnce();
    const attemptId = String((await world.begin(client, 'attempts', GOOD)).body.attemptId);
    let release!: () => void;
    world.holdMatches = new Promise((resolve) => (release = resolve));
    for (const step of [1, 2, 3]) await world.sendStep(client, attemptId, step);
    const answered: number[] = [];
    const polls: Promise<unknown>[] = [];
    for (let i = 0; i < 6; i++) {
      polls.push(client.get(`/v1/face/attempts/${attemptId}?wait=20`).then(({ body }) => answered.push(body.status === 'deciding' ? i : -1))); // prettier-ignore
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
    await Promise.all(polls.slice(0, 2));
    // A busy machine says 503 to some: -1.
    expect(answered.filter((i) => i >= 0)).toEqual([0, 1]);
    release();
    world.holdMatches = null;
    await Promise.all(polls);
  });

  it('13.2: steps that come faster than they are judged wait behind those of others', async () => {
    const { client } = await world.enrolledAtOnce();
    const { client: other } = await world.enrolledAtOnce();
    const begun = [await world.begin(client, 'attempts', GOOD), await world.begin(other, 'attempts', GOOD)];
    const [hasty, patient] = begun.map(({ body }) => String(body.attemptId));
    await world.stopWorker();
    const redis = new Redis(world.config.REDIS_URL);
    try {
      for (const step of [1, 2, 3]) expect(await world.sendStep(client, hasty!, step)).toMatchObject({ status: 202 });
      expect(await world.sendStep(other, patient!, 1)).toMatchObject({ status: 202 });
      const jobs = (await redis.keys('bull:face:*')).filter((key) => key.includes(hasty!) || key.includes(patient!));
      const found = jobs.map(async (key) => [
        key.includes(patient!) ? 'other' : 'own',
        await redis.hget(key, 'priority'),
      ]);
      expect((await Promise.all(found)).sort()).toEqual([
        ['other', '0'],
        ['own', '0'],
        ['own', '1'],
        ['own', '2'],
      ]);
    } finally {
      redis.disconnect();
      await world.startWorker();
    }
    // A worker that comes back does all of them.
    expect(await world.outcome(client, hasty!)).toMatchObject({ body: { status: 'verified' } });
  });
});
