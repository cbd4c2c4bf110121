import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { json } from 'node:stream/consumers';
import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { Redis } from 'ioredis';
import { type OutboxEvent, ROLES } from '#contracts';
import type { ServiceClientStore } from '#service-clients';
import { type Answer, type ApiClient, encodeStep } from '#testing';
import { SERVICE_CLIENTS } from '../../apps/gateway/src/clients/clients.service.js';
import { POLICY } from '../../apps/gateway/src/http/policy.js';
import { GatewayWorld, jpegOf, PASSWORD, sleep, stepBody } from './gateway-world.js';

jest.setTimeout(60_000);

const INTROSPECT = '/v1/sessions/introspect';

interface Route {
  /** As in the policy. */
  line: string;
  method: string;
  path: string;
}

/** Every route there is, read from the controllers, so that a new one is in the table by itself. */
function routesOf(world: GatewayWorld): Route[] {
  const scanner = new MetadataScanner();
  const controllers = world.app.get(DiscoveryService, { strict: false }).getControllers();
  return controllers.flatMap(({ metatype }) => {
    if (typeof metatype !== 'function') return [];
    const prefix = Reflect.getMetadata(PATH_METADATA, metatype) as string;
    const prototype = metatype.prototype as Record<string, object>;
    return scanner.getAllMethodNames(prototype).flatMap((name) => {
      const handler = prototype[name];
      if (!handler || !Reflect.hasMetadata(METHOD_METADATA, handler)) return [];
      const method = RequestMethod[Reflect.getMetadata(METHOD_METADATA, handler) as number] ?? '';
      const own = Reflect.getMetadata(PATH_METADATA, handler) as string;
      const path = `/${[prefix, own]
        .map((part) => part.replace(/^\/+|\/+$/g, ''))
        .filter(Boolean)
        .join('/')}`;
      return [{ line: `${method} ${path}`, method, path: path.replace(':id', randomUUID()).replace(':n', '1') }];
    });
  });
}

