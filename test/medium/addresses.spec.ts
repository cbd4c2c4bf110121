import { randomBytes, randomUUID } from 'node:crypto';
import type { OutboxEvent } from '#contracts';
import { type Answer, ApiClient } from '#testing';
import { GatewayWorld, PASSWORD, patiently } from './gateway-world.js';

jest.setTimeout(240_000);

const REGISTRATIONS = 3;
const OF_PAIR = 10;
/** A /48 may do four times what a /64 may. */
const SITE_FACTOR = 4;

/** An address that no other test uses. */
const someV4 = (): string => `10.${[...randomBytes(3)].join('.')}`;
const group = (): string => randomBytes(2).toString('hex');
const some48 = (): string => `2001:db8:1${randomBytes(1).toString('hex')}${randomBytes(1).toString('hex').slice(1)}`;
const hexOf = (v4: string): string => {
  const [a = 0, b = 0, c = 0, d = 0] = v4.split('.').map(Number);
  return [(a << 8) | b, (c << 8) | d].map((part) => part.toString(16)).join(':');
};
const port = (): number => 1_024 + (randomBytes(2).readUInt16BE() % 60_000);

describe('the address of a client behind proxies (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({
      TRUSTED_PROXIES: '127.0.0.1,192.0.2.0/24',
      REGISTRATIONS_PER_HOUR: String(REGISTRATIONS),
    });
  });
  afterAll(() => world?.stop());

  const from = (forwarded: string): ApiClient => new ApiClient(world.url, 'Pixel 9', { 'x-forwarded-for': forwarded });
  const register = async (forwarded: string, email = `${randomUUID()}@example.org`): Promise<number> => {
    const { status } = await patiently(() => from(forwarded).post('/v1/auth/register', { email, password: PASSWORD }));
    // What had been made before its answer was lost.
    return status === 409 ? 201 : status;
  };
  const registerAll = async (forwarded: readonly string[]): Promise<number[]> => {
    const statuses: number[] = [];
    for (const one of forwarded) statuses.push(await register(one));
    return statuses;
  };
  const spent = (n: number): number[] => [...Array<number>(REGISTRATIONS).fill(201), ...Array<number>(n).fill(429)];

  it('case 5: an address with ports is one address, however the proxies write it', async () => {
    const v4 = someV4();
    const written = [
      `${v4}:${port()}`,
      `${v4}:${port()}`,
      `::ffff:${v4}`,
      v4,
      `[::ffff:${hexOf(v4)}]:${port()}`,
      `"${v4}:${port()}"`,
      `${v4}:${port()}, 192.0.2.9:${port()}`,
      `198.51.100.7, ${v4}:${port()}, [::ffff:192.0.2.9]:${port()}`,
    ];
    expect(await registerAll(written)).toEqual(spent(written.length - REGISTRATIONS));
    expect(await register(someV4())).toBe(201);
  });

  it('case 5: an IPv6 address with brackets, port, zone or other zeros is one address', async () => {
    const [a, b, c] = [group(), group(), group()];
    const written = [
      `[2001:db8:${a}:${b}::${c}]:4100`,
      `2001:db8:${a}:${b}::${c}`,
      `[2001:DB8:${a}:${b}:0:0:0:${c}]`,
      `2001:0db8:${a}:${b}:0000::${c}%eth0`,
    ];
    expect(await registerAll(written)).toEqual(spent(1));
  });

  it('case 5: what is no address is nobody, and all nobodies are one', async () => {
    expect(await registerAll(['unknown', '_hidden', 'host.internal', 'unknown:80'])).toEqual(spent(1));
  });

  it('http B2: all addresses of a /64 are one, and a /48 has four times as much', async () => {
    const site = some48();
    const network = group();
    const hosts = Array.from({ length: REGISTRATIONS + 2 }, () => `${site}:${network}:${group()}::${group()}`);
    expect(await registerAll(hosts)).toEqual(spent(2));
    // Three were made of twelve (refusals of the /64 do not count for the /48): nine more networks come in, then none.
    const others = Array.from({ length: SITE_FACTOR * REGISTRATIONS }, (_, i) => `${site}:f${i.toString(16)}::1`);
    const statuses = await registerAll(others);
    expect(statuses.filter((status) => status === 201)).toHaveLength((SITE_FACTOR - 1) * REGISTRATIONS);
    expect(statuses.at(-1)).toBe(429);
    expect(await register(`${some48()}:1::1`)).toBe(201);
  });

  it('http B2: 40 wrong passwords of one account from one /64 are as many as one address may try', async () => {
    const site = some48();
    const email = `${randomUUID()}@example.org`;
    expect(await register(someV4(), email)).toBe(201);
    const statuses: number[] = [];
    for (let i = 0; i < 40; i++) {
      const client = from(`[${site}:1:${group()}::${group()}]:${port()}`);
      statuses.push((await patiently(() => client.login(email, 'not the password'))).status);
    }
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(OF_PAIR);
    expect(statuses.filter((status) => status === 401).length).toBeGreaterThanOrEqual(OF_PAIR - 3);
    expect(statuses.at(-1)).toBe(429);
    expect(await patiently(() => from(someV4()).login(email, PASSWORD))).toMatchObject({ status: 200 });
  });

  it('case 5: events name the address and nothing else, or none', async () => {
    const email = `${randomUUID()}@example.org`;
    const v4 = someV4();
    const registered = await patiently(() => from(v4).post('/v1/auth/register', { email, password: PASSWORD }));
    const written = [`${v4}:51001`, `::ffff:${v4}`, '[2001:DB8::1]:4100', 'fe80::1%eth0', 'unknown'];
    for (const one of written) {
      const entered = (): Promise<Answer> => from(one).login(email, PASSWORD);
      expect(await patiently(entered)).toMatchObject({ status: 200 });
    }
    const { outbox } = (await world.guard(String(registered.body.userId))) as { outbox: { event?: OutboxEvent }[] };
    const logins = outbox.flatMap(({ event }) => (event?.type === 'login_ok' ? [event] : []));
    const addresses = await Promise.all(logins.map(async (event) => (await world.personal(event)).ipAddress));
    expect([...new Set(addresses)]).toEqual([v4, '2001:db8::1', 'fe80::1', undefined]);
  });
});
