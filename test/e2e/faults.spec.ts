import { type Services, servicesOfTestRun } from '#stack';
import { type Answer, type ApiClient, encodeStep, RecordedPerson, TcpProxy } from '#testing';
import { PASSWORD, startWorld, type World } from './world.js';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function timed(work: () => Promise<Answer>): Promise<{ answer: Answer; ms: number }> {
  const from = performance.now();
  const answer = await work();
  return { answer, ms: performance.now() - from };
}

/** Begins an attempt and sends all steps; `between` runs before each upload. */
async function capture(
  world: World,
  client: ApiClient,
  seed: number,
  between: (step: number) => Promise<void> = async () => undefined,
): Promise<string> {
  const person = new RecordedPerson(world.media, 'franck', seed);
  const begun = await client.post('/v1/face/attempts', {});
  expect({ status: begun.status, code: begun.body.code }).toEqual({ status: 201, code: undefined });
  const attemptId = String(begun.body.attemptId);
  let step = begun.body.step as { index: number; action: 'blink' } | undefined;
  while (step) {
    const frames = await person.perform(step.action);
    await sleep((frames.at(-1)?.tMs ?? 0) + 100);
    await between(step.index);
    const upload = await client.postBytes(`/v1/face/attempts/${attemptId}/steps/${step.index}`, encodeStep(frames));
    expect({ status: upload.status, code: upload.body.code }).toEqual({ status: 202, code: undefined });
    step = upload.body.step as typeof step;
  }
  return attemptId;
}

async function outcome(client: ApiClient, attemptId: string, withinMs = 60_000): Promise<Answer> {
  const end = performance.now() + withinMs;
  for (;;) {
    const answer = await client.get(`/v1/face/attempts/${attemptId}?wait=5`);
    if (answer.status === 200 && !['deciding', 'capturing'].includes(String(answer.body.status))) {
      const session = answer.body.session as { token: string } | undefined;
      if (session) client.token = session.token;
      return answer;
    }
    if (performance.now() > end) throw new Error(`no end after ${withinMs} ms: ${answer.text}`);
    if (answer.status !== 200) await sleep(200);
  }
}

