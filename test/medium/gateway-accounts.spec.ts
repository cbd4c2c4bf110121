import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { Accounts, hashPassword, importUsers, MailRepository } from '#accounts';
import { ACR, type Role } from '#contracts';
import type { ApiClient } from '#testing';
import { RegistrationService } from '../../apps/gateway/src/auth/auth.service.js';
import { EmailService } from '../../apps/gateway/src/auth/email.service.js';
import { GatewayWorld, giveConsent, GOOD, MISMATCH, PASSWORD, sleep } from './gateway-world.js';

jest.setTimeout(60_000);

const NEXT = 'another long password';
const HOUR_MS = 3_600_000;

describe('accounts at the gateway (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  const user = (userId: string) => world.db.collection<{ _id: string }>('users').findOne({ _id: userId });
  const mailed = (userId: string, template: string) =>
    world.db.collection('mails').countDocuments({ userId, template });
  const until = async (done: () => Promise<boolean>): Promise<void> => {
    for (let i = 0; i < 100 && !(await done()); i++) await sleep(50);
    expect(await done()).toBe(true);
  };
  /** An officer at pwd+recovery. */
  const staff = async (...roles: Role[]) => {
    const account = await world.account({ consent: false });
    await world.db
      .collection<{ _id: string }>('users')
      .updateOne({ _id: account.userId }, { $set: { roles: ['user', ...roles] } });
    await world.verifyEmail(account.userId);
    await world.recover(account);
    return account;
  };

  it('C7: mails have the language of the registration or of a mailed link, and no login changes it', async () => {
    const email = `${randomUUID()}@example.org`;
    const send = (path: string, languages: string) =>
      fetch(`${world.url}/v1/auth/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'accept-language': languages },
        body: JSON.stringify({ email, password: PASSWORD }),
      });
    const { userId } = (await (await send('register', 'de-AT,de;q=0.9,en;q=0.5')).json()) as { userId: string };
    expect(await user(userId)).toMatchObject({ locale: 'de' });
    expect((await send('login', 'fr, *;q=0.1')).status).toBe(200);
    expect(await user(userId)).toMatchObject({ locale: 'de' });
    expect((await send('login', 'en-GB')).status).toBe(200);
    expect(await user(userId)).toMatchObject({ locale: 'de' });
    expect(await world.client().post('/v1/auth/password/reset', { email })).toMatchObject({ status: 202 });
    await until(async () => (await mailed(userId, 'password_reset')) === 1);
    const body = JSON.stringify({ token: await world.mailSecret(userId, 'password_reset'), newPassword: NEXT });
    const headers = { 'content-type': 'application/json', 'accept-language': 'en-GB' };
    const reset = await fetch(`${world.url}/v1/auth/password/reset/confirm`, { method: 'POST', headers, body });
    expect(reset.status).toBe(204);
    expect(await user(userId)).toMatchObject({ locale: 'en' });
  });

  it('mails the verification again, and only the last link counts', async () => {
    const { client, userId } = await world.account({ consent: false });
    const first = await world.mailSecret(userId, 'email_verify');
    expect(await client.post('/v1/auth/email/resend')).toMatchObject({ status: 202 });
    expect(await mailed(userId, 'email_verify')).toBe(2);
    expect(await client.post('/v1/auth/email/verify', { token: first })).toMatchObject({ status: 400, body: { code: 'token_invalid' } }); // prettier-ignore
    await world.verifyEmail(userId);
    expect((await client.get('/v1/auth/session')).body).toMatchObject({ emailVerified: true });
    await client.post('/v1/auth/email/resend');
    expect(await mailed(userId, 'email_verify')).toBe(2);
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push((await client.post('/v1/auth/email/resend')).status);
    expect(answers).toContain(429);
  });

  describe('a forgotten password', () => {
    it('is reset by a link that works once; sessions end, the lock of the face stays', async () => {
      const { client, userId, email } = await world.enrolled();
      for (let i = 0; i < 3; i++) await world.capture(client, 'attempts', MISMATCH);
      const locked = (await world.guard(userId)).lockedUntil;
      expect(await world.client().post('/v1/auth/password/reset', { email })).toMatchObject({ status: 202 });
      await until(async () => (await mailed(userId, 'password_reset')) === 1);
      const token = await world.mailSecret(userId, 'password_reset');
      const confirm = '/v1/auth/password/reset/confirm';
      const common = await world.client().post(confirm, { token, newPassword: 'qwerty123456' });
      expect(common).toMatchObject({ status: 400, body: { code: 'password_too_common' } });
      expect(await world.client().post(confirm, { token, newPassword: NEXT })).toMatchObject({ status: 204 });
      expect(await world.client().post(confirm, { token, newPassword: NEXT })).toMatchObject({ status: 400 });
      expect((await client.get('/v1/auth/session')).status).toBe(401);
      expect((await client.login(email, PASSWORD)).status).toBe(401);
      expect((await client.login(email, NEXT)).body).toMatchObject({ acr: ACR.pwd });
      expect(await world.guard(userId)).toMatchObject({ lockedUntil: locked, template: expect.any(Object) as object });
      expect((await client.post('/v1/face/attempts')).status).toBe(423);
    });

    it('is answered the same for an address that nobody has', async () => {
      const { email } = await world.account({ consent: false });
      const answers = await Promise.all(
        [email, `${randomUUID()}@example.org`].map((one) =>
          world.client().post('/v1/auth/password/reset', { email: one }),
        ),
      );
      const seen = answers.map(({ status, text }) => JSON.stringify({ status, text }));
      expect(new Set(seen).size).toBe(1);
    });
  });

  describe('another e-mail address', () => {
    const asked = async () => {
      const account = await world.account({ consent: false });
      const newEmail = `${randomUUID()}@example.org`;
      const ask = { newEmail, currentPassword: PASSWORD };
      expect(await account.client.post('/v1/auth/email/change', ask)).toMatchObject({ status: 202 });
      return { ...account, newEmail };
    };
    const apply = () => world.app.get(EmailService, { strict: false }).applyDue();
    const letHoldPass = (userId: string) =>
      world.db
        .collection<{ _id: string }>('users')
        .updateOne({ _id: userId }, { $set: { 'newEmail.changesAt': new Date(Date.now() - 1_000) } });

    it('counts a day after it was confirmed, with mails to both', async () => {
      const { client, userId, email, newEmail } = await asked();
      const rows = await world.db
        .collection('mails')
        .find({ userId, template: /^email_change_/ })
        .toArray();
      expect(rows.map(({ to, template }) => [String(template), String(to)]).sort()).toEqual([
        ['email_change_confirm', newEmail],
        ['email_change_notice', email],
      ]);
      const token = await world.mailSecret(userId, 'email_change_confirm');
      expect(await world.client().post('/v1/auth/email/change/confirm', { token })).toMatchObject({ status: 204 });
      await apply();
      expect(await user(userId)).toMatchObject({ email });
      const { newEmail: wanted } = (await user(userId)) as unknown as { newEmail: { changesAt: Date } };
      expect(wanted.changesAt.getTime() - Date.now()).toBeGreaterThan(23.9 * HOUR_MS);

      await letHoldPass(userId);
      await apply();
      expect(await user(userId)).toMatchObject({ email: newEmail, emailVerified: true, newEmail: null });
      expect((await client.login(email, PASSWORD)).status).toBe(401);
      expect((await client.login(newEmail, PASSWORD)).status).toBe(200);
      expect(await mailed(userId, 'email_changed')).toBe(1);
      expect(await mailed(userId, 'email_changed_undo')).toBe(1);
      expect(await world.eventTypes(userId)).toContain('email_changed');
    });

    it('is stopped from the old mailbox, also when it was confirmed', async () => {
      const { userId, email } = await asked();
      const confirm = await world.mailSecret(userId, 'email_change_confirm');
      await world.client().post('/v1/auth/email/change/confirm', { token: confirm });
      const token = await world.mailSecret(userId, 'email_change_notice');
      expect(await world.client().post('/v1/auth/email/change/cancel', { token })).toMatchObject({ status: 204 });
      await letHoldPass(userId).catch(() => undefined);
      await apply();
      expect(await user(userId)).toMatchObject({ email, newEmail: null });
      expect(await world.client().post('/v1/auth/email/change/cancel', { token })).toMatchObject({ status: 400 });
    });

    it('that belongs to somebody else comes to nothing, and is not told', async () => {
      const { client, userId } = await world.account({ consent: false });
      const other = await world.account({ consent: false });
      const ask = { newEmail: other.email, currentPassword: PASSWORD };
      expect(await client.post('/v1/auth/email/change', ask)).toMatchObject({ status: 202, text: '' });
      expect(await mailed(userId, 'email_change_confirm')).toBe(0);
      expect(await client.post('/v1/auth/email/change', { ...ask, currentPassword: 'wrong' })).toMatchObject({ status: 401 }); // prettier-ignore
    });
  });

  it("lists one's own sessions and ends one, whatever a stale Redis says", async () => {
    const { client, email } = await world.account({ consent: false });
    const other = world.client('Firefox on the sofa');
    await other.login(email, PASSWORD);
    const stranger = (await world.account({ consent: false })).client;
    const { sessions } = (await client.get('/v1/auth/sessions')).body as { sessions: Record<string, unknown>[] };
    expect(sessions.map(({ current, deviceModel }) => [current, deviceModel]).sort()).toEqual([
      [false, 'Firefox on the sofa'],
      [true, 'Pixel 9'],
    ]);
    const id = String(sessions.find(({ current }) => current === false)?.sessionId);
    expect(await stranger.delete(`/v1/auth/sessions/${id}`)).toMatchObject({ status: 404 });

    const redis = new Redis(world.config.REDIS_URL);
    const keys = await redis.keys('sess:*');
    const copy = await Promise.all(keys.map(async (key) => [key, await redis.get(key)] as const));
    expect(await client.delete(`/v1/auth/sessions/${id}`)).toMatchObject({ status: 204 });
    expect((await other.get('/v1/auth/session')).status).toBe(401);
    for (const [key, value] of copy) if (value !== null) await redis.set(key, value, 'EX', 600);
    redis.disconnect();
    expect((await other.get('/v1/auth/session')).status).toBe(401);
    expect((await client.get('/v1/auth/session')).status).toBe(200);
    expect(await client.delete(`/v1/auth/sessions/${id}`)).toMatchObject({ status: 404 });
  });

  it('gives a new session id at login and at each raise, and the old one is dead (T16)', async () => {
    const account = await world.enrolled();
    const seen = new Set([account.client.token]);
    const fixed = 'A'.repeat(43);
    account.client.token = fixed;
    expect((await account.client.login(account.email, PASSWORD)).status).toBe(200);
    expect(account.client.token).not.toBe(fixed);
    expect(seen.has(account.client.token)).toBe(false);
    const before = account.client.token;
    await world.capture(account.client, 'attempts', GOOD);
    expect(account.client.token).not.toBe(before);
    const old = world.client();
    old.token = before;
    expect((await old.get('/v1/auth/session')).status).toBe(401);
    await world.verifyEmail(account.userId);
    const raised = account.client.token;
    await world.recover(account);
    old.token = raised;
    expect((await old.get('/v1/auth/session')).status).toBe(401);
    expect((await account.client.get('/v1/auth/session')).body).toMatchObject({ acr: ACR.face });
  });

  describe('staff', () => {
    it("invites: the account is its owner's once he has chosen a password by the mailed link", async () => {
      const admin = await staff('admin');
      const email = `${randomUUID()}@example.org`;
      const made = await admin.client.post('/v1/admin/users', { email });
      expect(made).toMatchObject({
        status: 201,
        body: { email, roles: ['user'], state: 'invited', roleRequest: null },
      });
      const userId = String(made.body.userId);
      expect((await world.client().login(email, PASSWORD)).status).toBe(401);
      const first = await world.mailSecret(userId, 'account_invite');
      expect(await admin.client.post('/v1/admin/users', { email })).toMatchObject({ status: 201, body: { userId } });
      const token = await world.mailSecret(userId, 'account_invite');
      const accept = (given: string) =>
        world.client().post('/v1/auth/invitation/accept', { token: given, newPassword: NEXT });
      expect(await accept(first)).toMatchObject({ status: 400, body: { code: 'token_invalid' } });
      expect(await accept(token)).toMatchObject({ status: 200, body: { acr: ACR.pwd } });
      const client = world.client();
      expect((await client.login(email, NEXT)).status).toBe(200);
      expect((await client.get('/v1/auth/session')).body).toMatchObject({ emailVerified: true });
      expect(await admin.client.post('/v1/admin/users', { email })).toMatchObject({ status: 409, body: { code: 'email_taken' } }); // prettier-ignore
      const listed = await admin.client.get(`/v1/admin/users?email=${email}`);
      expect(listed.body).toMatchObject({ users: [{ userId, state: 'active' }] });
      expect(listed.text).not.toMatch(/argon2|passwordHash/);
      expect((await admin.client.get('/v1/admin/users?limit=1')).body).toMatchObject({ nextCursor: expect.any(String) as string }); // prettier-ignore
    });

    it('shuts a person out at once and lets him in again, but not himself out', async () => {
      const admin = await staff('admin');
      const { client, userId, email } = await world.account({ consent: false });
      expect(await admin.client.post(`/v1/admin/users/${userId}/disable`)).toMatchObject({ status: 204 });
      expect((await client.get('/v1/auth/session')).status).toBe(401);
      expect((await client.login(email, PASSWORD)).body).toMatchObject({ code: 'invalid_credentials' });
      expect(await admin.client.post(`/v1/admin/users/${userId}/enable`)).toMatchObject({ status: 204 });
      expect((await client.login(email, PASSWORD)).status).toBe(200);
      expect(await admin.client.post(`/v1/admin/users/${admin.userId}/disable`)).toMatchObject({ status: 403 });
      expect(await admin.client.post(`/v1/admin/users/${randomUUID()}/disable`)).toMatchObject({ status: 404 });
    });

    it('demands a new enrolment: the old face verifies nobody from then on', async () => {
      const officer = await staff('security');
      const { client, userId } = await world.enrolled();
      const path = `/v1/admin/users/${userId}`;
      expect((await officer.client.get(`${path}/face`)).body).toMatchObject({ enrolled: true, reEnrolBy: null });
      expect(await officer.client.post(`${path}/require-re-enrolment`)).toMatchObject({ status: 204 });
      expect(await client.post('/v1/face/attempts')).toMatchObject({ status: 403, body: { code: 're_enrolment_required' } }); // prettier-ignore
      expect((await officer.client.get(`${path}/face`)).body).toMatchObject({
        reEnrolBy: expect.any(String) as string,
      });
      expect(await world.eventTypes(userId)).toContain('re_enrolment_required');
    });

    it('imports a list: first looked at, then done, and a second time changes nothing', async () => {
      const [a, b] = [`${randomUUID()}@example.org`, `${randomUUID()}@example.org`];
      const known = await world.account({ consent: false });
      const csv = `email,roles\r\n${a},"security auditor"\r\n${b},\r\n${known.email},admin\r\n`;
      const o = {
        accounts: world.app.get(Accounts, { strict: false }),
        mails: world.app.get(MailRepository, { strict: false }),
      };
      const outcomes = async (dryRun: boolean) => {
        const report = await importUsers(csv, { ...o, dryRun });
        return report.kind === 'imported' ? report.lines.map(({ line, outcome }) => `${line} ${outcome}`) : report;
      };
      expect(await outcomes(true)).toEqual(['2 would_invite', '3 would_invite', '4 exists']);
      expect(await o.accounts.users.findByEmail(a)).toBeNull();
      expect(await outcomes(false)).toEqual(['2 invited', '3 invited', '4 exists']);
      expect((await o.accounts.users.findByEmail(a))?.roles).toEqual(['user', 'security', 'auditor']);
      expect(await user(known.userId)).toMatchObject({ roles: ['user'] });
    });
  });

  describe('Idempotency-Key', () => {
    const send = (key: string, body: object, token: string | null, path = '/v1/auth/register') =>
      fetch(world.url + path, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'idempotency-key': key,
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify(body),
      });

    it('makes the same request once, however often it is sent', async () => {
      const body = { email: `${randomUUID()}@example.org`, password: PASSWORD };
      const key = randomUUID();
      const first = (await (await send(key, body, null)).json()) as { userId: string };
      const second = await send(key, body, null);
      expect(second.status).toBe(201);
      expect(await second.json()).toEqual(first);
      expect((await send(key, { ...body, email: `${randomUUID()}@example.org` }, null)).status).toBe(409);
      expect((await send('short', body, null)).status).toBe(400);
    });

    it('of parallel requests lets one through, and belongs to its session', async () => {
      const [one, two] = [await world.enrolled(), await world.enrolled()];
      const key = randomUUID();
      const begin = (client: ApiClient) => send(key, {}, client.token, '/v1/face/attempts');
      const answers = await Promise.all(Array.from({ length: 10 }, () => begin(one.client)));
      const bodies = await Promise.all(answers.map(async (answer) => (await answer.json()) as Record<string, unknown>));
      const ids = bodies.flatMap(({ attemptId, code }) => (code === undefined ? [attemptId] : []));
      expect(new Set(ids).size).toBe(1);
      expect(bodies.filter(({ code }) => code !== undefined && code !== 'idempotency_conflict')).toEqual([]);
      expect((await (await begin(one.client)).json()) as object).toEqual(bodies.find(({ code }) => code === undefined));
      const other = (await (await begin(two.client)).json()) as Record<string, unknown>;
      expect(other.attemptId).not.toBe(ids[0]);
      for (const { client } of [one, two]) {
        const { attemptId } = (await client.post('/v1/face/attempts')).body;
        await client.delete(`/v1/face/attempts/${String(attemptId)}`);
      }
    });
  });
});

describe('a gateway that tells nobody who has an account, where a face counts for 30 days', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    const settings = { REGISTRATION: 'verified', REGISTRATIONS_PER_HOUR: '8', RE_ENROLMENT_DAYS: '30' };
    world = await GatewayWorld.start(settings);
  });
  afterAll(() => world?.stop());

  it('demands a new enrolment after those days, by the clock of the database', async () => {
    const email = `${randomUUID()}@example.org`;
    const made = await world.app.get(Accounts, { strict: false }).create({
      email,
      passwordHash: await hashPassword(PASSWORD),
      emailVerified: true,
    });
    const userId = made.kind === 'created' ? made.user._id : '';
    const client = world.client();
    await client.login(email, PASSWORD);
    await giveConsent(client);
    expect((await world.capture(client, 'enrolments', GOOD)).body).toEqual({ status: 'enrolled' });
    const enrolledDaysAgo = (days: number) =>
      world.db
        .collection<{ _id: string }>('face_guards')
        .updateOne({ _id: userId }, { $set: { 'template.enrolledAt': new Date(Date.now() - days * 24 * HOUR_MS) } });
    await enrolledDaysAgo(29.99);
    const begun = await client.post('/v1/face/attempts');
    expect(begun).toMatchObject({ status: 201 });
    await client.delete(`/v1/face/attempts/${String(begun.body.attemptId)}`);
    await enrolledDaysAgo(30.01);
    expect(await client.post('/v1/face/attempts')).toMatchObject({ status: 403, body: { code: 're_enrolment_required' } }); // prettier-ignore
    expect((await world.capture(client, 'enrolments', GOOD)).body).toMatchObject({ code: 'step_up_required' });
  });

  it('A3: answers registration the same, lets in whoever reads the mailbox with a password of his own, and is throttled', async () => {
    const email = `${randomUUID()}@example.org`;
    const register = (one: string, more: object = {}) =>
      world.client().post('/v1/auth/register', { email: one, ...more });
    const refused = { status: 400, body: { code: 'invalid_request', fields: ['password'] } };
    expect(await register(email, { password: PASSWORD })).toMatchObject(refused);
    const users = world.db.collection('users');
    expect(await users.findOne({ email })).toBeNull();
    const first = await register(email);
    expect(first).toMatchObject({ status: 201, body: { status: 'mailed' } });
    for (let i = 0; i < 100 && !(await users.findOne({ email })); i++) await sleep(50);
    const userId = String((await users.findOne({ email }))?._id);
    const mails = (template: string) => world.db.collection('mails').countDocuments({ userId, template });
    for (let i = 0; i < 100 && (await mails('registration')) < 1; i++) await sleep(50);
    const earlier = await world.mailSecret(userId, 'registration');
    // As a scanner of mails does: opening the page changes nothing.
    for (const page of ['finish-registration', 'verify-email', 'v1/auth/email/verify'])
      await fetch(`${world.url}/${page}?token=${earlier}`);
    expect(await users.findOne({ email })).toMatchObject({ emailVerified: false, passwordHash: null });
    // Whoever registers next is as much its owner: the link before is dead, and nobody is told that there is an account.
    expect((await register(email)).text).toBe(first.text);
    for (let i = 0; i < 100 && (await mails('registration')) < 2; i++) await sleep(50);
    const finish = (token: string, newPassword: string) =>
      world.client().post('/v1/auth/register/finish', { token, newPassword });
    expect(await finish(earlier, NEXT)).toMatchObject({ status: 400, body: { code: 'token_invalid' } });
    const token = await world.mailSecret(userId, 'registration');
    expect(await finish(token, 'password1234')).toMatchObject({ status: 400, body: { code: 'password_too_common' } });
    const finished = await finish(token, NEXT);
    expect(finished).toMatchObject({ status: 200, body: { acr: 'urn:countersign:pwd' } });
    expect(await finish(token, NEXT)).toMatchObject({ status: 400 });
    expect((await world.client().login(email, NEXT)).status).toBe(200);
    expect(await users.findOne({ email })).toMatchObject({ emailVerified: true, invite: null });
    expect((await register(email)).text).toBe(first.text);
    for (let i = 0; i < 100 && (await mails('account_exists')) < 1; i++) await sleep(50);
    expect([await mails('account_exists'), await mails('registration')]).toEqual([1, 2]);
    const unknown = await world.client().login(`${randomUUID()}@example.org`, PASSWORD);
    expect((await world.client().login(email, PASSWORD)).text).toBe(unknown.text);
    const statuses = [];
    for (let i = 0; i < 8; i++) statuses.push((await register(`${randomUUID()}@example.org`)).status);
    expect(statuses.filter((status) => status === 429)).toHaveLength(3);
  });

  it('A3: an account that was squatted with a password while that was possible is its mailbox’s by registering', async () => {
    const email = `${randomUUID()}@example.org`;
    const made = await world.app.get(Accounts, { strict: false }).create({ email, passwordHash: await hashPassword(PASSWORD) }); // prettier-ignore
    const userId = made.kind === 'created' ? made.user._id : '';
    expect((await world.client().login(email, PASSWORD)).status).toBe(401);
    const registration = world.app.get(RegistrationService, { strict: false });
    await registration.register(email, undefined, {});
    for (let i = 0; i < 100 && !(await world.db.collection('mails').findOne({ userId, template: 'registration' })); i++) await sleep(50); // prettier-ignore
    const token = await world.mailSecret(userId, 'registration');
    expect(await world.client().post('/v1/auth/register/finish', { token, newPassword: NEXT })).toMatchObject({ status: 200 }); // prettier-ignore
    expect((await world.client().login(email, PASSWORD)).status).toBe(401);
    expect((await world.client().login(email, NEXT)).status).toBe(200);
  });
});
