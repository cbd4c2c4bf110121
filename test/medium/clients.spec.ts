import { spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Redis } from 'ioredis';
import { ACR } from '#contracts';
import type { ServiceClientStore } from '#service-clients';
import { repositoryRoot } from '#stack';
import type { ApiClient } from '#testing';
import { SERVICE_CLIENTS } from '../../apps/gateway/src/clients/clients.service.js';
import { POLICY } from '../../apps/gateway/src/http/policy.js';
import { GatewayWorld, GOOD, PASSWORD, patiently, sleep } from './gateway-world.js';

jest.setTimeout(180_000);

interface Made {
  clientId: string;
  secret: string;
}

describe('relying applications (real Redis and MongoDB, the real command line)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  const cli = (...args: string[]) => {
    const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
    const env = { PATH: process.env.PATH, MONGODB_URI: world.config.MONGODB_URI };
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', env });
    return { status, stdout, stderr };
  };
  const made = (...args: string[]): Made => JSON.parse(cli('client', ...args, '--json').stdout) as Made;

  const ask = async (client: Made | null, body: unknown, headers: Record<string, string> = {}) => {
    const basic = client && `Basic ${Buffer.from(`${client.clientId}:${client.secret}`).toString('base64')}`;
    const response = await fetch(`${world.url}/v1/sessions/introspect`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(basic ? { authorization: basic } : {}), ...headers },
      body: JSON.stringify(body),
    });
    return {
      status: response.status,
      challenge: response.headers.get('www-authenticate'),
      body: (await response.json()) as Record<string, unknown>,
    };
  };

  /** As a page has it made for an application. */
  const issued = (client: ApiClient, { clientId }: { clientId: string }) =>
    client.post('/v1/sessions/tokens', { clientId });
  const tokenFor = async (client: ApiClient, app: Made): Promise<string> => {
    const answer = await issued(client, app);
    expect(answer).toMatchObject({ status: 201, body: { clientId: app.clientId } });
    return String(answer.body.token);
  };

  it('learns the level of a live session and of the fresh face, and its events name who asked', async () => {
    const app = made('create', 'bank', '--scope', 'introspect');
    const { client, userId } = await world.enrolled();
    const token = await tokenFor(client, app);
    expect((await ask(app, { token })).body).toEqual({
      active: true,
      sub: userId,
      acr: ACR.pwd,
      amr: ['pwd'],
      authTime: expect.any(String) as string,
      faceAuthTime: null,
      levels: [{ acr: ACR.pwd, at: expect.any(String) as string }],
      clientId: app.clientId,
    });

    const before = client.token;
    expect((await world.capture(client, 'attempts', GOOD)).body).toMatchObject({ status: 'verified' });
    expect(client.token).not.toBe(before);
    // The session has another token now; the application's one shows what the session is worth.
    const raised = (await ask(app, { token })).body;
    expect(raised).toMatchObject({ active: true, acr: ACR.face, amr: ['pwd', 'face', 'mfa'] });
    expect(Date.now() - Date.parse(String(raised.faceAuthTime))).toBeLessThan(20_000);
    const { authTime, faceAuthTime } = raised;
    expect(raised.levels).toEqual([
      { acr: ACR.face, at: faceAuthTime },
      { acr: ACR.pwd, at: authTime },
    ]);

    const { outbox } = (await world.guard(userId)) as { outbox: { event?: { type: string; clientId?: string } }[] };
    const told = outbox.filter(({ event }) => event?.type === 'introspected');
    expect(told.map(({ event }) => event?.clientId)).toEqual([app.clientId]);
  });

  it('is told no more than that a token is of no live session, whatever it is', async () => {
    const app = made('create', 'shop', '--scope', 'introspect');
    const ended = await world.account();
    const changed = await world.account();
    const disabled = await world.account();
    const tokens = await Promise.all([ended, changed, disabled].map(({ client }) => tokenFor(client, app)));
    for (const token of tokens) expect(await ask(app, { token })).toMatchObject({ body: { active: true } });
    expect(await ended.client.post('/v1/auth/logout')).toMatchObject({ status: 204 });
    await world.db
      .collection<{ _id: string }>('users')
      .updateOne({ _id: changed.userId }, { $inc: { sessionEpoch: 1 } });
    await world.db
      .collection<{ _id: string }>('face_guards')
      .updateOne({ _id: disabled.userId }, { $set: { state: 'disabled' } });
    for (const token of [
      ...tokens,
      'x',
      'A'.repeat(43),
      `${'A'.repeat(43)}\n`,
      `cst_${'A'.repeat(43)}`,
      randomUUID(),
      '💥'.repeat(200),
    ]) {
      expect(await ask(app, { token })).toMatchObject({ status: 200, body: { active: false } });
    }
  });

  it('needs its own secret, and no session will do instead', async () => {
    const app = made('create', 'clinic', '--scope', 'introspect');
    const other = made('create', 'clinic 2', '--scope', 'introspect');
    const { client } = await world.account();
    const body = { token: await tokenFor(client, app) };
    const wrong: [Made | null, Record<string, string>][] = [
      [null, {}],
      [null, { authorization: `Bearer ${client.token}` }],
      [null, { authorization: 'Basic !' }],
      [null, { authorization: `Basic ${Buffer.from('no colon').toString('base64')}` }],
      [{ ...app, secret: other.secret }, {}],
      [{ ...app, secret: '' }, {}],
      [{ ...app, clientId: randomUUID() }, {}],
      [{ ...app, clientId: '{"$ne":""}' }, {}],
    ];
    for (const [who, headers] of wrong) {
      expect(await ask(who, body, headers)).toMatchObject({
        status: 401,
        challenge: 'Basic realm="countersign"',
        body: { code: 'invalid_client' },
      });
    }
    expect(await ask(app, body)).toMatchObject({ status: 200, body: { active: true } });
    expect(await ask(app, { ...body, surprise: 1 })).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    await world.db
      .collection<{ _id: string }>('service_clients')
      .updateOne({ _id: app.clientId }, { $set: { scopes: [] } });
    expect(await ask(app, body)).toMatchObject({ status: 403, body: { code: 'forbidden' } });
  });

  it('goes on with the old secret while the new one is brought in, and with none once it is disabled', async () => {
    const first = made('create', 'ledger', '--scope', 'introspect');
    const second = made('rotate', 'ledger');
    const { client } = await world.account();
    const body = { token: await tokenFor(client, first) };
    expect(second.clientId).toBe(first.clientId);
    for (const secret of [first, second]) expect((await ask(secret, body)).status).toBe(200);
    const third = made('rotate', 'ledger', '--overlap', '0');
    for (const secret of [first, second]) expect((await ask(secret, body)).status).toBe(401);
    expect((await ask(third, body)).status).toBe(200);
    expect(cli('client', 'disable', 'ledger')).toMatchObject({ status: 0, stdout: 'disabled ledger\n' });
    expect((await ask(third, body)).status).toBe(401);
    const revived = made('rotate', 'ledger');
    expect((await ask(revived, body)).status).toBe(401);
  });

  it('has its secret stored and listed nowhere', async () => {
    const app = made('create', 'archive', '--scope', 'introspect');
    const stored = JSON.stringify(await world.db.collection('service_clients').find().toArray());
    const outboxes = JSON.stringify(await world.db.collection('system_outboxes').find().toArray());
    const listed = cli('client', 'list').stdout + cli('client', 'list', '--json').stdout;
    expect(stored).toContain(app.clientId);
    expect(outboxes).toContain(app.clientId);
    expect(listed).toContain(app.clientId);
    for (const text of [stored, outboxes, listed]) expect(text).not.toContain(app.secret);
  });

  it('is made under one name only, with a scope there is', () => {
    made('create', 'twice', '--scope', 'introspect');
    expect(cli('client', 'create', 'twice', '--scope', 'introspect')).toMatchObject({
      status: 2,
      stderr: 'countersign: a client of this name exists\n',
    });
    expect(cli('client', 'create', 'x', '--scope', 'everything')).toMatchObject({ status: 2, stdout: '' });
    expect(cli('client', 'create', '$where', '--scope', 'introspect')).toMatchObject({ status: 2, stdout: '' });
    expect(cli('client', 'rotate', 'nobody')).toMatchObject({
      status: 2,
      stderr: 'countersign: there is no client of this name\n',
    });
    expect(cli('client', 'rotate', 'twice', '--overlap', '-1')).toMatchObject({ status: 2, stdout: '' });
  });

  it('cannot be guessed at without end from one address', async () => {
    const app = made('create', 'guessed', '--scope', 'introspect');
    const guess = () => ask({ ...app, secret: `countersign_${'A'.repeat(43)}` }, { token: 'x' });
    const statuses = new Set<number>();
    for (let i = 0; i < 25; i++) statuses.add((await guess()).status);
    expect([...statuses]).toEqual([401, 429]);
  });

  it('http B4: strangers at its own address do not keep it out, and who brings no credential has guessed nothing', async () => {
    const app = made('create', 'shared-egress', '--scope', 'introspect');
    const { client } = await world.account({ consent: false });
    const token = await tokenFor(client, app);
    const statuses = new Set<number>();
    for (let i = 0; i < 30; i++) {
      const stranger = { clientId: i % 2 ? app.clientId : randomUUID(), secret: `countersign_${'A'.repeat(43)}` };
      statuses.add((await ask(stranger, { token })).status);
    }
    expect(statuses).toContain(429);
    expect(await ask(app, { token })).toMatchObject({ status: 200, body: { active: true } });
    for (let i = 0; i < 30; i++) expect(await ask(null, { token })).toMatchObject({ status: 401 });
    expect(await ask(app, { token })).toMatchObject({ status: 200, body: { active: true } });
  });

  describe('A5: what a relying application is given', () => {
    let app: Made;
    let other: Made;
    beforeAll(() => {
      app = made('create', 'a5', '--scope', 'introspect');
      other = made('create', 'a5 too', '--scope', 'introspect');
    });
    /** Told while the answer is already on its way. */
    const refused = async (event: object) => {
      const told = async (): Promise<object[]> => {
        const rows = await world.db.collection('system_outboxes').find().toArray();
        return rows.flatMap(({ entries }) => entries as object[]);
      };
      const has = (events: object[]): boolean => events.some((one) => Object.entries(event).every(([name, value]) => isDeepStrictEqual((one as Record<string, unknown>)[name], value))); // prettier-ignore
      let events = await told();
      for (let i = 0; i < 50 && !has(events); i++) {
        await sleep(50);
        events = await told();
      }
      expect(events).toEqual(expect.arrayContaining([expect.objectContaining(event)]));
    };

    it('opens nothing: every route that takes a session answers it 401', async () => {
      const { client } = await world.account({ consent: false });
      const token = await tokenFor(client, app);
      const lines = Object.entries(POLICY).flatMap(([line, access]) => (access.who === 'session' ? [line] : []));
      expect(lines.length).toBeGreaterThan(25);
      for (const line of lines) {
        const [method = '', route = ''] = line.split(' ');
        const path = route.replace(':id', randomUUID()).replace(':n', '1');
        const answer = await fetch(world.url + path, { method, headers: { authorization: `Bearer ${token}` } });
        const { code } = (await answer.json()) as { code: string };
        expect([line, answer.status, code]).toEqual([line, 401, 'unauthenticated']);
      }
      await refused({ type: 'credential_refused', detail: { credential: 'client_token' } });
      expect(await ask(app, { token })).toMatchObject({ body: { active: true } });
    });

    it('is for that application alone, and the trail names one that asks by the token of another', async () => {
      const { client, userId } = await world.account({ consent: false });
      const token = await tokenFor(client, app);
      expect(await ask(other, { token })).toMatchObject({ status: 200, body: { active: false } });
      await refused({ type: 'credential_refused', userId, clientId: other.clientId });
      expect(await ask(app, { token })).toMatchObject({ body: { active: true, sub: userId } });
    });

    it("is never the session's own token, which the trail tells of", async () => {
      const { client } = await world.account({ consent: false });
      expect(await ask(app, { token: client.token })).toMatchObject({ status: 200, body: { active: false } });
      await refused({ type: 'credential_refused', clientId: app.clientId, detail: { credential: 'session' } });
      expect((await client.get('/v1/auth/session')).status).toBe(200);
    });

    it('ends with its session, whichever way that ends, and whatever a stale Redis brings back (T25)', async () => {
      const redis = new Redis(world.config.REDIS_URL);
      const ways: [string, (one: Awaited<ReturnType<GatewayWorld['account']>>) => Promise<unknown>][] = [
        ['logout', ({ client }) => client.post('/v1/auth/logout')],
        ['another password elsewhere', async ({ email }) => {
          const there = world.client();
          await there.login(email, PASSWORD);
          return there.put('/v1/auth/password', { currentPassword: PASSWORD, newPassword: `${PASSWORD} 2` });
        }],
        ['ended from another device', async ({ client, email }) => {
          const { sessionId } = (await client.get('/v1/auth/session')).body;
          const there = world.client();
          await there.login(email, PASSWORD);
          return there.delete(`/v1/auth/sessions/${String(sessionId)}`);
        }],
        ['more sessions than a person may have', async ({ email }) => {
          for (let i = 0; i < 20; i++) await patiently(() => world.client().login(email, PASSWORD));
        }],
      ]; // prettier-ignore
      for (const [way, end] of ways) {
        const one = await world.account({ consent: false });
        const token = await tokenFor(one.client, app);
        const texts = [...(await redis.keys('sess:*')), ...(await redis.keys('client-token:*'))];
        const copy = await Promise.all(texts.map(async (key) => [key, await redis.get(key)] as const));
        const list = await redis.smembers(`sess-of:${one.userId}`);
        await end(one);
        expect([way, (await ask(app, { token })).body]).toEqual([way, { active: false }]);
        for (const [key, text] of copy) if (text !== null) await redis.set(key, text, 'EX', 600);
        await redis.sadd(`sess-of:${one.userId}`, list);
        expect([way, (await ask(app, { token })).body]).toEqual([way, { active: false }]);
      }
      redis.disconnect();
    });

    it('lives ten minutes, whatever Redis says, and cannot be forged or moved there', async () => {
      const redis = new Redis(world.config.REDIS_URL);
      const { client } = await world.account({ consent: false });
      const answer = await issued(client, app);
      const leftMs = Date.parse(String(answer.body.expiresAt)) - Date.now();
      expect(leftMs).toBeGreaterThan(9 * 60_000);
      expect(leftMs).toBeLessThanOrEqual(10 * 60_000);
      const token = String(answer.body.token);
      const key = `client-token:${createHash('sha256').update(token).digest('hex')}`;
      expect(await redis.pttl(key)).toBeLessThanOrEqual(10 * 60_000);
      await redis.persist(key);
      const later = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 10 * 60_000);
      expect(await ask(app, { token })).toMatchObject({ body: { active: false } });
      later.mockRestore();
      expect(await ask(app, { token })).toMatchObject({ body: { active: true } });

      const envelope = JSON.parse(String(await redis.get(key))) as { record: string; mac: string };
      const forOther = envelope.record.replace(app.clientId, other.clientId);
      expect(forOther).not.toBe(envelope.record);
      await redis.set(key, JSON.stringify({ ...envelope, record: forOther }));
      expect(await ask(other, { token })).toMatchObject({ body: { active: false } });
      const copied = `cst_${'B'.repeat(43)}`;
      await redis.set(`client-token:${createHash('sha256').update(copied).digest('hex')}`, JSON.stringify(envelope));
      expect(await ask(app, { token: copied })).toMatchObject({ body: { active: false } });
      await refused({ type: 'result_forged', reason: 'session_forged' });
      redis.disconnect();
    });

    it('is one of at most twenty of a session, and only for an application that may ask', async () => {
      const { client } = await world.account({ consent: false });
      const answers = await Promise.all(Array.from({ length: 24 }, () => issued(client, app)));
      expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(20).fill(201), 429, 429, 429, 429]);
      const { headers } = answers.find(({ status }) => status === 429) ?? {};
      expect(Number(headers?.get('retry-after'))).toBeGreaterThan(500);
      const one = (await world.account({ consent: false })).client;
      const gone = made('create', 'a5 gone', '--scope', 'introspect');
      expect(cli('client', 'disable', 'a5 gone').status).toBe(0);
      for (const clientId of [randomUUID(), gone.clientId]) {
        expect(await issued(one, { clientId })).toMatchObject({ status: 404, body: { code: 'not_found' } });
      }
      expect(await issued(one, { clientId: 'a5' })).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    });

    it('asking does not put the idle limit of the session off', async () => {
      const redis = new Redis(world.config.REDIS_URL);
      const { client, userId } = await world.account({ consent: false });
      const token = await tokenFor(client, app);
      const [key = ''] = await redis.smembers(`sess-of:${userId}`);
      await redis.expire(key, 100);
      expect(await ask(app, { token })).toMatchObject({ body: { active: true } });
      expect(await redis.ttl(key)).toBeLessThanOrEqual(100);
      expect((await client.get('/v1/auth/session')).status).toBe(200);
      expect(await redis.ttl(key)).toBeGreaterThan(1_000);
      redis.disconnect();
    });
  });
});

describe('with ALLOW_SESSION_TOKEN_INTROSPECTION=yes (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ ALLOW_SESSION_TOKEN_INTROSPECTION: 'yes' });
  });
  afterAll(() => world?.stop());

  it("an application also asks about a session's own token, which puts no idle limit off", async () => {
    const clients = world.app.get<ServiceClientStore>(SERVICE_CLIENTS, { strict: false });
    const made = await clients.create('old', ['introspect']);
    const { client, userId } = await world.account({ consent: false });
    const redis = new Redis(world.config.REDIS_URL);
    const [key = ''] = await redis.smembers(`sess-of:${userId}`);
    await redis.expire(key, 100);
    const basic = Buffer.from(`${made?.client.clientId}:${made?.secret}`).toString('base64');
    const answer = await fetch(`${world.url}/v1/sessions/introspect`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Basic ${basic}` },
      body: JSON.stringify({ token: client.token }),
    });
    expect(await answer.json()).toMatchObject({ active: true, sub: userId });
    expect(await redis.ttl(key)).toBeLessThanOrEqual(100);
    redis.disconnect();
  });
});
