import { randomBytes, randomUUID } from 'node:crypto';
import http from 'node:http';
import fc from 'fast-check';
import { ROLES } from '#contracts';
import { inLanes } from '#testing';
import { POLICY } from '../../apps/gateway/src/http/policy.js';
import { type AuditUnderTest, startAudit } from './audit-harness.js';
import { GatewayWorld, PASSWORD } from './gateway-world.js';

jest.setTimeout(300_000);

/** 100,000 by COUNTERSIGN_FUZZ_RUNS. */
const RUNS = Number(process.env['COUNTERSIGN_FUZZ_RUNS'] ?? 5_000);
/** 20,000 by COUNTERSIGN_OPERATOR_RUNS. */
const OPERATOR_RUNS = Number(process.env['COUNTERSIGN_OPERATOR_RUNS'] ?? 3_000);
const LANES = 16;
/** Routes that would take away what the others need, were they right by chance. */
const DESTRUCTIVE = ['POST /v1/privacy/erasures', 'POST /v1/auth/logout', 'DELETE /v1/face/consent'];

interface Request {
  line: string;
  path: string;
  query: string;
  headers: Record<string, string>;
  body: Buffer | null;
  signedIn: boolean;
}

/** Stand for operators, prototypes and expressions wherever a text is expected. */
const NO_TEXT: unknown[] = [
  { $ne: null }, { $gt: '' }, { $regex: '.*' }, { $where: 'sleep(1)' }, { $in: [''] }, [''], [[]], {},
  { toString: null }, { constructor: { prototype: { polluted: 1 } } }, 1, true, null,
]; // prettier-ignore

/** What a careless query would take for more than a text. */
const OPERATOR_TEXT = [
  '$ne', '$gt', '$regex', '$where', '$$ROOT', '$$NOPE', '$$NOW', '$x', '__proto__', 'constructor', 'prototype',
  '{"$ne":null}', '{"$gt":""}', '[object Object]', "'; return true; //", 'a.b', '*', '\\u0000',
]; // prettier-ignore
const OPERATOR_KEYS = ['$ne', '$gt', '$regex', '$where', '__proto__', 'constructor'];