describe('bad input at the gateway', () => {
  let world: GatewayWorld;
  let staff: ApiClient;
  let relyingApp: string;
  beforeAll(async () => {
    world = await GatewayWorld.start();
    const officer = await world.account();
    await world.db
      .collection<{ _id: string }>('users')
      .updateOne({ _id: officer.userId }, { $set: { roles: [...ROLES] } });
    await world.verifyEmail(officer.userId);
    await world.recover(officer);
    staff = officer.client;
    const app = await world.app
      .get<ServiceClientStore>(SERVICE_CLIENTS, { strict: false })
      .create('app', ['introspect']);
    relyingApp = `Basic ${Buffer.from(`${app?.client.clientId}:${app?.secret}`).toString('base64')}`;
  });
  afterAll(() => world?.stop());

  const send = async (route: Route, o: { query?: string; body?: unknown }): Promise<Answer> => {
    const response = await fetch(`${world.url}${route.path}${o.query ?? ''}`, {
      method: route.method,
      headers: {
        Authorization: route.path === INTROSPECT ? relyingApp : `Bearer ${staff.token ?? ''}`,
        ...(o.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(o.body === undefined ? {} : { body: JSON.stringify(o.body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: JSON.parse(text || '{}') as Answer['body'],
    };
  };

  it('refuses an unknown field on every route, in the query and in the body', async () => {
    const routes = routesOf(world);
    expect(routes.length).toBeGreaterThan(20);
    for (const route of routes) {
      const step = route.path.includes('/steps/');
      const inQuery = await send(route, { query: '?surprise=1', ...(step ? {} : {}) });
      expect({ route, ...inQuery }).toMatchObject({ route, status: 400, body: { code: 'invalid_request' } });
      if (route.method === 'GET') continue;
      const inBody = await send(route, { body: { surprise: 1 } });
      expect({ route, ...inBody }).toMatchObject({ route, status: step ? 415 : 400 });
    }
  });

  it('needs a session on every route that is not meant for anyone', async () => {
    for (const { method, path, line } of routesOf(world)) {
      if (POLICY[line]?.who === 'anyone') continue;
      const { status } = await fetch(`${world.url}${path}`, { method });
      expect({ line, status }).toEqual({ line, status: 401 });
    }
  });

  it('takes operators and prototypes for no more than bad text', async () => {
    const email = `${randomUUID()}@example.org`;
    const bad: unknown[] = [
      { $ne: '' },
      { $gt: '' },
      { $regex: '.*' },
      ['a'],
      { constructor: 1 },
      null,
      1,
      true,
      '$$ROOT',
    ];
    for (const value of bad) {
      expect(await world.client().post('/v1/auth/login', { email: value, password: PASSWORD })).toMatchObject({
        status: 400,
      });
      if (typeof value !== 'string') {
        expect(await world.client().post('/v1/auth/login', { email, password: value })).toMatchObject({ status: 400 });
      }
    }
    const poisoned = await raw('application/json', `{"email":"${email}","password":"${PASSWORD}","__proto__":{"a":1}}`);
    expect(poisoned.status).toBe(400);
    expect(({} as { a?: number }).a).toBeUndefined();
  });

  it('stores a device that looks like an expression as the text it is', async () => {
    const client = world.client('$$ROOT');
    const email = `${randomUUID()}@example.org`;
    const { body } = await client.post('/v1/auth/register', { email, password: PASSWORD });
    const guard = (await world.guard(String(body.userId))) as {
      outbox: { event: OutboxEvent }[];
    };
    const event = guard.outbox[0]?.event as OutboxEvent;
    expect(await world.personal(event)).toEqual({ deviceModel: '$$ROOT', ipAddress: '127.0.0.1' });
  });

  it('does not let a client choose its own address', async () => {
    const email = `${randomUUID()}@example.org`;
    const response = await fetch(`${world.url}/v1/auth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9' },
      body: JSON.stringify({ email, password: PASSWORD }),
    });
    const { userId } = (await response.json()) as { userId: string };
    expect(JSON.stringify(await world.guard(userId))).not.toContain('203.0.113.9');
  });

  const raw = (contentType: string | null, body: string | Buffer, path = '/v1/auth/login') =>
    fetch(`${world.url}${path}`, {
      method: 'POST',
      headers: contentType === null ? {} : { 'content-type': contentType },
      body: Buffer.from(body),
    });

  it.each([
    ['no JSON', 'application/json', '{', 400, 'invalid_request'],
    ['an empty body', 'application/json', '', 400, 'invalid_request'],
    ['a text', 'text/plain', 'x', 415, 'unsupported_media_type'],
    ['a form', 'application/x-www-form-urlencoded', 'email=a&password=b', 415, 'unsupported_media_type'],
    ['a multipart form', 'multipart/form-data; boundary=x', '--x--', 415, 'unsupported_media_type'],
    ['bytes', 'application/octet-stream', 'x', 415, 'unsupported_media_type'],
    ['too long a body', 'application/json', `{"email":"${'x'.repeat(20_000)}"}`, 413, 'payload_too_large'],
  ])('answers %s with a problem', async (_, contentType, body, status, code) => {
    const answer = await raw(contentType, body);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(await answer.json()).toMatchObject({ code, status });
  });

  it('answers what it does not know, and what it cannot read, with a problem', async () => {
    const unknown = await world.client().get('/v1/nothing');
    expect(unknown).toMatchObject({ status: 404, body: { code: 'not_found' } });
    for (const header of ['cache-control', 'x-content-type-options', 'x-request-id']) {
      expect(unknown.headers.get(header)).toBeTruthy();
    }
    expect(await world.client().get('/v1/face/attempts/%zz')).toMatchObject({
      status: 400,
      body: { code: 'invalid_request' },
    });
    expect(await staff.get('/v1/face/attempts/not-an-id')).toMatchObject({ status: 404 });
    expect(await staff.get(`/v1/face/attempts/${randomUUID()}?wait=26`)).toMatchObject({ status: 400 });
    expect(await staff.get(`/v1/face/attempts/${randomUUID()}?wait=1e1`)).toMatchObject({ status: 400 });
    expect(await httpBytes(world.url, 'NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
  });

  describe('frames', () => {
    let client: ApiClient;
    let path: string;
    beforeAll(async () => {
      const account = await world.enrolled();
      client = account.client;
      const begun = await client.post('/v1/face/attempts');
      path = `/v1/face/attempts/${String(begun.body.attemptId)}/steps/1`;
      await sleep(350);
    });

    const step = (images: Buffer[], extra: Record<string, unknown> = {}) =>
      encodeStep(images.map((jpeg, i) => ({ tMs: i * 40, jpeg })), extra); // prettier-ignore
    const png = Buffer.from('89504e470d0a1a0a0000000d4948445200004e2000004e200802000000', 'hex');

    it.each([
      ['an empty body', () => Buffer.alloc(0), 400, 'invalid_request'],
      ['no container', () => Buffer.from('hello'), 400, 'invalid_request'],
      ['a 400-megapixel PNG', () => step([png]), 415, 'unsupported_image'],
      ['a 400-megapixel JPEG', () => step([jpegOf(20_000, 20_000)]), 413, 'image_too_large'],
      ['a frame of 513 kB', () => step([jpegOf(640, 480, 513 * 1024)]), 413, 'image_too_large'],
      ['121 frames', () => step(Array.from({ length: 121 }, () => jpegOf())), 413, 'too_many_frames'],
      ['more than 4 MB', () => Buffer.alloc(4 * 1024 * 1024 + 1), 413, 'payload_too_large'],
      ['a challenge of its own', () => step([jpegOf()], { challenge: 'blink' }), 400, 'invalid_request'],
      ['a score', () => step([jpegOf()], { score: 1 }), 400, 'invalid_request'],
      [
        'frames that took longer than the time since the reveal',
        () =>
          encodeStep([
            { tMs: 0, jpeg: jpegOf() },
            { tMs: 50_000, jpeg: jpegOf() },
          ]),
        400,
        'frame_times_unusable',
      ],
    ])('%s is refused and changes nothing', async (_, body, status, code) => {
      expect(await client.postBytes(path, body())).toMatchObject({ status, body: { code } });
    });

    it('as JSON are refused', async () => {
      expect(await client.post(path, { frames: [] })).toMatchObject({
        status: 415,
        body: { code: 'unsupported_media_type' },
      });
    });

    /** An upload by hand on one connection, so that its pieces go when the test says so. */
    const upload = (agent: Agent, headers: Record<string, string | number> = {}): ClientRequest =>
      request(`${world.url}${path}`, {
        method: 'POST',
        agent,
        headers: { authorization: `Bearer ${client.token}`, 'content-type': 'application/octet-stream', ...headers },
      });
    const answerOf = async (sent: ClientRequest) => {
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      return { status: response.statusCode, body: await json(response) };
    };
    const tooLarge = step([jpegOf(640, 480, 513 * 1024)]);

    it('that cannot be taken are refused before they have come, and the connection lives on', async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const sent = upload(agent, { 'content-length': tooLarge.length });
      sent.write(tooLarge.subarray(0, 200));
      expect(await answerOf(sent)).toMatchObject({ status: 413, body: { code: 'image_too_large' } });
      sent.end(tooLarge.subarray(200));
      await once(sent, 'close');

      const next = upload(agent, { 'content-length': 1 }).end('x');
      expect(await answerOf(next)).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
      expect(next.reusedSocket).toBe(true);
      agent.destroy();
    });

    it('are not asked for by a refusal of the caller', async () => {
      const agent = new Agent();
      const sent = upload(agent, { 'content-length': tooLarge.length, authorization: 'Bearer x' });
      sent.flushHeaders();
      expect(await answerOf(sent)).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
      sent.destroy();
    });

    it('of a client that goes in the middle change nothing', async () => {
      const body = stepBody();
      for (const part of [0, 3, body.length - 1]) {
        const sent = upload(new Agent(), { 'content-length': body.length });
        sent.on('error', () => undefined);
        sent.flushHeaders();
        sent.write(body.subarray(0, part));
        await sleep(50);
        sent.destroy();
      }
      expect(await (await fetch(`${world.url}/health/ready`)).json()).toMatchObject({ status: 'ok' });
    });

    it('that are right are still accepted afterwards: nothing refused was charged', async () => {
      const agent = new Agent();
      const sent = upload(agent, { 'transfer-encoding': 'chunked' });
      const body = stepBody();
      for (let at = 0; at < body.length; at += 1_000) sent.write(body.subarray(at, at + 1_000));
      sent.end();
      expect(await answerOf(sent)).toMatchObject({ status: 202 });
      expect(await client.postBytes(path, body)).toMatchObject({ body: { code: 'step_already_received' } });
    });
  });

  describe('login', () => {
    it('answers an unknown user, a wrong password and a disabled account with the same bytes', async () => {
      const { email, userId } = await world.account();
      const disabled = await world.account();
      await world.db
        .collection<{ _id: string }>('face_guards')
        .updateOne({ _id: disabled.userId }, { $set: { state: 'disabled' } });
      const tries = [
        await world.client().login(email, 'not the password'),
        await world.client().login(`${randomUUID()}@example.org`, PASSWORD),
        await world.client().login(disabled.email, PASSWORD),
      ];
      const seen = tries.map(({ status, text, headers }) => {
        const kept = [...headers].filter(([name]) => name !== 'date' && name !== 'x-request-id');
        return JSON.stringify({ status, text, kept });
      });
      expect(new Set(seen).size).toBe(1);
      expect(tries[0]).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } });
      expect(tries[0]?.text).not.toContain(email);

      const outboxes = await world.db.collection('system_outboxes').find().toArray();
      const entries = outboxes.flatMap((o) => o.entries as { type: string; userId: string | null }[]);
      expect(entries).toEqual(expect.arrayContaining([expect.objectContaining({ type: 'login_failed', userId })]));
      expect(entries).toEqual(
        expect.arrayContaining([expect.objectContaining({ type: 'login_failed', userId: null })]),
      );
    });

    it('is slowed after ten failures, and says when to come back', async () => {
      const { email } = await world.account();
      const answers: Answer[] = [];
      for (let i = 0; i < 11; i++) answers.push(await world.client().login(email, 'not the password'));
      expect(answers.slice(0, 10).every((a) => a.status === 401)).toBe(true);
      expect(answers[10]).toMatchObject({ status: 429, body: { code: 'too_many_requests' } });
      expect(Number(answers[10]?.headers.get('retry-after'))).toBeGreaterThan(60);
      expect((await world.guard((await world.account()).userId)).strikes).toBe(0);
    });
  });

  it('believes no session record that it did not write under that very key', async () => {
    const redis = new Redis(world.config.REDIS_URL);
    try {
      const { client } = await world.account();
      const other = await world.account();
      const keyOf = async (token: string | null) => {
        const { createHash } = await import('node:crypto');
        return `sess:${createHash('sha256')
          .update(token ?? '')
          .digest('hex')}`;
      };
      const own = await keyOf(client.token);
      const record = await redis.get(own);
      if (!record) throw new Error('no record');
      await redis.set(own, (await redis.get(await keyOf(other.client.token))) ?? '');
      expect((await client.get('/v1/auth/session')).status).toBe(401);
      const raised = record.replace('\\"pwd\\":', `\\"face\\":${Date.now()},\\"pwd\\":`);
      expect(raised).not.toBe(record);
      await redis.set(own, raised);
      expect((await client.get('/v1/auth/session')).status).toBe(401);
      await redis.set(own, record);
      expect((await client.get('/v1/auth/session')).status).toBe(200);
    } finally {
      redis.disconnect();
    }
  });

  it('leaves no token, password or code in what it stores', async () => {
    const account = await world.account();
    const { email, userId } = account;
    await world.verifyEmail(userId);
    await world.recover(account);
    const token = await world.mailSecret(userId, 'email_verify');
    const code = await world.mailSecret(userId, 'recovery_code');
    const collections = await world.db.listCollections();
    let dump = '';
    for (const { name } of collections) dump += JSON.stringify(await world.db.collection(name).find().toArray());
    expect(dump).toContain(email);
    for (const secret of [PASSWORD, token, code, account.client.token ?? '']) expect(dump).not.toContain(secret);
  });
});

function httpBytes(url: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(text));
    let got = '';
    socket.on('data', (chunk) => (got += chunk.toString()));
    socket.on('close', () => resolve(got));
    socket.on('error', reject);
  });
}
