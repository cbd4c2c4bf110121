import { randomUUID } from 'node:crypto';
import { ApiClient } from '#testing';
import { GatewayWorld, PASSWORD, patiently, sleep } from './gateway-world.js';

jest.setTimeout(300_000);

const NEXT = 'another long enough password';
const HOME = '192.0.2.7';

describe('B14: a login from a device or network that is new to the account is told (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ TRUSTED_PROXIES: '127.0.0.1' });
  });
  afterAll(() => world?.stop());

  const users = () => world.db.collection<{ _id: string; knownPlaces?: string[] }>('users');
  const from = (address: string, device = 'Pixel 9'): ApiClient =>
    new ApiClient(world.url, device, { 'x-forwarded-for': address });
  interface Person {
    email: string;
    userId: string;
  }
  const person = async (): Promise<Person> => {
    const email = `${randomUUID()}@example.org`;
    const made = await patiently(() => from(HOME).post('/v1/auth/register', { email, password: PASSWORD }));
    expect(made).toMatchObject({ status: 201 });
    return { email, userId: String(made.body.userId) };
  };
  const login = async ({ email }: Person, address = HOME, device = 'Pixel 9', password = PASSWORD) => {
    const client = from(address, device);
    expect(await patiently(() => client.login(email, password))).toMatchObject({ status: 200 });
    return client;
  };
  /** What the mails so far say is new, oldest first. */
  const told = async ({ userId }: Person): Promise<unknown[]> => {
    const rows = await world.db.collection('mails').find({ userId, template: 'login_new' }).sort({ createdAt: 1 }).toArray(); // prettier-ignore
    return rows.map(({ params }) => (params as { fresh: string }).fresh);
  };
  const logins = async ({ userId }: Person): Promise<unknown[]> => {
    const { outbox } = (await world.guard(userId)) as { outbox: { event?: { type: string; detail?: { newPlace?: string[] } } }[] }; // prettier-ignore
    return outbox.flatMap(({ event }) => (event?.type === 'login_ok' ? [event.detail?.newPlace ?? null] : []));
  };

  it('once for each: the place where the account was made is none, nor is its neighbourhood', async () => {
    const one = await person();
    await login(one);
    await login(one, '192.0.2.200');
    expect(await told(one)).toEqual([]);
    await login(one, HOME, 'Galaxy S25');
    await login(one, HOME, 'Galaxy S25');
    expect(await told(one)).toEqual(['device']);
    await login(one, '2001:db8:1:2::5');
    await login(one, '2001:db8:1:99::77', 'Galaxy S25');
    expect(await told(one)).toEqual(['device', 'network']);
    await login(one, '203.0.113.9', 'a stolen laptop');
    expect(await told(one)).toEqual(['device', 'network', 'device, network']);
    expect(await logins(one)).toEqual([null, null, ['device'], null, ['network'], null, ['device', 'network']]);
    const row = JSON.stringify(await users().findOne({ _id: one.userId }));
    expect(row).not.toMatch(/192\.0\.2|2001:db8|203\.0\.113|Galaxy|Pixel|laptop/);
  });

  it('at most three an hour; what was not told stays new', async () => {
    const one = await person();
    for (const net of [1, 2, 3, 4, 5]) await login(one, `198.51.${net}.1`);
    expect(await told(one)).toHaveLength(3);
    expect(await logins(one)).toEqual(Array.from({ length: 5 }, () => ['network']));
    await login(one, '198.51.3.1');
    await login(one, '198.51.5.1');
    expect((await logins(one)).slice(5)).toEqual([null, ['network']]);
  });

  it('a password that was changed or reset leaves only the place where that was done', async () => {
    const one = await person();
    const thief = await login(one, '203.0.113.9', 'a stolen laptop');
    expect(await told(one)).toHaveLength(1);
    const owner = await login(one);
    const change = { currentPassword: PASSWORD, newPassword: NEXT };
    expect(await owner.put('/v1/auth/password', change)).toMatchObject({ status: 204 });
    expect(await thief.get('/v1/auth/session')).toMatchObject({ status: 401 });
    await login(one, HOME, 'Pixel 9', NEXT);
    expect(await told(one)).toHaveLength(1);
    await login(one, '203.0.113.9', 'a stolen laptop', NEXT);
    expect(await told(one)).toHaveLength(2);

    expect(await from(HOME).post('/v1/auth/password/reset', { email: one.email })).toMatchObject({ status: 202 });
    const mails = () => world.db.collection('mails').countDocuments({ userId: one.userId, template: 'password_reset' });
    for (let i = 0; i < 100 && (await mails()) === 0; i++) await sleep(50);
    const token = await world.mailSecret(one.userId, 'password_reset');
    const chosen = { token, newPassword: PASSWORD };
    expect(await from(HOME, 'the desk').post('/v1/auth/password/reset/confirm', chosen)).toMatchObject({ status: 204 });
    await login(one, HOME, 'the desk');
    expect(await told(one)).toHaveLength(2);
    await login(one);
    expect((await told(one)).at(-1)).toBe('device');
  });

  it('an account whose password somebody else typed knows no place; one that is older than the list learns the first', async () => {
    const [typed, older] = [await person(), await person()];
    await users().updateOne({ _id: typed.userId }, { $set: { knownPlaces: [] } });
    await login(typed);
    expect(await told(typed)).toEqual(['device, network']);
    await users().updateOne({ _id: older.userId }, { $unset: { knownPlaces: '' } });
    await login(older);
    await login(older);
    expect(await told(older)).toEqual([]);
    await login(older, HOME, 'another');
    expect(await told(older)).toEqual(['device']);
  });
});