describe('the gateway under input of any kind', () => {
  let world: GatewayWorld;
  let audit: AuditUnderTest;
  let token: string;
  let port: number;
  const agent = new http.Agent({ keepAlive: true, maxSockets: LANES });
  beforeAll(async () => {
    audit = await startAudit({ database: 'gateway_fuzz' });
    const { AUDIT_HOST, AUDIT_PORT, AUDIT_SHARED_SECRET } = audit.config;
    const shared = { AUDIT_HOST, AUDIT_PORT: String(AUDIT_PORT), AUDIT_SHARED_SECRET };
    world = await GatewayWorld.start({ ...shared, TRUSTED_PROXIES: '127.0.0.1/32' });
    port = Number(new URL(world.url).port);
    const officer = await world.account();
    const roles = { $set: { roles: [...ROLES] } };
    await world.db.collection<{ _id: string }>('users').updateOne({ _id: officer.userId }, roles);
    await world.verifyEmail(officer.userId);
    await world.recover(officer);
    token = officer.client.token ?? '';
  });
  afterAll(async () => {
    agent.destroy();
    await world?.stop();
    await audit?.close();
  });

  /** Null: the connection was closed without an answer, as HTTP allows for what is no HTTP. */
  const send = ({ line, path, query, headers, body, signedIn }: Request): Promise<number | null> =>
    new Promise((resolve, reject) => {
      const [method = ''] = line.split(' ');
      // Each from an address of its own, or a limit would hide what lies behind it.
      const from = { 'x-forwarded-for': `10.${[...randomBytes(3)].join('.')}` };
      const all = { ...headers, ...from, ...(signedIn ? { authorization: `Bearer ${token}` } : {}) };
      const request = http.request({ host: '127.0.0.1', port, agent, method, path: path + query, headers: all });
      request.on('response', (response) => {
        response.resume();
        response.on('close', () => resolve(response.statusCode ?? 0));
      });
      request.on('error', (error: NodeJS.ErrnoException) =>
        ['ECONNRESET', 'EPIPE'].includes(error.code ?? '') ? resolve(null) : reject(error),
      );
      request.end(body ?? undefined);
    });

  const urlText = fc.string({ maxLength: 30, unit: 'binary' }).map((text) => encodeURIComponent(text));
  const headerText = fc.string({ maxLength: 60, unit: fc.integer({ min: 0x20, max: 0xfe }).map((code) => (code === 0x7f ? ' ' : String.fromCharCode(code))) }); // prettier-ignore
  const json = fc.json({ maxDepth: 4 }).map((text) => Buffer.from(text));
  const torn = fc.tuple(json, fc.nat(40)).map(([text, at]) => text.subarray(0, at));
  const fields = fc
    .dictionary(
      fc.constantFrom('email', 'password', 'token', 'code', '__proto__', 'version', 'optOuts', 'id', 'roles'),
      fc.oneof(fc.constantFrom(...NO_TEXT), fc.string(), fc.double(), fc.array(fc.string())),
    )
    .map((value) => Buffer.from(JSON.stringify(value)));
  const anyRequest: fc.Arbitrary<Request> = fc.record({
    line: fc.constantFrom(...Object.keys(POLICY)),
    path: fc.oneof(fc.constant(randomUUID()), urlText, fc.constantFrom('..', '%00', '%c0%ae', '1e9', '-1')),
    query: fc.oneof(
      fc.constant(''),
      fc
        .array(
          fc.tuple(fc.oneof(urlText, fc.constantFrom('cursor', 'limit', 'from', 'wait', 'userId', 'address')), urlText),
          { minLength: 1, maxLength: 4 },
        ) // prettier-ignore
        .map((pairs) => `?${pairs.map((pair) => pair.join('=')).join('&')}`),
    ),
    headers: fc.dictionary(
      fc.constantFrom('user-agent', 'x-device-model', 'accept', 'accept-language', 'idempotency-key', 'origin', 'cookie', 'content-type', 'sec-ch-ua-model', 'x-request-id', 'authorization'), // prettier-ignore
      fc.oneof(headerText, fc.constantFrom('application/json', 'application/octet-stream', 'text/plain', 'multipart/form-data', 'application/json; charset=utf-7', '$$ROOT')), // prettier-ignore
    ),
    body: fc.oneof(fc.constant(null), json, torn, fields, fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))), // prettier-ignore
    signedIn: fc.boolean(),
  });

  it(`T46: ${RUNS} requests of bytes, JSON and headers on all routes: no fault, nobody ends, the session still stands`, async () => {
    const requests = fc.sample(anyRequest, RUNS).map((request) => {
      const route = request.line.split(' ')[1] ?? '';
      const path = route.replace(/:[a-z]+/g, () => request.path || 'x');
      const body = request.line.startsWith('GET') ? null : request.body;
      const typed: Record<string, string> =
        body && !request.headers['content-type'] ? { 'content-type': 'application/json' } : {};
      const query = DESTRUCTIVE.includes(request.line) ? '?surprise=1' : request.query;
      return { ...request, path, query, body, headers: { ...request.headers, ...typed } };
    });
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    const counts: Record<string, number> = {};
    const bad: object[] = [];
    await inLanes(LANES, requests.length, async (i) => {
      const request = requests[i]!;
      const status = await send(request);
      counts[String(status)] = (counts[String(status)] ?? 0) + 1;
      // 503 is an answer: begin refuses while the service is full, and whatever waits for a database for two seconds.
      if (status !== null && status >= 500 && status !== 503)
        bad.push({ ...request, body: request.body?.toString('latin1'), status });
    });
    process.off('unhandledRejection', note);
    expect(bad).toEqual([]);
    expect(unhandled).toEqual([]);
    // Input that never got past the door would prove little.
    expect(counts['400'] ?? 0).toBeGreaterThan(RUNS / 10);
    expect(counts['401'] ?? 0).toBeGreaterThan(RUNS / 20);
    expect(await send({ line: 'GET', path: '/v1/auth/session', query: '', headers: {}, body: null, signedIn: true })).toBe(200); // prettier-ignore
    process.stderr.write(`T46: ${RUNS} requests: ${JSON.stringify(counts)}\n`);
  });

  const right = (): Record<string, Record<string, unknown>> => {
    const email = `${randomUUID()}@example.org`;
    return {
      'POST /v1/auth/register': { email, password: PASSWORD },
      'POST /v1/auth/login': { email, password: PASSWORD },
      'POST /v1/auth/email/verify': { token: 'A'.repeat(43) },
      'PUT /v1/auth/password': { currentPassword: `not ${PASSWORD}`, newPassword: `${PASSWORD}!` },
      'POST /v1/auth/password/verify': { password: `not ${PASSWORD}` },
      'POST /v1/auth/password/reset': { email },
      'POST /v1/auth/password/reset/confirm': { token: 'A'.repeat(43), newPassword: PASSWORD },
      'POST /v1/auth/invitation/accept': { token: 'A'.repeat(43), password: PASSWORD },
      'POST /v1/auth/email/change': { email },
      'POST /v1/auth/email/change/confirm': { token: 'A'.repeat(43) },
      'POST /v1/auth/email/change/cancel': { token: 'A'.repeat(43) },
      'PUT /v1/face/consent': { version: '1', textSha256: 'a'.repeat(64) },
      'POST /v1/recovery/verify': { code: 'ABCD2345' },
      'POST /v1/security/not-me': { token: 'A'.repeat(43) },
      'POST /v1/admin/users': { email },
    };
  };
  const bodies = right();
  const plain = { query: '', headers: { 'content-type': 'application/json' }, signedIn: true };
  const bodyOf = (line: string, body: object): Request => ({
    ...plain,
    line,
    path: line.split(' ')[1] ?? '',
    body: Buffer.from(JSON.stringify(body)),
  });

  it('T19: each text of each body in place of which stands an operator, an array, a prototype or a number is refused', async () => {
    const attacks = Object.entries(bodies).flatMap(([line, body]) =>
      Object.keys(body).flatMap((field) => NO_TEXT.map((value) => ({ line, body: { ...body, [field]: value } }))),
    );
    const taken: object[] = [];
    await inLanes(LANES, attacks.length, async (i) => {
      const { line, body } = attacks[i]!;
      const status = await send(bodyOf(line, body));
      if (status !== 400) taken.push({ line, body, status });
    });
    expect(taken).toEqual([]);
    expect(attacks.length).toBeGreaterThan(200);
  });

  it(`T19: of ${OPERATOR_RUNS} operators, expressions and prototypes in bodies, queries, paths and headers none is taken for more than a text`, async () => {
    const nested: fc.Arbitrary<unknown> = fc.oneof(
      fc.constantFrom(...NO_TEXT),
      fc.tuple(fc.constantFrom(...OPERATOR_KEYS), fc.jsonValue({ maxDepth: 2 })).map(([key, value]) => ({ [key]: value })),
      fc.array(fc.constantFrom(...OPERATOR_TEXT), { maxLength: 3 }),
    );
    const hostile = fc.oneof(fc.constantFrom(...OPERATOR_TEXT), fc.tuple(fc.constantFrom(...OPERATOR_TEXT), fc.string({ maxLength: 20 })).map((parts) => parts.join('')));
    const spelled = hostile.map((text) => encodeURIComponent(text));
    const fieldOf = fc.constantFrom(...Object.entries(bodies).flatMap(([line, body]) => Object.keys(body).map((field) => ({ line, field }))));
    interface Attack {
      request: Request;
      /** Refused by its form alone. */
      bad: boolean;
    }
    const get = (path: string, query = '', headers = {}): Attack => ({
      request: { ...plain, line: `GET ${path}`, path, query, headers, body: null },
      bad: false,
    });
    const LISTS = ['/v1/admin/security-events', '/v1/admin/users', '/v1/security/events'];
    const attack: fc.Arbitrary<Attack> = fc.oneof(
      fc.tuple(fieldOf, nested).map(([{ line, field }, value]) => ({ request: bodyOf(line, { ...bodies[line], [field]: value }), bad: true })),
      // A password may be any text: with one of these somebody would rightly be registered.
      fc.tuple(fieldOf.filter(({ line, field }) => line !== 'POST /v1/auth/register' || field !== 'password'), hostile).map(([{ line, field }, value]) => ({ request: bodyOf(line, { ...bodies[line], [field]: value }), bad: false })),
      // A field of our own beside the right ones, spelled as JSON may spell it.
      fc.tuple(fc.constantFrom(...Object.keys(bodies)), fc.constantFrom(...OPERATOR_KEYS, 'email[$ne]'), fc.jsonValue({ maxDepth: 1 })).map(([line, key, value]) => {
        const text = JSON.stringify(bodies[line]).replace(/}$/, `,${JSON.stringify(key)}:${JSON.stringify(value)}}`);
        return { request: { ...bodyOf(line, {}), body: Buffer.from(text) }, bad: true };
      }),
      fc.tuple(fc.constantFrom(...LISTS), fc.constantFrom('userId', 'device', 'address', 'type', 'cursor', 'from', 'limit'), fc.constantFrom('', '[$ne]', '[$regex]', '[]', '.$gt'), spelled).map(([path, name, suffix, value]) =>
        get(path, `?${encodeURIComponent(name + suffix)}=${value}`)),
      fc.tuple(fc.constantFrom('/v1/face/attempts/', '/v1/privacy/erasures/'), spelled).map(([path, id]) => get(path + id)),
      fc.tuple(fc.constantFrom('user-agent', 'x-device-model', 'accept-language', 'idempotency-key', 'x-request-id', 'cookie', 'origin', 'sec-ch-ua-model'), fc.constantFrom(...OPERATOR_TEXT)).map(([name, value]) =>
        get('/v1/auth/session', '', { [name]: value })),
    );
    const attacks = fc.sample(attack, OPERATOR_RUNS);
    const users = await world.db.collection('users').countDocuments();
    const counts: Record<string, number> = {};
    const taken: object[] = [];
    await inLanes(LANES, attacks.length, async (i) => {
      const { request, bad } = attacks[i]!;
      const status = await send(request);
      counts[String(status)] = (counts[String(status)] ?? 0) + 1;
      const fault = status !== null && status >= 500 && status !== 503;
      // Reading lists and the session is allowed; a write that goes through has understood something else.
      const through = status !== null && status < 300 && !request.line.startsWith('GET');
      if (fault || through || (bad && status !== 400 && status !== 503)) taken.push({ ...request, body: request.body?.toString(), status });
    });
    process.stderr.write(`T19: ${OPERATOR_RUNS} requests: ${JSON.stringify(counts)}\n`);
    expect(taken).toEqual([]);
    expect(counts['400']).toBeGreaterThan(OPERATOR_RUNS / 3);
    expect(await world.db.collection('users').countDocuments()).toBe(users);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(await world.db.collection('users').countDocuments({ email: { $type: ['object', 'array', 'number'] } })).toBe(0);
  }); // prettier-ignore
});
