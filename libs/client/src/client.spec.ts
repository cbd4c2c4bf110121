import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Introspection } from './api.js';
import { CountersignClient } from './client.js';
import { ACR, insufficientAuthentication, meets } from './demand.js';
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
  const session = (acr: string, faceAuthTime: string | null): Introspection => ({
    active: true,
    sub: 'u',
    acr: acr as (typeof ACR)['pwd'],
    amr: [],
    authTime: '2026-11-23T08:00:00Z',
    faceAuthTime,
    clientId: 'c',
  });
  const transfer = { acrValues: [ACR.face], maxAge: 300 };

  it.each([
    ['no session', { active: false } as const, transfer, false],
    ['a password', session(ACR.pwd, null), transfer, false],
    ['a mailed code', session(ACR.otp, null), transfer, false],
    ['a level with a face that was never shown', session(ACR.face, null), transfer, false],
    ['a time that is none', session(ACR.face, 'yesterday'), transfer, false],
    ['a face of 300 s ago', session(ACR.face, '2026-11-23T11:55:00.000Z'), transfer, true],
    ['a face of 300.001 s ago', session(ACR.face, '2026-11-23T11:54:59.999Z'), transfer, false],
    ['an old face where any will do', session(ACR.face, '2026-11-22T11:00:00Z'), { acrValues: [ACR.face] }, true],
    ['a mailed code where it will do', session(ACR.otp, null), { acrValues: [ACR.otp, ACR.face] }, true],
    ['a mailed code, fresh, where a face must be', session(ACR.otp, '2026-11-23T12:00:00Z'), transfer, false],
  ])('%s', (_, given, demand, expected) => {
    expect(meets(given, demand, now)).toBe(expected);
  });

  it('is said as RFC 9470 has it', () => {
    expect(insufficientAuthentication(transfer)).toBe(
      'Bearer error="insufficient_user_authentication", error_description="A higher or more recent authentication is needed", acr_values="urn:countersign:pwd+face", max_age="300"',
    );
  });
});
