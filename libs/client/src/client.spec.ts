import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Introspection } from './api.js';
import { CountersignClient } from './client.js';
import { ACR, type Demand, insufficientAuthentication, meets } from './demand.js';
import { CountersignError, CountersignUnreachableError } from './errors.js';

interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

describe('the client (a real HTTP server)', () => {
  let server: Server;
  let replies: Reply[];
  let seen: { method?: string; url?: string; headers: IncomingMessage['headers']; body: string }[];
  const credentials = { clientId: 'id', secret: 'se:cret' };

  beforeEach(async () => {
    [replies, seen] = [[], []];
    server = createServer((request, response) => {
      let body = '';
      request.setEncoding('latin1').on('data', (text: string) => (body += text));
      request.on('end', () => {
        seen.push({ method: request.method, url: request.url, headers: request.headers, body });
        const reply = replies.shift();
        if (!reply) return; // Never answers.
        const text = typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body ?? '');
        response.writeHead(reply.status, reply.headers).end(reply.status === 204 ? '' : text);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  const client = (o: { retries?: number; timeoutMs?: number } = {}) =>
    new CountersignClient({
      baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      credentials,
      ...o,
    });
  const busy = (seconds: string): Reply => ({
    status: 503,
    headers: { 'retry-after': seconds },
    body: { code: 'busy' },
  });

  it('asks about a session with its own credentials', async () => {
    replies = [{ status: 200, body: { active: false } }];
    expect(await client().introspect('token')).toEqual({ active: false });
    expect(seen[0]).toMatchObject({ method: 'POST', url: '/v1/sessions/introspect', body: '{"token":"token"}' });
    expect(seen[0]?.headers.authorization).toBe(`Basic ${Buffer.from('id:se:cret').toString('base64')}`);
  });

  it('has a token made for a client, with the token of the session', async () => {
    replies = [{ status: 201, body: { token: 'cst_x', expiresAt: '', clientId: 'c' } }];
    expect(await client().tokenFor('t', 'c')).toMatchObject({ token: 'cst_x' });
    expect(seen[0]).toMatchObject({ method: 'POST', url: '/v1/sessions/tokens', body: '{"clientId":"c"}' });
    expect(seen[0]?.headers.authorization).toBe('Bearer t');
  });

  it('sends frames as they are, to the step they belong to', async () => {
    replies = [{ status: 202, body: { status: 'deciding' } }, { status: 204 }];
    const frames = Uint8Array.from([0, 255, 216, 13, 10]);
    expect(await client().sendStep('t', 'a/b', 2, frames)).toEqual({ status: 'deciding' });
    expect(seen[0]).toMatchObject({ url: '/v1/face/attempts/a%2Fb/steps/2', body: '\u0000ÿØ\r\n' });
    expect(seen[0]?.headers).toMatchObject({ 'content-type': 'application/octet-stream', authorization: 'Bearer t' });
    expect(await client().cancelAttempt('t', 'a')).toBeUndefined();
  });

  it('throws refusals with their code, their numbers and what to wait for', async () => {
    replies = [{ status: 423, headers: { 'retry-after': '1740' }, body: { code: 'face_locked', minutes: 29 } }];
    const error = await client().beginAttempt('t').catch((thrown: unknown) => thrown); // prettier-ignore
    expect(error).toBeInstanceOf(CountersignError);
    expect(error).toMatchObject({
      status: 423,
      code: 'face_locked',
      retryAfterSeconds: 1740,
      problem: { minutes: 29 },
    });
    expect(seen).toHaveLength(1);
  });

  it('asks again after a 503, when it says when, as often as it may', async () => {
    replies = [busy('0'), { status: 503, headers: { 'retry-after': '1' }, body: '<html>' }, { status: 200, body: { active: false } }]; // prettier-ignore
    const from = performance.now();
    expect(await client().introspect('t')).toEqual({ active: false });
    expect(performance.now() - from).toBeGreaterThan(950);
    replies = [busy('0'), busy('0'), busy('0')];
    await expect(client({ retries: 2 }).introspect('t')).rejects.toMatchObject({ code: 'busy' });
    expect(replies).toEqual([]);
    replies = [busy('3600'), { status: 503, body: { code: 'unavailable' } }];
    await expect(client().introspect('t')).rejects.toMatchObject({ retryAfterSeconds: 3600 });
    await expect(client().introspect('t')).rejects.toMatchObject({ code: 'unavailable', retryAfterSeconds: null });
  });

  it('never takes silence, nonsense or a redirect for an answer', async () => {
    const away = new CountersignClient({ baseUrl: 'http://127.0.0.1:1', credentials });
    await expect(away.introspect('t')).rejects.toThrow(CountersignUnreachableError);
    await expect(client({ timeoutMs: 100 }).introspect('t')).rejects.toThrow(CountersignUnreachableError);
    replies = [{ status: 200, body: 'not JSON' }, { status: 502, body: '<html>' }, { status: 302, headers: { location: '/' } }]; // prettier-ignore
    for (let i = 0; i < 3; i++) await expect(client().introspect('t')).rejects.toThrow(CountersignUnreachableError);
  });
});

describe('what an action asks', () => {
  const now = Date.parse('2026-11-23T12:00:00Z');
  const secondsAgo = (seconds: number): string => new Date(now - seconds * 1_000).toISOString();
  /** Levels, highest first, with the seconds since each was shown. */
  const session = (...levels: [acr: (typeof ACR)[keyof typeof ACR], at: number | string][]): Introspection => ({
    active: true,
    sub: 'u',
    acr: levels[0]?.[0] ?? ACR.pwd,
    amr: [],
    authTime: secondsAgo(14_400),
    faceAuthTime: null,
    levels: levels.map(([acr, at]) => ({ acr, at: typeof at === 'string' ? at : secondsAgo(at) })),
    clientId: 'c',
  });
  const pwd = (seconds: number): [typeof ACR.pwd, number] => [ACR.pwd, seconds];
  const transfer = { acrValues: [ACR.face], maxAge: 300 };
  const code = { acrValues: [ACR.recovery], maxAge: 300 };
  const password = { acrValues: [ACR.pwd], maxAge: 300 };
  const of01 = { acrValues: ['urn:countersign:pwd+otp'] } as const;

  it.each<[string, Introspection, Demand, boolean]>([
    ['no session', { active: false }, transfer, false],
    ['a password', session(pwd(10)), transfer, false],
    ['a mailed code, fresh', session([ACR.recovery, 10], pwd(10)), transfer, false],
    ['a time that is none', session([ACR.face, 'yesterday'], pwd(10)), transfer, false],
    ['a time of tomorrow', session([ACR.face, -61], pwd(10)), transfer, false],
    ['a clock that is a minute ahead', session([ACR.face, -60], pwd(10)), transfer, true],
    ['a face of 300 s ago', session([ACR.face, 300], pwd(10)), transfer, true],
    ['a face of 300.001 s ago', session([ACR.face, 300.001], pwd(10)), transfer, false],
    ['a code after an old face', session([ACR.face, 301], [ACR.recovery, 10], pwd(400)), transfer, false],
    ['an old face where any will do', session([ACR.face, 90_000], pwd(90_000)), { acrValues: [ACR.face] }, true],
    ['a code where it will do', session([ACR.recovery, 10], pwd(10)), { acrValues: [ACR.recovery, ACR.face] }, true],
    ['a code of 300 s ago', session([ACR.recovery, 300], pwd(4_000)), code, true],
    ['a code of 301 s ago, the password since', session([ACR.recovery, 301], pwd(10)), code, false],
    ['a face where a code is asked for', session([ACR.face, 10], pwd(10)), code, false],
    ['a password of 300 s ago', session(pwd(300)), password, true],
    ['a password of 301 s ago', session(pwd(301)), password, false],
    ['a password of 301 s ago, a face since', session([ACR.face, 10], pwd(301)), password, false],
    ['a password of 300 s ago beside a face', session([ACR.face, 4], pwd(300)), password, true],
    ['the name of 0.1, by a code', session([ACR.recovery, 10], pwd(10)), of01, true],
    ['the name of 0.1, by a password', session(pwd(10)), of01, false],
  ])('%s', (_, given, demand, expected) => {
    expect(meets(given, demand, now)).toBe(expected);
  });

  it("names the levels by today's names", () => {
    const demand: Demand = { acrValues: ['urn:countersign:pwd+otp', ACR.recovery, ACR.face] };
    expect(insufficientAuthentication(demand)).toContain(
      'acr_values="urn:countersign:pwd+recovery urn:countersign:pwd+face"',
    );
  });

  it('is said as RFC 9470 has it', () => {
    expect(insufficientAuthentication(transfer)).toBe(
      'Bearer error="insufficient_user_authentication", error_description="A higher or more recent authentication is needed", acr_values="urn:countersign:pwd+face", max_age="300"',
    );
  });
});
