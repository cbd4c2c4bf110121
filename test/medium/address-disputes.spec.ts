import { randomUUID } from 'node:crypto';
import { LinkTokenRepository, type UserRow, UserRepository } from '#accounts';
import type { MailTemplate } from '#contracts';
import type { Answer, ApiClient } from '#testing';
import { EmailService } from '../../apps/gateway/src/auth/email.service.js';
import { GatewayWorld, GOOD, PASSWORD, sleep } from './gateway-world.js';

jest.setTimeout(240_000);

const NEXT = 'another long enough password';
const HOUR_MS = 3_600_000;

interface Person {
  client: ApiClient;
  email: string;
  userId: string;
}

describe('A2: an address that somebody else may have changed (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  const get = <T>(what: abstract new (...args: never[]) => T): T => world.app.get(what, { strict: false });
  const users = () => world.db.collection<{ _id: string }>('users');
  const account = async (userId: string): Promise<UserRow> =>
    (await get(UserRepository).findById(userId)) ?? Promise.reject(new Error('no account'));
  const post = (path: string, body: object): Promise<Answer> => world.client().post(path, body);
  const mailsTo = async (to: string): Promise<string[]> =>
    (await world.db.collection('mails').find({ to }).toArray()).map(({ template }) => String(template));
  const resets = (userId: string) =>
    world.db.collection('mails').countDocuments({ userId, template: 'password_reset' });
  const login = (email: string, password = PASSWORD) => world.client().login(email, password);
  const eventOf = async (userId: string, type: string) => {
    const { outbox } = (await world.guard(userId)) as {
      outbox: { event?: { type: string; actorId?: string; detail?: object } }[];
    };
    return outbox.map(({ event }) => event).find((event) => event?.type === type);
  };

  /** Asked for, confirmed, and the hold over: the account has the other address. */
  async function changed(o: { enrolled?: boolean } = {}): Promise<Person & { newEmail: string }> {
    const person = o.enrolled ? await world.enrolledAtOnce() : await world.account({ consent: false });
    const { userId, client } = person;
    await world.verifyEmail(userId);
    if (o.enrolled) await world.recover(person);
    const newEmail = `${randomUUID()}@example.org`;
    expect(await client.post('/v1/auth/email/change', { newEmail, currentPassword: PASSWORD })).toMatchObject({ status: 202 }); // prettier-ignore
    const token = await world.mailSecret(userId, 'email_change_confirm');
    expect(await post('/v1/auth/email/change/confirm', { token })).toMatchObject({ status: 204 });
    await users().updateOne({ _id: userId }, { $set: { 'newEmail.changesAt': new Date(Date.now() - 1_000) } });
    await get(EmailService).applyDue();
    expect(await account(userId)).toMatchObject({ email: newEmail, emailVerified: true });
    return { ...person, newEmail };
  }
  const press = async (userId: string, template: MailTemplate, action: string): Promise<Answer> =>
    post(`/v1/auth/email/change/${action}`, { token: await world.mailSecret(userId, template) });
  const undo = (userId: string) => press(userId, 'email_changed_undo', 'undo');
  const object = (userId: string) => press(userId, 'email_objection', 'object');
  const holdIsOver = (userId: string) =>
    users().updateOne({ _id: userId }, { $set: { 'addressDispute.holdUntil': new Date(Date.now() - 1_000) } });
  /** Whether a mail goes out when a reset is asked for: it is written after the answer. */
  async function isMailedReset(userId: string, email: string): Promise<boolean> {
    const before = await resets(userId);
    expect(await post('/v1/auth/password/reset', { email })).toMatchObject({ status: 202 });
    for (let i = 0; i < 20 && (await resets(userId)) === before; i++) await sleep(50);
    return (await resets(userId)) > before;
  }
  async function officer(): Promise<Person> {
    const person = await world.account({ consent: false });
    await world.verifyEmail(person.userId);
    await users().updateOne({ _id: person.userId }, { $set: { roles: ['user', 'security'] } });
    await world.recover(person);
    return person;
  }

  it('a change under way is shown in the session, and stopped there', async () => {
    const { client, userId } = await world.account({ consent: false });
    expect((await client.get('/v1/auth/session')).body).toMatchObject({ newEmail: null, addressHeldUntil: null });
    const newEmail = `${randomUUID()}@example.org`;
    await client.post('/v1/auth/email/change', { newEmail, currentPassword: PASSWORD });
    const token = await world.mailSecret(userId, 'email_change_confirm');
    const shown = { email: newEmail, requestedAt: expect.any(String) as string };
    expect((await client.get('/v1/auth/session')).body.newEmail).toEqual({ ...shown, changesAt: null });
    await post('/v1/auth/email/change/confirm', { token });
    expect((await client.get('/v1/auth/session')).body.newEmail).toEqual({ ...shown, changesAt: expect.any(String) as string }); // prettier-ignore
    expect(await client.delete('/v1/auth/email/change')).toMatchObject({ status: 204 });
    expect((await client.get('/v1/auth/session')).body.newEmail).toBeNull();
    expect(await eventOf(userId, 'email_change_cancelled')).toMatchObject({ detail: { by: 'own_session' } });
    // The same again is the same, and tells nothing.
    expect(await client.delete('/v1/auth/email/change')).toMatchObject({ status: 204 });
    const types = await world.eventTypes(userId);
    expect(types.filter((type) => type === 'email_change_cancelled')).toHaveLength(1);
  });

  it('the mailbox before takes the address back: sessions end, both are told, the link works once', async () => {
    const { client, userId, email, newEmail } = await changed();
    expect(await mailsTo(email)).toContain('email_changed_undo');
    expect(await mailsTo(newEmail)).toContain('email_changed');
    expect(await undo(userId)).toMatchObject({ status: 204 });
    expect(await client.get('/v1/auth/session')).toMatchObject({ status: 401 });
    expect(await account(userId)).toMatchObject({ email, emailVerified: true, addressDispute: { other: newEmail } });
    expect(await login(newEmail)).toMatchObject({ status: 401 });
    expect(await login(email)).toMatchObject({ status: 200 });
    expect(await mailsTo(email)).toContain('email_undone');
    expect(await mailsTo(newEmail)).toContain('email_objection');
    expect(await eventOf(userId, 'email_change_undone')).toBeDefined();
    expect(await undo(userId)).toMatchObject({ status: 400, body: { code: 'token_invalid' } });
    expect(await account(userId)).toMatchObject({ email });
  });

  it('for a day nothing is reset, recovered or changed, and a face raises nothing; then the owner resets', async () => {
    const { userId, email, newEmail } = await changed({ enrolled: true });
    const link = await get(LinkTokenRepository).issue('reset_password', await account(userId));
    expect(await undo(userId)).toMatchObject({ status: 204 });
    expect(await post('/v1/auth/password/reset/confirm', { token: link, newPassword: NEXT })).toMatchObject({ status: 400 }); // prettier-ignore
    // Nor one that was made by a request beside the undoing.
    const beside = await get(LinkTokenRepository).issue('reset_password', await account(userId));
    expect(await post('/v1/auth/password/reset/confirm', { token: beside, newPassword: NEXT })).toMatchObject({ status: 400, body: { code: 'token_invalid' } }); // prettier-ignore
    expect(await isMailedReset(userId, email)).toBe(false);
    expect(await isMailedReset(userId, newEmail)).toBe(false);
    const client = world.client();
    await client.login(email, PASSWORD);
    const { addressHeldUntil, face } = (await client.get('/v1/auth/session')).body as Record<string, unknown> & { face: { heldUntil: string } }; // prettier-ignore
    for (const until of [String(addressHeldUntil), face.heldUntil]) {
      expect(Date.parse(until) - Date.now()).toBeGreaterThan(23 * HOUR_MS);
      expect(Date.parse(until) - Date.now()).toBeLessThan(25 * HOUR_MS);
    }
    const held = { status: 409, body: { code: 'address_held' } };
    expect(await client.post('/v1/recovery/codes')).toMatchObject(held);
    expect(await client.post('/v1/recovery/verify', { code: 'ABCD2345' })).toMatchObject(held);
    await world.capture(client, 'attempts', GOOD);
    expect((await client.get('/v1/auth/session')).body.acr).toBe('urn:countersign:pwd');

    await holdIsOver(userId);
    expect(await isMailedReset(userId, email)).toBe(true);
    const token = await world.mailSecret(userId, 'password_reset');
    expect(await post('/v1/auth/password/reset/confirm', { token, newPassword: NEXT })).toMatchObject({ status: 204 });
    expect(await object(userId)).toMatchObject({ status: 400, body: { code: 'token_invalid' } });
  });

  it('nor does whoever knows the password ask for another address meanwhile', async () => {
    const { userId, email } = await changed();
    await undo(userId);
    const client = world.client();
    await client.login(email, PASSWORD);
    const ask = { newEmail: `${randomUUID()}@example.org`, currentPassword: PASSWORD };
    expect(await client.post('/v1/auth/email/change', ask)).toMatchObject({ status: 409, body: { code: 'address_held' } }); // prettier-ignore
  });

  it('a password that was chosen by way of the new address counts no more, and does not come back', async () => {
    const { userId, email, newEmail } = await changed();
    await isMailedReset(userId, newEmail);
    const token = await world.mailSecret(userId, 'password_reset');
    await post('/v1/auth/password/reset/confirm', { token, newPassword: NEXT });
    expect(await login(newEmail, NEXT)).toMatchObject({ status: 200 });
    expect(await undo(userId)).toMatchObject({ status: 204 });
    expect(await login(email, NEXT)).toMatchObject({ status: 403, body: { code: 'password_reset_required' } });
    await holdIsOver(userId);
    await isMailedReset(userId, email);
    const own = await world.mailSecret(userId, 'password_reset');
    const choose = (newPassword: string) => post('/v1/auth/password/reset/confirm', { token: own, newPassword });
    expect(await choose(NEXT)).toMatchObject({ status: 400, body: { code: 'password_reused' } });
    expect(await choose('a third password, long as well')).toMatchObject({ status: 204 });
    expect(await login(email, 'a third password, long as well')).toMatchObject({ status: 200 });
  });

  it('if both object nobody signs in until an officer has decided, who says how identity was shown', async () => {
    for (const keep of ['current', 'other'] as const) {
      const { userId, email, newEmail } = await changed();
      await undo(userId);
      const client = world.client();
      await client.login(email, PASSWORD);
      expect(await object(userId)).toMatchObject({ status: 204 });
      expect(await client.get('/v1/auth/session')).toMatchObject({ status: 401 });
      expect(await login(email)).toMatchObject({ status: 403, body: { code: 'address_contested' } });
      expect(await login(email, 'not the password at all')).toMatchObject({ status: 401 });
      expect(await isMailedReset(userId, email)).toBe(false);
      for (const to of [email, newEmail]) expect(await mailsTo(to)).toContain('email_contested');
      expect(await eventOf(userId, 'email_contested')).toBeDefined();

      const staff = await officer();
      const path = `/v1/admin/users/${userId}/email/decide`;
      expect(await staff.client.post(path, { keep })).toMatchObject({ status: 400 });
      const decision = { keep, proof: 'identity_document' };
      expect(await staff.client.post(path, decision)).toMatchObject({ status: 204 });
      expect(await staff.client.post(path, decision)).toMatchObject({ status: 409, body: { code: 'not_contested' } });
      const [winner, loser] = keep === 'current' ? [email, newEmail] : [newEmail, email];
      expect(await account(userId)).toMatchObject({ email: winner, addressDispute: null, mustResetPassword: true });
      expect(await mailsTo(winner)).toContain('email_decided');
      expect(await mailsTo(loser)).toContain('email_decided_other');
      expect(await eventOf(userId, 'email_decided')).toMatchObject({
        actorId: staff.userId,
        detail: { by: 'staff', keep, proof: 'identity_document' },
      });
      expect(await login(winner)).toMatchObject({ status: 403, body: { code: 'password_reset_required' } });
      expect(await isMailedReset(userId, winner)).toBe(true);
      const token = await world.mailSecret(userId, 'password_reset');
      expect(await post('/v1/auth/password/reset/confirm', { token, newPassword: PASSWORD })).toMatchObject({ status: 400, body: { code: 'password_reused' } }); // prettier-ignore
      expect(await post('/v1/auth/password/reset/confirm', { token, newPassword: NEXT })).toMatchObject({
        status: 204,
      });
      expect(await login(winner, NEXT)).toMatchObject({ status: 200 });
    }
  });

  it('the address before is nobody else’s for seven days, and is given back only so long', async () => {
    const { userId, email } = await changed();
    const other = await world.account({ consent: false });
    const taken = { status: 409, body: { code: 'email_taken' } };
    expect(await post('/v1/auth/register', { email, password: PASSWORD })).toMatchObject(taken);
    const ask = { newEmail: email, currentPassword: PASSWORD };
    expect(await other.client.post('/v1/auth/email/change', ask)).toMatchObject({ status: 202 });
    expect(await mailsTo(email)).not.toContain('email_change_confirm');

    const token = await world.mailSecret(userId, 'email_changed_undo');
    const eightDaysAgo = new Date(Date.now() - 8 * 24 * HOUR_MS);
    await users().updateOne({ _id: userId }, { $set: { 'formerEmails.0.changedAt': eightDaysAgo } });
    expect(await post('/v1/auth/email/change/undo', { token })).toMatchObject({ status: 400 });
    expect(await post('/v1/auth/register', { email, password: PASSWORD })).toMatchObject({ status: 201 });
  });

  it('a thief who moves the address twice is undone by the first mailbox, and undoes nothing himself', async () => {
    const { userId, email, newEmail, client } = await changed();
    const first = await world.mailSecret(userId, 'email_changed_undo');
    const third = `${randomUUID()}@example.org`;
    await client.post('/v1/auth/email/change', { newEmail: third, currentPassword: PASSWORD });
    const confirm = await world.mailSecret(userId, 'email_change_confirm');
    await post('/v1/auth/email/change/confirm', { token: confirm });
    await users().updateOne({ _id: userId }, { $set: { 'newEmail.changesAt': new Date(Date.now() - 1_000) } });
    await get(EmailService).applyDue();
    expect(await account(userId)).toMatchObject({ email: third });
    const second = await world.mailSecret(userId, 'email_changed_undo');
    expect(await post('/v1/auth/email/change/undo', { token: first })).toMatchObject({ status: 204 });
    expect(await account(userId)).toMatchObject({ email, addressDispute: { other: third } });
    await holdIsOver(userId);
    expect(await post('/v1/auth/email/change/undo', { token: second })).toMatchObject({ status: 400 });
    expect(await account(userId)).toMatchObject({ email });
    expect(await mailsTo(newEmail)).not.toContain('email_objection');
  });

  it('C3: the address of a disabled account, or of one that is being erased, does not change', async () => {
    for (const state of ['disabled', 'erasing'] as const) {
      const { client, userId, email } = await world.account({ consent: false });
      const newEmail = `${randomUUID()}@example.org`;
      await client.post('/v1/auth/email/change', { newEmail, currentPassword: PASSWORD });
      const token = await world.mailSecret(userId, 'email_change_confirm');
      expect(await post('/v1/auth/email/change/confirm', { token })).toMatchObject({ status: 204 });
      // As if the account had been shut beside the last request, so that nothing dropped what was asked for.
      await users().updateOne({ _id: userId }, { $set: { 'newEmail.changesAt': new Date(Date.now() - 1_000), disabled: state === 'disabled' } }); // prettier-ignore
      await world.db.collection<{ _id: string }>('face_guards').updateOne({ _id: userId }, { $set: { state } });
      await get(EmailService).applyDue();
      expect(await account(userId)).toMatchObject({ email });
      await users().deleteOne({ _id: userId });
    }
  });

  it('B12: a changed password is another one', async () => {
    const { client } = await world.account({ consent: false });
    const change = { currentPassword: PASSWORD, newPassword: PASSWORD };
    expect(await client.put('/v1/auth/password', change)).toMatchObject({ status: 400, body: { code: 'password_reused' } }); // prettier-ignore
  });
});
