import { randomUUID } from 'node:crypto';
import type { OutboxEvent } from '#contracts';
import { Accounts } from '#accounts';
import { EmailService } from '../../apps/gateway/src/auth/email.service.js';
import { ErasureService } from '../../apps/gateway/src/privacy/erasure.service.js';
import { GatewayWorld, GOOD, PASSWORD } from './gateway-world.js';

jest.setTimeout(180_000);

const URL = '/v1/privacy/erasures';
const CANCEL = '/v1/privacy/cancel-erasure';
const NEXT = 'another long password';

describe('B6: an erasure waits, and can be stopped (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  type Account = Awaited<ReturnType<GatewayWorld['account']>>;
  const users = () => world.db.collection<{ _id: string }>('users');
  const row = (userId: string) => users().findOne({ _id: userId });
  const ledger = (userId: string) => world.db.collection('erasures').findOne({ userId });
  const dueNow = (userId: string) =>
    users().updateOne({ _id: userId }, { $set: { 'erasure.dueAt': new Date(Date.now() - 1_000) } });
  const sweep = () => world.app.get(ErasureService, { strict: false }).beginDue();
  const events = async (userId: string): Promise<OutboxEvent[]> => {
    const { outbox } = (await world.guard(userId)) as { outbox: { event?: OutboxEvent }[] };
    return outbox.flatMap(({ event }) => event ?? []);
  };
  const raised = async (): Promise<Account> => {
    const one = await world.enrolled();
    await world.capture(one.client, 'attempts', GOOD);
    return one;
  };
  const ask = async (one: Account): Promise<string> => {
    const asked = await one.client.post(URL);
    expect(asked).toMatchObject({ status: 202, body: { state: 'held' } });
    const { requestedAt, dueAt, erasureId } = asked.body as Record<string, string>;
    expect(Date.parse(String(dueAt)) - Date.parse(String(requestedAt))).toBe(72 * 3_600_000);
    return String(erasureId);
  };

  it('the face goes at once and no other comes; the account goes on, and its owner is told', async () => {
    const one = await raised();
    const erasureId = await ask(one);
    expect(await world.guard(one.userId)).toMatchObject({ state: 'active', template: null, consentVersion: null });
    expect(await world.db.collection('face_templates').countDocuments({ userId: one.userId })).toBe(0);
    expect(await world.db.collection('consents').countDocuments({ userId: one.userId, withdrawnAt: null })).toBe(0);
    const pending = { status: 409, body: { code: 'erasure_pending' } };
    const text = (await one.client.get('/v1/face/consent')).body as { version: string; textSha256: string };
    const { version, textSha256 } = text;
    expect(await one.client.put('/v1/face/consent', { version, textSha256 })).toMatchObject(pending);
    for (const kind of ['enrolments', 'attempts', 'practice'])
      expect(await one.client.post(`/v1/face/${kind}`)).toMatchObject(pending);
    expect((await one.client.get('/v1/auth/session')).status).toBe(200);
    expect((await world.client().login(one.email, PASSWORD)).status).toBe(200);
    expect(await ledger(one.userId)).toBeNull();
    expect(await world.mailSecret(one.userId, 'erasure_announced')).toHaveLength(43);
    const asked = (await events(one.userId)).filter(({ type }) => type === 'erasure_requested');
    expect(asked).toMatchObject([{ detail: { holdHours: 72 }, sealed: { tags: expect.anything() as unknown } }]);
    // Before its time no sweep takes it, and a repeat is the same erasure.
    await sweep();
    expect(await world.client().get(`${URL}/${erasureId}`)).toMatchObject({ status: 200, body: { state: 'held' } });
    expect(await ask(one)).toBe(erasureId);
  });

  it('is carried out when the hold is over: every session ends, and nothing stops it any more', async () => {
    const one = await raised();
    const erasureId = await ask(one);
    const token = await world.mailSecret(one.userId, 'erasure_announced');
    await dueNow(one.userId);
    await sweep();
    expect(await ledger(one.userId)).toMatchObject({ _id: erasureId, state: 'requested' });
    expect(await one.client.get('/v1/auth/session')).toMatchObject({ status: 401 });
    expect(await world.client().post(CANCEL, { token })).toMatchObject({ status: 400, body: { code: 'token_invalid' } }); // prettier-ignore
    expect(await world.client().get(`${URL}/${erasureId}`)).toMatchObject({
      status: 200,
      body: { state: 'requested' },
    });
    await sweep();
    expect(await world.db.collection('erasures').countDocuments({ userId: one.userId })).toBe(1);
  });

  it('one whose gateway died before the ledger is taken up again', async () => {
    const one = await raised();
    const erasureId = await ask(one);
    await dueNow(one.userId);
    await users().updateOne({ _id: one.userId }, { $set: { 'erasure.begun': true }, $inc: { sessionEpoch: 1 } });
    await sweep();
    expect(await ledger(one.userId)).toMatchObject({ _id: erasureId });
  });

  it('the mailbox stops it by its link, once; a session at pwd does not, a raised one does', async () => {
    const one = await raised();
    const erasureId = await ask(one);
    const thief = world.client();
    await thief.login(one.email, PASSWORD);
    expect(await thief.delete(URL)).toMatchObject({ status: 403, body: { code: 'step_up_required' } });
    const token = await world.mailSecret(one.userId, 'erasure_announced');
    expect(await world.client().post(CANCEL, { token })).toMatchObject({ status: 204 });
    expect(await world.client().post(CANCEL, { token })).toMatchObject({ status: 400 });
    expect(await world.client().get(`${URL}/${erasureId}`)).toMatchObject({ status: 404 });
    expect(await world.mailSecret(one.userId, 'erasure_announced')).toBe(token);
    await sweep();
    expect(await ledger(one.userId)).toBeNull();
    expect((await one.client.post(URL)).status).toBe(202);
    expect(await one.client.delete(URL)).toMatchObject({ status: 204 });
    expect(await one.client.delete(URL)).toMatchObject({ status: 404 });
    const stopped = (await events(one.userId)).filter(({ type }) => type === 'erasure_cancelled');
    expect(stopped.map(({ detail }) => detail?.by)).toEqual(['link', 'own_session']);
  });

  it('address and roles are frozen while it waits', async () => {
    const one = await raised();
    await world.verifyEmail(one.userId);
    const newEmail = `${randomUUID()}@example.org`;
    await users().updateOne(
      { _id: one.userId },
      { $set: { newEmail: { email: newEmail, requestedAt: new Date(0), changesAt: new Date(1) }, hasNewEmail: true } },
    );
    await ask(one);
    await world.app.get(EmailService, { strict: false }).applyDue();
    expect(await row(one.userId)).toMatchObject({ email: one.email });
    const change = { newEmail: `${randomUUID()}@example.org`, currentPassword: PASSWORD };
    const pending = { status: 409, body: { code: 'erasure_pending' } };
    expect(await one.client.post('/v1/auth/email/change', change)).toMatchObject(pending);
    const accounts = world.app.get(Accounts, { strict: false });
    const user = await accounts.users.findById(one.userId);
    if (!user) throw new Error('no account');
    expect(await accounts.changeRoles(user, { add: ['privacy'] }, {})).toEqual({ kind: 'erasing' });
    // As read before the request.
    const before = { ...user, erasure: null };
    expect(await accounts.changeRoles(before, { add: ['privacy'] }, {})).toEqual({ kind: 'erasing' });
    expect(await row(one.userId)).toMatchObject({ roles: ['user'] });
    await one.client.delete(URL);
    await world.app.get(EmailService, { strict: false }).applyDue();
    expect(await row(one.userId)).toMatchObject({ email: newEmail });
  });

  it('what renews the credentials stops it, for a thief may have asked', async () => {
    const one = await raised();
    await ask(one);
    const changed = await one.client.put('/v1/auth/password', { currentPassword: PASSWORD, newPassword: NEXT });
    expect(changed.status).toBe(204);
    expect(await row(one.userId)).toMatchObject({ erasure: null, hasErasure: false });
    const stopped = (await events(one.userId)).filter(({ type }) => type === 'erasure_cancelled');
    expect(stopped).toMatchObject([{ detail: { by: 'password_change' } }]);
  });

  it('an account that staff disable is erased all the same', async () => {
    const one = await raised();
    const erasureId = await ask(one);
    await world.app.get(Accounts, { strict: false }).renew(one.userId, { by: 'disable' }, {});
    await dueNow(one.userId);
    await sweep();
    expect(await ledger(one.userId)).toMatchObject({ _id: erasureId });
  });

  it('C5: the last administrator is asked for once more at the end, and waits', async () => {
    const [one, other] = [await raised(), await raised()];
    const accounts = world.app.get(Accounts, { strict: false });
    for (const { userId } of [one, other]) {
      await world.verifyEmail(userId);
      await users().updateOne({ _id: userId }, { $set: { roles: ['user', 'admin'] } });
      await accounts.office.enter(userId);
    }
    await ask(one);
    const user = await accounts.users.findById(other.userId);
    if (!user) throw new Error('no account');
    await accounts.changeRoles(user, { remove: ['admin'] }, {});
    await dueNow(one.userId);
    await sweep();
    expect(await ledger(one.userId)).toBeNull();
    expect((await one.client.get('/v1/auth/session')).status).toBe(200);
    // Nor may he ask as the only one.
    await one.client.delete(URL);
    expect(await one.client.post(URL)).toMatchObject({ status: 409, body: { code: 'last_admin' } });
  });
});
