import { randomUUID } from 'node:crypto';
import { ACR } from '#contracts';
import {
  type Findings,
  GatewayWorld,
  giveConsent,
  GOOD,
  MISMATCH,
  PASSWORD,
  sleep,
  stepBody,
} from './gateway-world.js';

jest.setTimeout(60_000);

describe('gateway (real Redis and MongoDB, results by a test worker)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ ERASURE_HOLD_HOURS: '0' });
  });
  afterAll(() => world?.stop());

  it('leads from registration to pwd+face, with a new token at each raise', async () => {
    const { client, userId } = await world.account();
    const pwdToken = client.token;
    expect((await client.get('/v1/auth/session')).body).toMatchObject({
      acr: ACR.pwd,
      amr: ['pwd'],
      face: { enrolled: false },
    });

    expect((await world.capture(client, 'enrolments', GOOD)).body).toEqual({ status: 'enrolled' });
    const verified = await world.capture(client, 'attempts', GOOD);
    expect(verified.body).toMatchObject({
      status: 'verified',
      session: { acr: ACR.face, amr: ['pwd', 'face', 'mfa'] },
    });
    expect(client.token).not.toBe(pwdToken);

    const session = (await client.get('/v1/auth/session')).body;
    expect(session).toMatchObject({ acr: ACR.face, face: { enrolled: true, required: true } });
    expect(session.faceAuthTime).toEqual(expect.any(String));

    client.token = pwdToken;
    expect((await client.get('/v1/auth/session')).status).toBe(401);
    expect(await world.eventTypes(userId)).toEqual(['registered', 'login_ok', 'consent_given', 'enrolled', 'success']);
    expect(JSON.stringify(verified.body)).not.toMatch(/0\.7|similarity/);
  });

  it('gives the same grant again to the raised session', async () => {
    const { client } = await world.enrolled();
    const begun = await world.begin(client, 'attempts', GOOD);
    const attemptId = String(begun.body.attemptId);
    for (const step of [1, 2, 3]) await world.sendStep(client, attemptId, step);
    const first = await world.outcome(client, attemptId);
    const again = await world.outcome(client, attemptId);
    expect(first.body.status).toBe('verified');
    expect(again.body).toEqual(first.body);
  });

  it('counts three mismatches down to a lock and refuses the fourth before any challenge', async () => {
    const { client, userId } = await world.enrolled();
    expect((await world.capture(client, 'attempts', MISMATCH)).body).toEqual({
      status: 'not_verified',
      attemptsRemaining: 2,
    });
    expect((await world.capture(client, 'attempts', MISMATCH)).body).toEqual({
      status: 'not_verified',
      attemptsRemaining: 1,
    });
    expect((await world.capture(client, 'attempts', MISMATCH)).body).toMatchObject({ status: 'locked', minutes: 30 });

    const fourth = await client.post('/v1/face/attempts');
    expect(fourth).toMatchObject({ status: 423, body: { code: 'face_locked', minutes: 30 } });
    expect(fourth.body.attemptId ?? fourth.body.step).toBeUndefined();
    expect(Number(fourth.headers.get('retry-after'))).toBeGreaterThan(1700);
    expect((await client.get('/v1/auth/session')).body.face).toMatchObject({
      lockedUntil: expect.any(String) as string,
    });
    expect(await world.eventTypes(userId)).toEqual(expect.arrayContaining(['failed', 'locked', 'refused']));
  });

  it('tells a quality problem by its code and charges nothing', async () => {
    const { client, userId } = await world.enrolled();
    const dark: Findings = {
      ...GOOD,
      verdict: () => ({ kind: 'quality', code: 'too_dark' }),
      judgement: 'not_compared',
      similarity: null,
    };
    expect((await world.capture(client, 'attempts', dark)).body).toEqual({ status: 'retry', quality: 'too_dark' });
    expect(await world.guard(userId)).toMatchObject({ strikes: 0 });
  });

  describe('a step', () => {
    it('out of order, twice or late is refused and never a second strike', async () => {
      const { client, userId } = await world.enrolled();
      const begun = await world.begin(client, 'attempts', MISMATCH);
      const attemptId = String(begun.body.attemptId);
      const path = `/v1/face/attempts/${attemptId}/steps`;
      expect(await world.sendStep(client, attemptId, 2)).toMatchObject({
        status: 409,
        body: { code: 'step_out_of_order' },
      });

      const body = stepBody();
      expect(await world.sendStep(client, attemptId, 1, body)).toMatchObject({
        status: 202,
        body: { status: 'capturing', step: { index: 2, count: 3 } },
      });
      expect(await client.postBytes(`${path}/1`, body)).toMatchObject({
        status: 409,
        body: { code: 'step_already_received' },
      });
      expect(await client.postBytes(`${path}/1`, stepBody())).toMatchObject({
        status: 409,
        body: { code: 'step_already_received' },
      });
      await world.sendStep(client, attemptId, 2);
      expect(await world.sendStep(client, attemptId, 3)).toMatchObject({ status: 202, body: { status: 'deciding' } });
      expect((await world.outcome(client, attemptId)).body).toEqual({ status: 'not_verified', attemptsRemaining: 2 });
      expect(await client.postBytes(`${path}/3`, stepBody())).toMatchObject({
        status: 410,
        body: { code: 'attempt_over' },
      });
      expect(await world.guard(userId)).toMatchObject({ strikes: 1 });
    });

    it('sent twenty times at once is accepted once', async () => {
      const { client } = await world.enrolled();
      const begun = await client.post('/v1/face/attempts');
      const attemptId = String(begun.body.attemptId);
      await sleep(350);
      const path = `/v1/face/attempts/${attemptId}/steps/1`;
      const answers = await Promise.all(Array.from({ length: 20 }, () => client.postBytes(path, stepBody())));
      expect(answers.filter((a) => a.status === 202)).toHaveLength(1);
      expect(answers.filter((a) => a.status === 409)).toHaveLength(19);
      await client.delete(`/v1/face/attempts/${attemptId}`);
    });

    it('with a frame of an earlier step is not accepted, and the window runs on', async () => {
      const { client } = await world.enrolled();
      const attemptId = String((await client.post('/v1/face/attempts')).body.attemptId);
      const body = stepBody();
      await world.sendStep(client, attemptId, 1, body);
      expect(await world.sendStep(client, attemptId, 2, body)).toMatchObject({
        status: 409,
        body: { code: 'frames_reused' },
      });
      expect(await world.sendStep(client, attemptId, 2)).toMatchObject({ status: 202 });
      await client.delete(`/v1/face/attempts/${attemptId}`);
    });

    it('of a foreign or unknown attempt is 404', async () => {
      const { client } = await world.enrolled();
      const other = (await world.account()).client;
      const attemptId = String((await client.post('/v1/face/attempts')).body.attemptId);
      for (const id of [attemptId, randomUUID()]) {
        expect(await world.sendStep(other, id, 1)).toMatchObject({ status: 404, body: { code: 'not_found' } });
        expect(await other.get(`/v1/face/attempts/${id}`)).toMatchObject({ status: 404 });
        expect(await other.delete(`/v1/face/attempts/${id}`)).toMatchObject({ status: 404 });
      }
      expect(await client.delete(`/v1/face/attempts/${attemptId}`)).toMatchObject({ status: 204 });
    });
  });

  it('refuses a second capture while one runs, and names it to the same session only', async () => {
    const { client, email } = await world.enrolled();
    const first = await client.post('/v1/face/attempts');
    const again = await client.post('/v1/face/attempts');
    expect(again).toMatchObject({
      status: 409,
      body: { code: 'attempt_in_progress', attemptId: first.body.attemptId },
    });
    const other = world.client();
    await other.login(email, PASSWORD);
    expect((await other.post('/v1/face/attempts')).body).not.toHaveProperty('attemptId');
    await client.delete(`/v1/face/attempts/${String(first.body.attemptId)}`);
    expect((await client.get(`/v1/face/attempts/${String(first.body.attemptId)}`)).body).toEqual({
      status: 'cancelled',
    });
  });

  it('refuses to begin before a camera opens when no worker lives', async () => {
    const { client } = await world.enrolled();
    await world.stopWorker();
    try {
      await sleep(200);
      const answer = await client.post('/v1/face/attempts');
      expect(answer).toMatchObject({ status: 503, body: { code: 'busy' } });
      expect(answer.headers.get('retry-after')).toBe('5');
    } finally {
      await world.startWorker();
    }
  });

  it('with the password alone leads to no other face: enrolling again needs more', async () => {
    const { email } = await world.enrolled();
    const thief = world.client();
    await thief.login(email, PASSWORD);
    expect(await thief.post('/v1/face/enrolments')).toMatchObject({ status: 403, body: { code: 'step_up_required' } });
    expect(await thief.delete('/v1/face/enrolment')).toMatchObject({ status: 204 });
    expect(await thief.post('/v1/face/enrolments')).toMatchObject({ status: 403, body: { code: 'step_up_required' } });
    expect(await thief.delete('/v1/face/consent')).toMatchObject({ status: 204 });
    await giveConsent(thief);
    for (const [method, path, body] of [
      ['post', '/v1/face/enrolments', undefined],
      ['put', '/v1/face/preferences', { optOuts: [], extraTime: true }],
      ['put', '/v1/auth/password', { currentPassword: PASSWORD, newPassword: 'another long password' }],
      ['post', '/v1/privacy/erasures', undefined],
    ] as const) {
      const answer = method === 'post' ? await thief.post(path) : await thief.put(path, body);
      expect(answer).toMatchObject({ status: 403, body: { code: 'step_up_required' } });
    }
    expect(await thief.post('/v1/face/attempts')).toMatchObject({ status: 403, body: { code: 'enrolment_required' } });
    expect((await thief.get('/v1/auth/session')).body).toMatchObject({
      acr: ACR.pwd,
      face: { enrolled: false, required: true },
    });
  });

  it('recovers by mailed code to pwd+recovery; the old face verifies nobody; a new one is held', async () => {
    const account = await world.enrolled();
    const { client, userId } = account;
    expect(await client.post('/v1/recovery/codes')).toMatchObject({
      status: 403,
      body: { code: 'email_not_verified' },
    });
    await world.verifyEmail(userId);
    const before = client.token;
    expect(await world.recover(account)).toMatchObject({
      status: 200,
      body: { acr: ACR.recovery, amr: ['pwd'] },
    });
    expect(client.token).not.toBe(before);
    expect((await client.get('/v1/auth/session')).body.face).toHaveProperty('reEnrolBy');
    expect(await client.post('/v1/face/attempts')).toMatchObject({
      status: 403,
      body: { code: 're_enrolment_required' },
    });

    expect((await world.capture(client, 'enrolments', GOOD)).body).toEqual({ status: 'enrolled' });
    expect((await client.get('/v1/auth/session')).body.face).toHaveProperty('heldUntil');
    expect((await world.capture(client, 'attempts', GOOD)).body).toMatchObject({
      status: 'verified',
      session: { acr: ACR.recovery, amr: ['pwd'], faceAuthTime: null },
    });
    expect(await world.db.collection('face_templates').countDocuments({ userId })).toBe(1);
    expect(await world.eventTypes(userId)).toEqual(
      expect.arrayContaining(['recovery_sent', 'recovery_used', 're_enrolment_required']),
    );
  });

  it('takes a recovery code once, in its session, five tries, three an hour', async () => {
    const account = await world.account();
    await world.verifyEmail(account.userId);
    await account.client.post('/v1/recovery/codes');
    const code = await world.mailSecret(account.userId, 'recovery_code');
    const elsewhere = world.client();
    await elsewhere.login(account.email, PASSWORD);
    expect(await elsewhere.post('/v1/recovery/verify', { code })).toMatchObject({
      status: 400,
      body: { code: 'code_invalid' },
    });
    const wrong = code === '22222222' ? '33333333' : '22222222';
    const tries = await Promise.all(
      Array.from({ length: 4 }, () => account.client.post('/v1/recovery/verify', { code: wrong })),
    );
    expect(tries.map((t) => t.status).every((status) => status === 400 || status === 429)).toBe(true);
    await account.client.post('/v1/recovery/codes');
    const second = await world.mailSecret(account.userId, 'recovery_code');
    expect(await account.client.post('/v1/recovery/verify', { code })).toMatchObject({ status: 400 });
    const right = await account.client.post('/v1/recovery/verify', {
      code: `${second.slice(0, 4)}-${second.slice(4).toLowerCase()}`,
    });
    expect(right).toMatchObject({ status: 200 });
    account.client.token = String(right.body.token);
    expect(await account.client.post('/v1/recovery/verify', { code: second })).toMatchObject({ status: 400 });
    expect(await account.client.post('/v1/recovery/codes')).toMatchObject({ status: 202 });
    expect(await account.client.post('/v1/recovery/codes')).toMatchObject({
      status: 429,
      body: { code: 'too_many_codes' },
    });
  });

  it('changes the password at pwd+face and ends the other sessions', async () => {
    const { client, email } = await world.enrolled();
    const other = world.client();
    await other.login(email, PASSWORD);
    await world.capture(client, 'attempts', GOOD);
    const change = { currentPassword: PASSWORD, newPassword: 'another long password' };
    expect(await client.put('/v1/auth/password', { ...change, currentPassword: 'not the password' })).toMatchObject({
      status: 401,
    });
    expect(await client.put('/v1/auth/password', change)).toMatchObject({ status: 204 });
    expect((await client.get('/v1/auth/session')).body).toMatchObject({ acr: ACR.face });
    expect((await other.get('/v1/auth/session')).status).toBe(401);
    expect((await other.login(email, PASSWORD)).status).toBe(401);
    expect((await other.login(email, change.newPassword)).status).toBe(200);
  });

  it('practises without a match and without a strike', async () => {
    const { client, userId } = await world.account();
    const bad: Findings = {
      ...GOOD,
      verdict: () => ({ kind: 'wrong_action' }),
      judgement: 'not_compared',
      similarity: null,
    };
    expect((await world.capture(client, 'practice', bad)).body).toEqual({ status: 'not_verified' });
    expect((await world.capture(client, 'practice', { ...GOOD, judgement: 'not_compared' })).body).toEqual({
      status: 'practised',
    });
    expect(await world.guard(userId)).toMatchObject({ strikes: 0 });
  });

  it('erases at the level that enrolled accounts need, and ends every session', async () => {
    const { client, userId } = await world.enrolled();
    await world.capture(client, 'attempts', GOOD);
    const requested = await client.post('/v1/privacy/erasures');
    expect(requested).toMatchObject({ status: 202, body: { state: 'requested' } });
    expect((await client.get('/v1/auth/session')).status).toBe(401);
    const receipt = await world.client().get(`/v1/privacy/erasures/${String(requested.body.erasureId)}`);
    expect(receipt).toMatchObject({ status: 200, body: { state: 'requested' } });
    expect(receipt.text).not.toContain(userId);
  });

  it('lets staff write only with the role at a raised level, and tells nothing to others', async () => {
    const officer = await world.account();
    const victim = await world.enrolled();
    const unlock = `/v1/admin/users/${victim.userId}/unlock`;
    expect(await officer.client.post(unlock)).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    await world.db
      .collection<{ _id: string }>('users')
      .updateOne({ _id: officer.userId }, { $set: { roles: ['user', 'security'] } });
    expect(await officer.client.post(unlock)).toMatchObject({ status: 403, body: { code: 'step_up_required' } });
    await world.verifyEmail(officer.userId);
    await world.recover(officer);
    for (let i = 0; i < 3; i++) await world.capture(victim.client, 'attempts', MISMATCH);
    expect(await victim.client.post('/v1/face/attempts')).toMatchObject({ status: 423 });
    expect(await officer.client.post(unlock)).toMatchObject({ status: 204 });
    expect((await world.capture(victim.client, 'attempts', GOOD)).body).toMatchObject({ status: 'verified' });
    expect(await officer.client.post(`/v1/admin/users/${randomUUID()}/unlock`)).toMatchObject({ status: 404 });
    // No audit service answers here: a read is 503 within its two seconds, and was recorded before.
    expect(await officer.client.get('/v1/admin/security-events')).toMatchObject({
      status: 503,
      body: { code: 'unavailable' },
    });
    expect(await world.eventTypes(officer.userId)).toContain('admin_read');
  });

  it('is alive and ready', async () => {
    expect(await world.client().get('/health/live')).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect(await world.client().get('/health/ready')).toMatchObject({ status: 200, body: { status: 'ok' } });
  });
});
