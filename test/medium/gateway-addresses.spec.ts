import { randomInt, randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { OutboxEvent } from '#contracts';
import { inLanes } from '#testing';
import { GatewayWorld, giveConsent, GOOD, MISMATCH, PASSWORD } from './gateway-world.js';

jest.setTimeout(240_000);

const REQUESTS = 10_000;
const CONNECTIONS = 20;
/** Tries at a password before the throttle: of one account from one address, and accounts tried from one address. */
const OF_PAIR = 10;
const ACCOUNTS_OF_ADDRESS = 100;
const PROXY = '127.0.0.1';
const [DIRECT, BEHIND] = ['127.0.0.2', '127.0.0.3'];

interface Reply {
  status: number;
  text: string;
  /** All but what differs between any two answers. */
  headers: string;
}

/** A proxy as they are: it adds the peer it sees to whatever list the client sent. */
async function startProxy(target: string): Promise<http.Server> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const server = http.createServer((request, response) => {
    const given = request.headers['x-forwarded-for'];
    const forwarded = [given, request.socket.remoteAddress].flat().filter(Boolean).join(', ');
    const headers = { ...request.headers, 'x-forwarded-for': forwarded };
    const onward = http.request(
      target + (request.url ?? ''),
      { method: request.method, headers, agent, localAddress: PROXY },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    request.pipe(onward);
  });
  server.on('close', () => agent.destroy());
  await new Promise<void>((resolve) => server.listen(0, PROXY, resolve));
  return server;
}

/** What a client writes who wants to be somebody else each time, now and then the trusted proxy itself. */
function randomAddresses(): string {
  const one = (): string =>
    randomInt(10) === 0 ? PROXY : Array.from({ length: 4 }, () => randomInt(1, 255)).join('.');
  return Array.from({ length: randomInt(1, 4) }, one).join(', ');
}

describe('addresses and names that a client makes up (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  let proxy: http.Server;
  const agents: http.Agent[] = [];
  beforeAll(async () => {
    world = await GatewayWorld.start({
      TRUSTED_PROXIES: `${PROXY}/32`,
      LOGIN_ACCOUNTS_PER_NETWORK: String(ACCOUNTS_OF_ADDRESS),
    });
    proxy = await startProxy(world.url);
  });
  afterAll(async () => {
    for (const agent of agents) agent.destroy();
    await new Promise((resolve) => proxy?.close(resolve));
    await world?.stop();
  });

  const poster = (base: string, localAddress: string) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
    agents.push(agent);
    return (path: string, body: object): Promise<Reply> =>
      new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'x-forwarded-for': randomAddresses() };
        const request = http.request(base + path, { method: 'POST', headers, agent, localAddress }, (answer) => {
          let text = '';
          answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          answer.on('end', () => {
            const { date: _date, 'x-request-id': _id, ...rest } = answer.headers;
            resolve({ status: answer.statusCode ?? 0, text, headers: JSON.stringify(rest) });
          });
        });
        request.on('error', reject);
        request.end(JSON.stringify(body));
      });
  };
  /**
   * How often each status came, of so many requests over all connections. A busy machine answers a few with 503: they are
   * sent again, as clients do, and at most five, or one in a hundred, may be.
   */
  const tally = async (
    count: number,
    send: () => Promise<Reply>,
  ): Promise<{ counts: Record<number, number>; resent: number }> => {
    const resentMax = Math.max(5, count / 100);
    let resent = 0;
    const statuses = await inLanes(CONNECTIONS, count, async () => {
      for (;;) {
        const { status } = await send();
        if (status !== 503 || ++resent > resentMax) return status;
      }
    });
    expect(resent).toBeLessThanOrEqual(resentMax);
    const counts: Record<number, number> = {};
    for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1;
    return { counts, resent };
  };
  /** So many tries were looked at, less those whose answer was a 503 after they had been counted; all others throttled. */
  const expectThrottled = ({ counts, resent }: Awaited<ReturnType<typeof tally>>, looked: number, of: number): void => {
    const tried = counts[401] ?? 0;
    expect(tried).toBeLessThanOrEqual(looked);
    expect(tried).toBeGreaterThanOrEqual(looked - resent);
    expect(counts).toEqual({ 401: tried, 429: of - tried });
  };

  describe.each([
    ['directly', DIRECT, () => world.url],
    ['behind a trusted proxy', BEHIND, () => `http://${PROXY}:${(proxy.address() as AddressInfo).port}`],
  ])('T18 %s', (_, address, base) => {
    it(`${REQUESTS} tries from as many made-up addresses are throttled as one, and the peer is on record`, async () => {
      const post = poster(base(), address);
      const account = await world.account({ consent: false });
      expect(await post('/v1/auth/login', { email: account.email, password: PASSWORD })).toMatchObject({ status: 200 });
      const guess = { email: account.email, password: 'not the password' };
      expectThrottled(await tally(REQUESTS, () => post('/v1/auth/login', guess)), OF_PAIR, REQUESTS);
      // The throttle of the account itself is far away: its owner gets in from elsewhere.
      expect(await world.client().login(account.email, PASSWORD)).toMatchObject({ status: 200 });

      const others = ACCOUNTS_OF_ADDRESS - 1;
      const anybody = () => post('/v1/auth/login', { email: `${randomUUID()}@example.org`, password: PASSWORD });
      expectThrottled(await tally(others + 50, anybody), others, others + 50);

      const { outbox } = (await world.guard(account.userId)) as { outbox: { event?: OutboxEvent }[] };
      const logins = outbox.flatMap(({ event }) => (event?.type === 'login_ok' ? [event] : []));
      const from = await Promise.all(logins.map(async (event) => (await world.personal(event)).ipAddress));
      expect(from).toEqual([PROXY, address, PROXY]);
    });
  });

  it('T17 unknown, wrong, locked, unenrolled and disabled are one answer, byte for byte', async () => {
    const [known, unenrolled, locked, disabled] = await Promise.all([
      world.enrolled(),
      world.account({ consent: false }),
      world.enrolled(),
      world.account(),
    ]);
    await giveConsent(disabled.client);
    for (let i = 0; i < 3; i++) await world.capture(locked.client, 'attempts', MISMATCH);
    expect(await world.capture(locked.client, 'attempts', GOOD)).toMatchObject({ status: 423 });
    await world.db
      .collection<{ _id: string }>('users')
      .updateOne({ _id: disabled.userId }, { $set: { disabled: true } });
    const emails = [known, unenrolled, locked, disabled].map(({ email }) => email);
    const asked = [...emails, `${randomUUID()}@example.org`];
    const post = poster(world.url, '127.0.0.4');
    for (const [path, more, status] of [
      ['/v1/auth/login', { password: 'not the password' }, 401],
      ['/v1/auth/password/reset', {}, 202],
    ] as const) {
      const replies = await Promise.all(asked.map((email) => post(path, { email, ...more })));
      expect(new Set(replies.map((reply) => JSON.stringify(reply))).size).toBe(1);
      expect(replies[0]?.status).toBe(status);
    }
    // A disabled account does not tell even whoever knows its password.
    const right = await post('/v1/auth/login', { email: disabled.email, password: PASSWORD });
    const wrong = await post('/v1/auth/login', { email: `${randomUUID()}@example.org`, password: PASSWORD });
    expect(right).toEqual(wrong);
  });
});