/** Real processes; faults are made, not simulated. */
describe('faults', () => {
  let world: World;
  let redis: TcpProxy;
  let mongo: TcpProxy;
  let client: ApiClient;

  beforeAll(async () => {
    const given = servicesOfTestRun();
    redis = await TcpProxy.before(given.redisUrl);
    mongo = await TcpProxy.before(given.mongoUri);
    world = await startWorld({
      name: 'faults',
      env: { SHUTDOWN_DRAIN_SECONDS: '1' },
      through: (services): Partial<Services> => ({
        redisUrl: redis.through(services.redisUrl),
        mongoUri: mongo.through(services.mongoUri),
      }),
    });
    client = await world.enrolledUser('faults@example.org');
  }, 120_000);

  afterAll(async () => {
    await world.stop();
    await redis.cut();
    await mongo.cut();
  });

  const charges = async (): Promise<unknown[]> => {
    const events = (await client.get('/v1/security/events?limit=100')).body.events as { charged?: boolean }[];
    return events.filter((event) => event.charged);
  };

  it('a worker killed (-9) during a step: the attempt ends, is never lost and charges nothing', async () => {
    await client.login('faults@example.org', PASSWORD);
    const attemptId = await capture(world, client, 51, async (step) => {
      if (step !== 3) return;
      // Step 2 is in work at this moment, or its result is on its way.
      await world.apps.kill('inference', 'SIGKILL');
    });
    await world.apps.start('inference');
    const end = await outcome(client, attemptId);
    expect(['verified', 'error']).toContain(end.body.status);
    expect(await charges()).toEqual([]);
  }, 120_000);

  it('no worker: begin is refused before any camera opens, and works again with one', async () => {
    await client.login('faults@example.org', PASSWORD);
    await world.apps.kill('inference', 'SIGKILL');
    await sleep(300);
    const refused = await client.post('/v1/face/attempts', {});
    expect(refused.status).toBe(503);
    expect(refused.body.code).toBe('busy');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    await world.apps.start('inference');
    const begun = await client.post('/v1/face/attempts', {});
    expect(begun.status).toBe(201);
    await client.delete(`/v1/face/attempts/${String(begun.body.attemptId)}`);
  }, 60_000);

  it('Redis down: 503 within a second, and back by itself', async () => {
    await client.login('faults@example.org', PASSWORD);
    await redis.cut();
    for (const ask of [
      () => client.post('/v1/face/attempts', {}),
      () => client.get('/v1/auth/session'),
      () => client.post('/v1/auth/login', { email: 'faults@example.org', password: PASSWORD }),
    ]) {
      const { answer, ms } = await timed(ask);
      expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 503, code: 'unavailable' });
      // The bar is 1 s; a loaded machine gets room, a queue that waits for Redis would take for ever.
      expect(ms).toBeLessThan(2_000);
    }
    await redis.open();
    await sleep(1_500);
    expect((await client.get('/v1/auth/session')).status).toBe(200);
  }, 60_000);

  it('T49: a gateway that is told to end (SIGTERM), four times, first answers whatever it has in its hands', async () => {
    const person = await world.user('patient@example.org');
    for (let i = 0; i < 4; i++) {
      const begun = await person.post('/v1/face/practice', {});
      expect(begun.status).toBe(201);
      const path = `/v1/face/attempts/${String(begun.body.attemptId)}`;
      // Long polls, and logins, none of which is answered within a quarter of a second.
      const work = [
        ...[1, 2].map(() => person.get(`${path}?wait=2`)),
        ...['wrong password', PASSWORD].map((password) => world.connect().login('patient@example.org', password)),
      ];
      await sleep(100);
      const from = performance.now();
      const ended = world.apps.kill('gateway', 'SIGTERM');
      await sleep(200);
      // A balancer is told to turn away; what it still sends is served, on a connection that is not used again.
      expect((await fetch(`${world.apps.gatewayUrl}/health/ready`)).status).toBe(503);
      const late = await fetch(`${world.apps.gatewayUrl}/health/live`);
      expect([late.status, late.headers.get('connection')]).toEqual([200, 'close']);
      await ended;
      expect(performance.now() - from).toBeLessThan(25_000);
      expect((await Promise.all(work)).map(({ status }) => status)).toEqual([200, 200, 401, 200]);
      await world.apps.start('gateway');
      // What it knew is not lost with it.
      expect((await person.get(path)).body).toMatchObject({ status: 'capturing', step: { index: 1 } });
      expect((await person.delete(path)).status).toBe(204);
    }
  }, 120_000);

  it('MongoDB down after the last step: 503, no grant while it is away, the right outcome when it is back', async () => {
    await client.login('faults@example.org', PASSWORD);
    const attemptId = await capture(world, client, 53);
    await mongo.cut();
    const { answer, ms } = await timed(() => client.get(`/v1/face/attempts/${attemptId}?wait=1`));
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 503, code: 'unavailable' });
    expect(ms).toBeLessThan(5_000);
    const begin = await timed(() => client.post('/v1/face/attempts', {}));
    expect(begin.answer.status).toBe(503);
    await mongo.open();
    const end = await outcome(client, attemptId);
    expect(['verified', 'error']).toContain(end.body.status);
    expect(await charges()).toEqual([]);
  }, 120_000);

  it('each ended attempt left exactly one event', async () => {
    let endings: { attemptId?: string; eventType: string }[] = [];
    for (let i = 0; i < 40; i++) {
      const events = (await client.get('/v1/security/events?limit=100')).body.events as typeof endings;
      endings = events.filter((event) => event.attemptId);
      if (endings.length >= 4) break;
      await sleep(250);
    }
    const ids = endings.map((event) => event.attemptId);
    expect(new Set(ids).size).toBe(ids.length);
    // Enrolment, the killed worker's, the cancelled one and the one without MongoDB.
    expect(ids).toHaveLength(4);
  }, 30_000);
});
