import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Redis } from 'ioredis';
import { ACR, ROLES } from '#contracts';
import type { GuardDocument } from '#guard';
import { type Answer, ApiClient, inLanes } from '#testing';
import { SessionService } from '../../apps/gateway/src/sessions/session.service.js';
import { createGateway } from '../../apps/gateway/src/http/server.js';
import { GatewayWorld, GOOD, patiently, sleep } from './gateway-world.js';

jest.setTimeout(300_000);

interface Person {
  client: ApiClient;
  email: string;
  userId: string;
}

/** A request whose answer holds a new token. */
interface Rotation {
  person: Person;
  /** The token that it was sent with. */
  old: string;
  send: (client: ApiClient) => Promise<Answer>;
  sessionIn: (answer: Answer) => Record<string, unknown>;
  /** What it leaves in the person's trail. */
  event: string;
}

/** Two gateways on one real Redis and MongoDB; a worker that finds everybody alike. */
describe('13.3: an answer that held a new token and was lost', () => {
  let world: GatewayWorld;
  let second: NestFastifyApplication;
  let urls: string[];
  let officer: ApiClient;
  beforeAll(async () => {
    world = await GatewayWorld.start({ TRUSTED_PROXIES: '127.0.0.1/32', CAPTURES_MAX: '1000', JOBS_PER_WORKER_MAX: '1000' }); // prettier-ignore
    second = await createGateway(world.config);
    await second.listen(0, '127.0.0.1');
    urls = [world.url, `http://127.0.0.1:${(second.getHttpServer().address() as AddressInfo).port}`];
    const staff = await world.account();
    await users().updateOne({ _id: staff.userId }, { $set: { roles: [...ROLES] } });
    await world.verifyEmail(staff.userId);
    expect(await world.recover(staff)).toMatchObject({ status: 200 });
    officer = staff.client;
  });
  afterAll(async () => {
    await second?.close();
    await world?.stop();
  });

  const users = () => world.db.collection<{ _id: string }>('users');
  const guards = () => world.db.collection<GuardDocument>('face_guards');
  const at = (gateway: number, token: string): ApiClient => {
    const client = new ApiClient(urls[gateway % urls.length]!);
    client.token = token;
    return client;
  };
  const tokenIn = ({ sessionIn }: Rotation, answer: Answer): string => String(sessionIn(answer).token);
  const alive = async (token: string, gateway = 0): Promise<number> =>
    (await at(gateway, token).get('/v1/auth/session')).status;

  const ROTATIONS: Record<string, () => Promise<Rotation>> = {
    'a verified attempt': async () => {
      const person = await world.enrolledAtOnce();
      const begun = await patiently(() => world.begin(person.client, 'attempts', GOOD));
      expect(begun).toMatchObject({ status: 201 });
      const attemptId = String(begun.body.attemptId);
      expect(await world.sendSteps(person.client, attemptId)).toMatchObject({ status: 202 });
      const verified = { _id: person.userId, recent: { $elemMatch: { attemptId, outcome: 'verified' } } } as const;
      while ((await guards().countDocuments(verified)) === 0) await sleep(50);
      return {
        person,
        old: person.client.token!,
        send: (client) => client.get(`/v1/face/attempts/${attemptId}`),
        sessionIn: ({ body }) => body.session as Record<string, unknown>,
        event: 'success',
      };
    },
    'a recovery code': async () => {
      const person = await world.account();
      await world.verifyEmail(person.userId);
      expect(await person.client.post('/v1/recovery/codes')).toMatchObject({ status: 202 });
      const code = await world.mailSecret(person.userId, 'recovery_code');
      return {
        person,
        old: person.client.token!,
        send: (client) => client.post('/v1/recovery/verify', { code }),
        sessionIn: ({ body }) => body,
        event: 'recovery_used',
      };
    },
    'a followed link': async () => {
      const person = await world.account();
      const token = await world.mailSecret(person.userId, 'email_verify');
      return {
        person,
        old: person.client.token!,
        send: (client) => client.post('/v1/auth/email/verify', { token }),
        sessionIn: ({ body }) => body.session as Record<string, unknown>,
        event: 'email_verified',
      };
    },
  };
  const KINDS = Object.keys(ROTATIONS);

  /** Sends the request through a connection that is cut as soon as the gateway begins to answer. */
  async function lose(rotation: Rotation, gateway: number): Promise<void> {
    const { url, cut, close } = await cuttingProxy(urls[gateway % urls.length]!);
    const client = new ApiClient(url);
    client.token = rotation.old;
    try {
      await expect(rotation.send(client)).rejects.toThrow();
      expect(cut()).toBe(1);
    } finally {
      await close();
    }
  }

  /** What the old token gets now that it is dead: of a mailed link the answer that nobody's session would get. */
  async function expectDead(rotation: Rotation): Promise<void> {
    for (const gateway of [0, 1]) {
      const answer = await rotation.send(at(gateway, rotation.old));
      expect([gateway, answer.status]).toEqual([gateway, rotation.event === 'email_verified' ? 400 : 401]);
      expect(answer.text).not.toContain('"token"');
    }
    expect(await alive(rotation.old)).toBe(401);
  }

  describe.each(KINDS)('%s', (kind) => {
    it('is given again, the same to all, by every gateway, until the new token is used; recorded once', async () => {
      const rotation = await ROTATIONS[kind]!();
      const { userId } = rotation.person;
      await lose(rotation, 0);

      // The old token is dead for everything else, and for asking by HEAD.
      expect(await alive(rotation.old)).toBe(401);
      const other = kind === 'a recovery code' ? at(1, rotation.old).post('/v1/recovery/verify', { code: '22222222' }) : at(1, rotation.old).get(`/v1/face/attempts/${userId}`); // prettier-ignore
      expect((await other).status).toBe(401);

      const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => rotation.send(at(i, rotation.old))));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
      const token = tokenIn(rotation, answers[0]!);
      expect(token).not.toBe(rotation.old);

      // Nothing in Redis from which it could be had.
      const stored = await everythingIn(world.config.REDIS_URL);
      expect(stored.length).toBeGreaterThan(0);
      for (const secret of [token, rotation.old]) expect(stored.filter((text) => text.includes(secret))).toEqual([]);

      expect(await alive(token, 1)).toBe(200);
      await expectDead(rotation);
      expect((await world.eventTypes(userId)).filter((type) => type === rotation.event)).toHaveLength(1);
      const { outbox } = (await world.guard(userId)) as unknown as GuardDocument;
      const mails = outbox.filter((entry) => entry.kind === 'mail' && entry.template === 'recovery_used');
      expect(mails).toHaveLength(kind === 'a recovery code' ? 1 : 0);
    });

    const ENDS: Record<string, (person: Person, token: string) => Promise<unknown>> = {
      'a minute': () => Promise.resolve(jest.spyOn(Date, 'now').mockImplementation(laterBy(60_001))),
      'a lock of the face': ({ userId }) =>
        guards().updateOne(
          { _id: userId },
          { $set: { lockedUntil: new Date(Date.now() + 1_800_000) }, $inc: { lockEpoch: 1 } },
        ),
      'an account disabled by staff': ({ userId }) => officer.post(`/v1/admin/users/${userId}/disable`),
      'a logout with the new token': (_, token) => at(0, token).post('/v1/auth/logout'),
      'a password reset': async ({ email, userId }) => {
        expect(await world.client().post('/v1/auth/password/reset', { email })).toMatchObject({ status: 202 });
        const mailed = { userId, template: 'password_reset' };
        while ((await world.db.collection('mails').countDocuments(mailed)) === 0) await sleep(50);
        const secret = await world.mailSecret(userId, 'password_reset');
        const chosen = { token: secret, newPassword: `another password of ${userId}` };
        expect(await world.client().post('/v1/auth/password/reset/confirm', chosen)).toMatchObject({ status: 204 });
      },
    };

    it.each(Object.keys(ENDS))('is not given again after %s', async (end) => {
      const rotation = await ROTATIONS[kind]!();
      await lose(rotation, 1);
      const again = await rotation.send(at(0, rotation.old));
      expect(again).toMatchObject({ status: 200 });
      await ENDS[end]!(rotation.person, tokenIn(rotation, again));
      try {
        await expectDead(rotation);
      } finally {
        jest.restoreAllMocks();
      }
    });
  });

  it('Redis itself forgets within a minute that a token is unused, and takes no longer time from whoever writes there', async () => {
    const rotation = await ROTATIONS['a recovery code']!();
    await lose(rotation, 0);
    const redis = new Redis(world.config.REDIS_URL);
    try {
      const [key = ''] = await redis.keys('unused:*').then((keys) => keys.sort((a, b) => a.localeCompare(b)));
      const leftMs = await redis.pttl(key);
      expect(leftMs).toBeGreaterThan(0);
      expect(leftMs).toBeLessThanOrEqual(60_000);
      const unused = await Promise.all((await redis.keys('unused:*')).map(async (key) => ({ key, text: await redis.get(key) }))); // prettier-ignore
      for (const { key, text } of unused) {
        const said = JSON.parse(text ?? '{}') as { until: number };
        await redis.set(key, JSON.stringify({ ...said, until: said.until + 3_600_000 }));
      }
      expect(await rotation.send(at(0, rotation.old))).toMatchObject({ status: 401 });
    } finally {
      await redis.quit();
    }
  });

  it('a code that was taken before its session was raised is taken again from the same token, once in the trail', async () => {
    const rotation = await ROTATIONS['a recovery code']!();
    const { userId } = rotation.person;
    const broken = jest.spyOn(world.app.get(SessionService, { strict: false }), 'rotate').mockRejectedValueOnce(new Error('as of an outage')); // prettier-ignore
    expect((await rotation.send(at(0, rotation.old))).status).toBeGreaterThanOrEqual(500);
    broken.mockRestore();
    const answers = await Promise.all([0, 1].map((gateway) => rotation.send(at(gateway, rotation.old))));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers[0]!.text).toBe(answers[1]!.text);
    expect(answers[0]!.body).toMatchObject({ acr: ACR.recovery });
    expect((await world.eventTypes(userId)).filter((type) => type === 'recovery_used')).toHaveLength(1);
  });

  it('in any order of repeats and uses, at any gateway, a token is given again until the new one is used', async () => {
    await inLanes(4, 16, async (i) => {
      const rotation = await ROTATIONS[KINDS[i % 2]!]!();
      await lose(rotation, i);
      let token: string | null = null;
      let used = false;
      const done: string[] = [];
      for (let step = 0; step < 12; step++) {
        const gateway = randomInt(2);
        const use = token !== null && randomInt(4) === 0;
        done.push(`${use ? 'use' : 'repeat'} at ${gateway}`);
        if (use && token !== null) {
          expect([done, await alive(token, gateway)]).toEqual([done, 200]);
          used = true;
          continue;
        }
        const answers = await Promise.all(Array.from({ length: 1 + randomInt(3) }, (_, n) => rotation.send(at(gateway + n, rotation.old)))); // prettier-ignore
        for (const answer of answers) {
          expect([done, answer.status]).toEqual([done, used ? 401 : 200]);
          if (answer.status === 200) expect(tokenIn(rotation, answer)).toBe((token ??= tokenIn(rotation, answer)));
        }
      }
    });
  });
});

const trueNow = Date.now.bind(Date);
const laterBy = (ms: number) => (): number => trueNow() + ms;

/** Passes a request on and cuts the connection with the first byte of the answer, which nobody reads. */
async function cuttingProxy(target: string): Promise<{ url: string; cut: () => number; close: () => Promise<void> }> {
  const { hostname, port } = new URL(target);
  let cut = 0;
  const server: Server = createServer((client: Socket) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.pipe(upstream);
    upstream.once('data', () => {
      cut += 1;
      client.destroy();
      upstream.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cut: () => cut, close };
}

/** All keys and values. */
async function everythingIn(url: string): Promise<string[]> {
  const redis = new Redis(url);
  try {
    const found: string[] = [];
    for (const key of await redis.keys('*')) {
      const dump = await redis.dumpBuffer(key);
      found.push(key, dump?.toString('latin1') ?? '');
      if ((await redis.type(key)) === 'string') found.push((await redis.get(key)) ?? '');
    }
    return found;
  } finally {
    await redis.quit();
  }
}
