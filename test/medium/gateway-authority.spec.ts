import { createHash, randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { ACR, type Role } from '#contracts';
import type { ApiClient } from '#testing';
import { EmailService } from '../../apps/gateway/src/auth/email.service.js';
import { POLICY } from '../../apps/gateway/src/http/policy.js';
import { GatewayWorld, giveConsent, GOOD, PASSWORD } from './gateway-world.js';

jest.setTimeout(120_000);

const HOUR_MS = 3_600_000;

describe('authority (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ ERASURE_HOLD_HOURS: '0' });
  });
  afterAll(() => world?.stop());

  it('an admin reads no face and no trail, an officer makes and shuts out nobody', () => {
    const linesOf = (role: Role): string[] =>
      Object.entries(POLICY).flatMap(([line, access]) =>
        access.who === 'session' && access.roles.includes(role) ? [line] : [],
      );
    expect([...linesOf('user'), ...linesOf('auditor'), ...linesOf('privacy')]).toEqual([]);
    expect(linesOf('admin').filter((line) => /security-events|unlock|re-enrolment|\/face$/.test(line))).toEqual([]);
    expect(linesOf('security').filter((line) => /disable|enable|POST \/v1\/admin\/users$/.test(line))).toEqual([]);
  });

  describe('a password, or a password and the mailbox inside the hold, reaches no protected action', () => {
    const acrOf = async (client: ApiClient): Promise<unknown> => (await client.get('/v1/auth/session')).body.acr;
    const thief = async (account: { email: string }, password = PASSWORD): Promise<ApiClient> => {
      const client = world.client('Thief');
      expect((await client.login(account.email, password)).status).toBe(200);
      return client;
    };
    /** Enrols and tries: the held face raises nothing, so what the mailed code gave is all there is. */
    const enrolAndTry = async (client: ApiClient): Promise<void> => {
      await giveConsent(client);
      expect((await world.capture(client, 'enrolments', GOOD)).body).toEqual({ status: 'enrolled' });
      const tried = await world.capture(client, 'attempts', GOOD);
      expect(tried.body).toMatchObject({ status: 'verified', session: { acr: ACR.recovery, faceAuthTime: null } });
      expect(await acrOf(client)).toBe(ACR.recovery);
    };

    it('by withdrawing and enrolling again', async () => {
      const client = await thief(await world.enrolled());
      expect((await client.delete('/v1/face/consent')).status).toBe(204);
      await giveConsent(client);
      expect(await client.post('/v1/face/enrolments')).toMatchObject({ status: 403, body: { code: 'step_up_required' } }); // prettier-ignore
      expect(await acrOf(client)).toBe(ACR.pwd);
    });

    it('by recovery after withdrawing: the new face is held, and so it is for every other session', async () => {
      const account = await world.enrolled();
      await world.verifyEmail(account.userId);
      const client = await thief(account);
      await client.delete('/v1/face/enrolment');
      await world.recover({ client, userId: account.userId });
      await enrolAndTry(client);
      const second = await thief(account);
      expect((await world.capture(second, 'attempts', GOOD)).body).toMatchObject({ session: { acr: ACR.pwd } });
      expect(await second.put('/v1/auth/password', { currentPassword: PASSWORD, newPassword: 'another long password' })).toMatchObject({ status: 403, body: { code: 'step_up_required' } }); // prettier-ignore
    });

    it('by a reset password and recovery', async () => {
      const account = await world.enrolled();
      await world.client().post('/v1/auth/password/reset', { email: account.email });
      for (let i = 0; i < 100; i++) {
        if (await world.db.collection('mails').findOne({ userId: account.userId, template: 'password_reset' })) break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const token = await world.mailSecret(account.userId, 'password_reset');
      const newPassword = 'another long password';
      expect((await world.client().post('/v1/auth/password/reset/confirm', { token, newPassword })).status).toBe(204);
      const client = await thief(account, newPassword);
      expect(await client.post('/v1/face/enrolments')).toMatchObject({ status: 403 });
      await world.recover({ client, userId: account.userId });
      await enrolAndTry(client);
    });

    it('by another address, opt-outs, another password or erasure: each needs more than the password', async () => {
      const account = await world.enrolled();
      const client = await thief(account);
      const refused = { status: 403, body: { code: 'step_up_required' } };
      const change = { newEmail: 'thief@example.org', currentPassword: PASSWORD };
      expect(await client.post('/v1/auth/email/change', change)).toMatchObject(refused);
      expect(await client.put('/v1/face/preferences', { optOuts: ['blink'], extraTime: true })).toMatchObject(refused);
      const next = { currentPassword: PASSWORD, newPassword: 'another long password' };
      expect(await client.put('/v1/auth/password', next)).toMatchObject(refused);
      expect(await client.post('/v1/privacy/erasures')).toMatchObject(refused);
      expect(await client.post('/v1/face/attempts')).toMatchObject({ status: 201 });
    });

    it('by another address with the mailbox in hand, then recovery there: the hold of a face comes after that of the address', async () => {
      const account = await world.enrolled();
      await world.verifyEmail(account.userId);
      const client = await thief(account);
      await world.recover({ client, userId: account.userId });
      const newEmail = `${randomUUID()}@example.org`;
      const ask = { newEmail, currentPassword: PASSWORD };
      expect(await client.post('/v1/auth/email/change', ask)).toMatchObject({ status: 202 });
      const token = await world.mailSecret(account.userId, 'email_change_confirm');
      expect(await world.client().post('/v1/auth/email/change/confirm', { token })).toMatchObject({ status: 204 });
      const emails = world.app.get(EmailService, { strict: false });
      const addressOf = async () =>
        (await world.db.collection<{ _id: string }>('users').findOne({ _id: account.userId })) as unknown as object;
      await emails.applyDue();
      expect(await addressOf()).toMatchObject({ email: account.email });
      const users = world.db.collection<{ _id: string }>('users');
      await users.updateOne({ _id: account.userId }, { $set: { 'newEmail.changesAt': new Date(Date.now() - 1_000) } });
      await emails.applyDue();
      expect(await addressOf()).toMatchObject({ email: newEmail });
      const there = await thief({ email: newEmail });
      await world.recover({ client: there, userId: account.userId });
      await enrolAndTry(there);
      // Nor does a link that waited in the old mailbox set a password for the account at its new address: only those remain
      // which stop the change of the old address, and undo it.
      const waiting = await world.db.collection('link_tokens').find({ userId: account.userId, usedAt: null }).toArray();
      expect(waiting.map(({ kind }) => String(kind)).sort()).toEqual(['cancel_new_email', 'undo_email_change']);
    });

    it('by erasing the account: what is registered again with the address is somebody else', async () => {
      const account = await world.enrolled();
      await world.verifyEmail(account.userId);
      const client = await thief(account);
      await world.recover({ client, userId: account.userId });
      expect(await client.post('/v1/privacy/erasures')).toMatchObject({ status: 202 });
      const again = { email: account.email, password: PASSWORD };
      expect(await world.client().post('/v1/auth/register', again)).toMatchObject({ status: 409 });
      expect((await client.get('/v1/auth/session')).status).toBe(401);
      // What the audit service does within seconds.
      await world.db.collection<{ _id: string }>('users').deleteOne({ _id: account.userId });
      const made = await world.client().post('/v1/auth/register', again);
      expect(made).toMatchObject({ status: 201 });
      expect(made.body.userId).not.toBe(account.userId);
      const anew = await thief(account);
      expect((await anew.get('/v1/auth/session')).body).toMatchObject({ userId: made.body.userId, face: { enrolled: false } }); // prettier-ignore
    });

    it('by a copy of Redis from before: a used code stays used, an ended session ended, a step-up undone', async () => {
      const account = await world.enrolled();
      await world.verifyEmail(account.userId);
      const [raised, leaving, stranger] = [await thief(account), await thief(account), await thief(account)];
      await world.capture(leaving, 'attempts', GOOD);
      expect(await acrOf(leaving)).toBe(ACR.face);
      expect(await stranger.post('/v1/recovery/codes')).toMatchObject({ status: 202 });
      const code = await world.mailSecret(account.userId, 'recovery_code');
      const redis = new Redis(world.config.REDIS_URL);
      const copy = await Promise.all(
        (await redis.keys('sess*')).map(async (key) => ({ key, bytes: await redis.dumpBuffer(key) })),
      );

      const [before, used] = [raised.token, stranger.token];
      await world.capture(raised, 'attempts', GOOD);
      const after = raised.token;
      expect((await leaving.post('/v1/auth/logout')).status).toBe(204);
      expect(await stranger.post('/v1/recovery/verify', { code })).toMatchObject({ status: 200 });

      await redis.del(...(await redis.keys('sess*')));
      for (const { key, bytes } of copy) if (bytes) await redis.restore(key, 600_000, bytes);
      redis.disconnect();
      raised.token = after;
      expect((await raised.get('/v1/auth/session')).status).toBe(401);
      raised.token = before;
      expect(await acrOf(raised)).toBe(ACR.pwd);
      expect((await leaving.get('/v1/auth/session')).status).toBe(401);
      stranger.token = used;
      expect(await stranger.post('/v1/recovery/verify', { code })).toMatchObject({ status: 400, body: { code: 'code_invalid' } }); // prettier-ignore
      expect(await acrOf(stranger)).toBe(ACR.pwd);
      expect(await stranger.post('/v1/face/enrolments')).toMatchObject({ status: 403, body: { code: 'step_up_required' } }); // prettier-ignore
      // The face was demanded anew by the code: no session of before gets round that either.
      expect(await raised.post('/v1/face/attempts')).toMatchObject({ status: 403, body: { code: 're_enrolment_required' } }); // prettier-ignore
    });

    it('by taking what another session has earned', async () => {
      const account = await world.enrolled();
      const [owner, client] = [account.client, await thief(account)];
      const begun = await world.begin(owner, 'attempts', GOOD);
      const attemptId = String(begun.body.attemptId);
      for (const step of [1, 2, 3]) await world.sendStep(owner, attemptId, step);
      expect((await client.get(`/v1/face/attempts/${attemptId}?wait=5`)).status).toBe(404);
      expect((await world.outcome(owner, attemptId)).body).toMatchObject({ status: 'verified' });
      expect((await client.get(`/v1/face/attempts/${attemptId}`)).status).toBe(404);
      expect(await acrOf(client)).toBe(ACR.pwd);
    });
  });

  it('a hundred recovery guesses at once are counted one by one', async () => {
    const account = await world.enrolled();
    await world.verifyEmail(account.userId);
    await account.client.post('/v1/recovery/codes');
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => account.client.post('/v1/recovery/verify', { code: '22222222' })),
    );
    expect(answers.filter(({ status }) => status === 200)).toEqual([]);
    const row = await world.db.collection<{ _id: string }>('recovery_codes').findOne({ _id: account.userId });
    const { tried, live } = row as unknown as { tried: Date[]; live: { triesLeft: number }[] };
    expect(tried.length).toBeLessThanOrEqual(5);
    expect(live.map(({ triesLeft }) => triesLeft)).toEqual([5 - tried.length]);
  });

  it('"this was not me" ends the sessions, bars the password and removes the held face, once', async () => {
    const account = await world.enrolled();
    await world.verifyEmail(account.userId);
    await world.recover(account);
    await world.capture(account.client, 'enrolments', GOOD);
    const token = 'n'.repeat(43);
    await world.db.collection<{ _id: string }>('not_me_tokens').insertOne({
      _id: createHash('sha256').update(token).digest('hex'),
      userId: account.userId,
      template: 'face_enrolled',
      createdAt: new Date(),
      expireAt: new Date(Date.now() + HOUR_MS),
    } as { _id: string });
    expect((await fetch(`${world.url}/not-me?token=${token}`)).status).toBe(200);
    expect((await account.client.get('/v1/auth/session')).status).toBe(200);
    expect(await world.client().post('/v1/security/not-me', { token })).toMatchObject({ status: 204 });
    expect((await account.client.get('/v1/auth/session')).status).toBe(401);
    expect(await account.client.login(account.email, PASSWORD)).toMatchObject({ status: 403, body: { code: 'password_reset_required' } }); // prettier-ignore
    expect(await world.guard(account.userId)).toMatchObject({ template: null, faceRequired: true });
    expect(await world.client().post('/v1/security/not-me', { token })).toMatchObject({ status: 400 });
  });
});
