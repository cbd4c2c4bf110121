import { randomBytes, randomUUID } from 'node:crypto';
import { type Answer, ApiClient, inLanes } from '#testing';
import { GatewayWorld, PASSWORD, patiently, sleep } from './gateway-world.js';

jest.setTimeout(600_000);

const GUESSES = 1_000;
const ARGON2_MAX = 100;
const OFFICE = 500;
const OF_DEVICE = 10;
const NEXT = 'another long enough password';

const anywhere = (): string => `10.${[...randomBytes(3)].join('.')}`;

/** The one cookie that an answer sets, as a client sends it back. */
function cookieOf(answer: Answer): string {
  const set = answer.headers.get('set-cookie') ?? '';
  expect(set).toMatch(/^__Host-countersign-known=[\w.~-]+; Path=\/; Max-Age=\d+; Secure; HttpOnly; SameSite=Lax$/);
  return set.split(';')[0] ?? '';
}

describe('limits on logins neither lock the owner out nor let anybody in (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ TRUSTED_PROXIES: '127.0.0.1' });
  });
  afterAll(() => world?.stop());

  const from = (address: string, cookie?: string): ApiClient =>
    new ApiClient(world.url, 'Pixel 9', { 'x-forwarded-for': address, ...(cookie ? { cookie } : {}) });
  const login = (email: string, password: string, cookie?: string, address = anywhere()): Promise<Answer> =>
    patiently(() => from(address, cookie).login(email, password));
  /** Strangers use up what they may, each from another address. */
  const exhaust = async (email: string): Promise<void> => {
    const answers = await inLanes(10, 60, () => login(email, 'not the password'));
    expect(answers.map(({ status }) => status)).toContain(429);
    expect(await login(email, PASSWORD)).toMatchObject({ status: 429 });
  };
  const person = async () => {
    const account = await world.account({ consent: false });
    return { ...account, cookie: cookieOf(await login(account.email, PASSWORD)) };
  };
  const link = async ({ email, userId }: { email: string; userId: string }): Promise<string> => {
    const mails = () => world.db.collection('mails').countDocuments({ userId, template: 'login_link' });
    const before = await mails();
    expect(await patiently(() => from(anywhere()).post('/v1/auth/login/link', { email }))).toMatchObject({
      status: 202,
    });
    for (let i = 0; i < 200 && (await mails()) === before; i++) await sleep(50);
    return world.mailSecret(userId, 'login_link');
  };
  const enter = (token: string, password: string) =>
    from(anywhere()).post('/v1/auth/login/link/confirm', { token, password });

  it(`http B1: of ${GUESSES} guesses from as many addresses at most ${ARGON2_MAX} are looked at, and the owner enters both ways`, async () => {
    const owner = await person();
    // What a busy machine answers with 503 is sent again; it has been counted, whether or not it was looked at.
    const guesses = await inLanes(16, GUESSES, (i) => login(owner.email, `wrong password ${i}`));
    const looked = guesses.filter(({ status }) => status === 401).length;
    expect(looked).toBeGreaterThan(0);
    expect(looked).toBeLessThanOrEqual(ARGON2_MAX);
    expect(guesses.filter(({ status }) => status === 429)).toHaveLength(GUESSES - looked);
    expect(await login(owner.email, PASSWORD)).toMatchObject({ status: 429 });

    expect(await login(owner.email, PASSWORD, owner.cookie)).toMatchObject({ status: 200 });
    const entered = await enter(await link(owner), PASSWORD);
    expect(entered).toMatchObject({ status: 200 });
    expect(await login(owner.email, PASSWORD, cookieOf(entered))).toMatchObject({ status: 200 });
    // Who is in already is not kept from his password either.
    const change = { currentPassword: PASSWORD, newPassword: NEXT };
    const changed = await patiently(() => owner.client.put('/v1/auth/password', change));
    expect(changed).toMatchObject({ status: 204 });
    expect(await login(owner.email, NEXT, cookieOf(changed))).toMatchObject({ status: 200 });
    // Void once the password was renewed: its holder is a stranger.
    expect(await login(owner.email, NEXT, owner.cookie)).toMatchObject({ status: 429 });
  });

  it('http B1: a link is for one try, right or wrong, and only with the password', async () => {
    const owner = await person();
    await exhaust(owner.email);
    const token = await link(owner);
    expect(await enter(token, 'not the password')).toMatchObject({
      status: 401,
      body: { code: 'invalid_credentials' },
    });
    expect(await enter(token, PASSWORD)).toMatchObject({ status: 400, body: { code: 'token_invalid' } });
    expect(await enter('A'.repeat(43), PASSWORD)).toMatchObject({ status: 400, body: { code: 'token_invalid' } });
    const [first, second] = [await link(owner), await link(owner)];
    expect(await enter(first, PASSWORD)).toMatchObject({ status: 200 });
    expect(await enter(second, PASSWORD)).toMatchObject({ status: 200 });
  });

  it('http B1: links that strangers ask for are the owner’s to use, and other mails do not use them up', async () => {
    const owner = await person();
    await exhaust(owner.email);
    for (let i = 0; i < 8; i++)
      await patiently(() => from(anywhere()).post('/v1/auth/password/reset', { email: owner.email }));
    const token = await link(owner);
    for (let i = 0; i < 8; i++)
      await patiently(() => from(anywhere()).post('/v1/auth/login/link', { email: owner.email }));
    expect(
      await world.db.collection('mails').countDocuments({ userId: owner.userId, template: 'login_link' }),
    ).toBeLessThanOrEqual(5);
    expect(await enter(token, PASSWORD)).toMatchObject({ status: 200 });
  });

  it('http B1: whoever resets the password enters at once from where that was done', async () => {
    const owner = await person();
    await exhaust(owner.email);
    await patiently(() => from(anywhere()).post('/v1/auth/password/reset', { email: owner.email }));
    const mails = () =>
      world.db.collection('mails').countDocuments({ userId: owner.userId, template: 'password_reset' });
    for (let i = 0; i < 200 && (await mails()) === 0; i++) await sleep(50);
    const token = await world.mailSecret(owner.userId, 'password_reset');
    const done = await from(anywhere()).post('/v1/auth/password/reset/confirm', { token, newPassword: NEXT });
    expect(done).toMatchObject({ status: 204 });
    expect(await login(owner.email, NEXT, owner.cookie)).toMatchObject({ status: 429 });
    expect(await login(owner.email, NEXT, cookieOf(done))).toMatchObject({ status: 200 });
  });

  it('a stolen cookie opens nothing: ten wrong passwords, and nothing for another account, changed or made up', async () => {
    const [owner, other] = [await person(), await person()];
    await exhaust(owner.email);
    const [name = '', value = ''] = owner.cookie.split('=');
    const strangers = [
      other.cookie,
      `${name}=${value.replace(/^\d+/, (epoch) => String(Number(epoch) + 1))}`,
      `${name}=${value.slice(0, -1)}${value.endsWith('A') ? 'B' : 'A'}x`,
      `${name}=~~~~`,
      `${name}=0.${Math.floor(Date.now() / 1_000)}.${'A'.repeat(16)}.${'A'.repeat(43)}`,
    ];
    for (const cookie of strangers) expect(await login(owner.email, PASSWORD, cookie)).toMatchObject({ status: 429 });
    // Entering again is no way to a second budget.
    const again = cookieOf(await login(owner.email, PASSWORD, owner.cookie));
    const wrong: number[] = [];
    for (let i = 0; i < OF_DEVICE + 3; i++)
      wrong.push((await from(anywhere(), i % 2 ? again : owner.cookie).login(owner.email, 'not the password')).status);
    expect(wrong.filter((status) => status === 401).length).toBeLessThanOrEqual(OF_DEVICE);
    expect(wrong.at(-1)).toBe(429);
    expect(await login(owner.email, PASSWORD, again)).toMatchObject({ status: 429 });
    expect(await enter(await link(owner), PASSWORD)).toMatchObject({ status: 200 });
  });

  it('people who share a browser stay known, the latest five', async () => {
    const people = [];
    for (let i = 0; i < 6; i++) people.push(await world.account({ consent: false }));
    let cookie: string | undefined;
    for (const { email } of people) cookie = cookieOf(await login(email, PASSWORD, cookie));
    const [first, second] = people;
    await exhaust(String(first?.email));
    await exhaust(String(second?.email));
    expect(await login(String(first?.email), PASSWORD, cookie)).toMatchObject({ status: 429 });
    expect(await login(String(second?.email), PASSWORD, cookie)).toMatchObject({ status: 200 });
  });

  it('http B1, T17: an account that nobody has is throttled and answered as one that somebody has', async () => {
    const owner = await person();
    const shown = ({ status, headers, text }: Answer): string => {
      const kept = [...headers].filter(
        ([name]) => !['date', 'x-request-id', 'retry-after', 'content-length'].includes(name),
      );
      return JSON.stringify([status, kept, text.replace(/"(retryAfter\w*|requestId|instance)":\s*("[^"]*"|\d+)/g, '')]);
    };
    const told = async (email: string): Promise<string[]> => {
      const answers: Answer[] = [];
      for (let i = 0; i < 60; i++) answers.push(await login(email, 'not the password', owner.cookie));
      answers.push(await login(email, PASSWORD, 'x=y'));
      answers.push(await patiently(() => from(anywhere()).post('/v1/auth/login/link', { email })));
      return [...new Set(answers.map(shown))];
    };
    const somebody = await world.account({ consent: false });
    expect(await told(somebody.email)).toEqual(await told(`${randomUUID()}@example.org`));
  });

  it(`http B3: ${OFFICE} people behind one address mistype once each and all come in`, async () => {
    const { email, userId } = await world.account({ consent: false });
    const [users, guards] = [
      world.db.collection<{ _id: string }>('users'),
      world.db.collection<{ _id: string }>('face_guards'),
    ];
    const [user, guard] = [await users.findOne({ _id: userId }), await guards.findOne({ _id: userId })];
    const office = Array.from({ length: OFFICE }, (_, i) => ({ _id: randomUUID(), email: `p${i}.${email}` }));
    await users.insertMany(office.map((one) => ({ ...user, ...one })));
    await guards.insertMany(office.map(({ _id }) => ({ ...guard, _id })));
    const address = anywhere();
    const statuses = await inLanes(16, OFFICE, async (i) => {
      const one = office[i]?.email ?? '';
      const wrong = (await login(one, 'not the password', undefined, address)).status;
      return [wrong, (await login(one, PASSWORD, undefined, address)).status].join();
    });
    expect([...new Set(statuses)]).toEqual(['401,200']);
  });
});

describe('a network that sprays (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ TRUSTED_PROXIES: '127.0.0.1', LOGIN_ACCOUNTS_PER_NETWORK: '5' });
  });
  afterAll(() => world?.stop());

  it('http B3: is throttled, and known devices in it come in', async () => {
    const address = anywhere();
    const { email } = await world.account({ consent: false });
    const login = (o: { email: string; password: string; address?: string; cookie?: string }): Promise<Answer> => {
      const headers = { 'x-forwarded-for': o.address ?? address, ...(o.cookie ? { cookie: o.cookie } : {}) };
      return patiently(() => new ApiClient(world.url, 'Pixel 9', headers).login(o.email, o.password));
    };
    const cookie = cookieOf(await login({ email, password: PASSWORD }));
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++)
      statuses.push((await login({ email: `${randomUUID()}@example.org`, password: PASSWORD })).status);
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(5);
    expect(statuses.at(-1)).toBe(429);
    expect(await login({ email, password: PASSWORD })).toMatchObject({ status: 429 });
    expect(await login({ email, password: PASSWORD, cookie })).toMatchObject({ status: 200 });
    expect(await login({ email, password: PASSWORD, address: anywhere() })).toMatchObject({ status: 200 });
  });
});
