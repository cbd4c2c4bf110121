import { randomUUID } from 'node:crypto';
import { Accounts } from '#accounts';
import type { OutboxEvent, Role } from '#contracts';
import { POLICY } from '../../apps/gateway/src/http/policy.js';
import { GatewayWorld, PASSWORD, patiently } from './gateway-world.js';

jest.setTimeout(300_000);

const DAY_MS = 24 * 3_600_000;
type Account = Awaited<ReturnType<GatewayWorld['account']>>;

describe('roles (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ STAFF_READS: 'raised' });
  });
  afterAll(() => world?.stop());

  const users = () => world.db.collection<{ _id: string }>('users');
  const accounts = () => world.app.get(Accounts, { strict: false });
  const put = (userId: string, fields: object) => users().updateOne({ _id: userId }, { $set: fields });
  const rolesOf = async (userId: string): Promise<Role[]> => (await accounts().users.findById(userId))?.roles ?? [];
  const events = async (userId: string, type: string): Promise<OutboxEvent[]> => {
    const { outbox } = (await world.guard(userId)) as { outbox: { event?: OutboxEvent }[] };
    return outbox.flatMap(({ event }) => (event?.type === type ? [event] : []));
  };
  const person = async (): Promise<Account> => {
    const account = await world.account({ consent: false });
    await world.verifyEmail(account.userId);
    return account;
  };
  /** An administrator with a raised session, in office for so many days. */
  const admin = async (days = 30, fields: object = {}): Promise<Account> => {
    const account = await person();
    const adminSince = new Date(Date.now() - days * DAY_MS);
    await put(account.userId, { roles: ['user', 'admin'], adminSince, ...fields });
    await accounts().office.enter(account.userId);
    expect(await world.recover(account)).toMatchObject({ status: 200 });
    return account;
  };
  const set = (by: Account, userId: string, ...roles: string[]) =>
    by.client.put(`/v1/admin/users/${userId}/roles`, { roles });
  const confirm = (by: Account, requestId: unknown) =>
    by.client.post(`/v1/admin/role-requests/${String(requestId)}/confirm`);
  const requestOf = (body: Record<string, unknown>) => body.roleRequest as { requestId: string; roles: string[] };
  /** Nobody is administrator but those whom the test makes. */
  const nobodyElse = async (): Promise<void> => {
    await users().updateMany({ roles: 'admin' }, { $set: { roles: ['user'] } });
    await world.db.collection('offices').deleteMany({});
    await world.db.collection('role_requests').deleteMany({});
  };
  beforeEach(nobodyElse);

  it('B7: an administrator alone gives nobody a role, nor invites anybody into one', async () => {
    const [one, two, candidate] = [await admin(), await admin(), await person()];
    const asked = await set(one, candidate.userId, 'security', 'auditor');
    expect(asked).toMatchObject({ status: 200, body: { roles: ['user'], roleRequest: { roles: ['security', 'auditor'] } } }); // prettier-ignore
    const invited = await one.client.post('/v1/admin/users', {
      email: `${randomUUID()}@example.org`,
      roles: ['admin'],
    });
    expect(invited).toMatchObject({ status: 201, body: { roles: ['user'], roleRequest: { roles: ['admin'] } } });
    for (const { body } of [asked, invited]) {
      expect(await confirm(one, requestOf(body).requestId)).toMatchObject({ status: 403, body: { code: 'second_person_required' } }); // prettier-ignore
    }
    // Nor does whom it is about, were he administrator.
    expect(await rolesOf(candidate.userId)).toEqual(['user']);
    // All administrators are told.
    for (const { userId } of [one, two]) {
      const mails = await world.db.collection('mails').find({ userId, template: 'role_request' }).toArray();
      const asked = mails.map(({ params }) => (params as { roles: string }).roles);
      expect(asked.sort()).toEqual(['admin', 'security, auditor']);
    }
    const told = await events(candidate.userId, 'roles_asked');
    expect(told).toMatchObject([{ actorId: one.userId, detail: { roles: ['security', 'auditor'] } }]);
  });

  it('two persons do: with an event that names both, a mail, and every session of that person ended', async () => {
    const [one, two, candidate] = [await admin(), await admin(), await person()];
    const { requestId } = requestOf((await set(one, candidate.userId, 'security')).body);
    expect(await two.client.get('/v1/admin/role-requests')).toMatchObject({
      status: 200,
      body: { requests: [{ requestId, userId: candidate.userId, askedBy: one.userId, roles: ['security'] }] },
    });
    expect((await candidate.client.get('/v1/auth/session')).status).toBe(200);
    const both = await Promise.all([confirm(two, requestId), confirm(two, requestId)]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 404]);
    expect(await rolesOf(candidate.userId)).toEqual(['user', 'security']);
    expect((await candidate.client.get('/v1/auth/session')).status).toBe(401);
    expect(await events(candidate.userId, 'roles_changed')).toMatchObject([
      { actorId: two.userId, detail: { by: 'staff', added: ['security'], removed: [], askedBy: one.userId } },
    ]);
    const { outbox } = (await world.guard(candidate.userId)) as { outbox: { template?: string }[] };
    expect(outbox.map(({ template }) => template)).toContain('roles_changed');
  });

  it.each<[string, (one: Account) => Promise<Account>]>([
    ['in office for less than a week', () => admin(6.9)],
    ['invited by who asks', (one) => admin(30, { invitedBy: one.userId })],
    ['promoted by who asks', (one) => admin(30, { promotedBy: [randomUUID(), one.userId] })],
  ])('the second one is nobody %s', async (_, make) => {
    const [one, third, candidate] = [await admin(), await admin(), await person()];
    const puppet = await make(one);
    const { requestId } = requestOf((await set(one, candidate.userId, 'auditor')).body);
    expect(await confirm(puppet, requestId)).toMatchObject({ status: 403, body: { code: 'second_person_required' } });
    expect(await rolesOf(candidate.userId)).toEqual(['user']);
    expect(await confirm(third, requestId)).toMatchObject({ status: 200 });
    // Where there is no other, nobody is asked in vain: the command on the host is the way.
    await put(third.userId, { roles: ['user'] });
    await accounts().office.left(third.userId);
    const alone = await set(one, (await person()).userId, 'auditor');
    expect(alone).toMatchObject({ status: 403, body: { code: 'second_person_required' } });
  });

  it('a request ends after 72 hours, when it is refused, and when who asked is administrator no longer', async () => {
    const [one, two, candidate] = [await admin(), await admin(), await person()];
    const requests = world.db.collection<{ _id: string }>('role_requests');
    const ask = async () => requestOf((await set(one, candidate.userId, 'security')).body).requestId;
    const old = await ask();
    const row = (await requests.findOne({ _id: old })) as unknown as { expiresAt: Date; at: Date };
    expect(row.expiresAt.getTime() - row.at.getTime()).toBe(72 * 3_600_000);
    await requests.updateOne({ _id: old }, { $set: { expiresAt: new Date(Date.now() - 1) } });
    expect(await confirm(two, old)).toMatchObject({ status: 404 });

    const refused = await ask();
    expect(await two.client.delete(`/v1/admin/role-requests/${refused}`)).toMatchObject({ status: 204 });
    expect(await confirm(two, refused)).toMatchObject({ status: 404 });
    expect(await events(candidate.userId, 'roles_refused')).toMatchObject([{ actorId: two.userId }]);

    const void_ = await ask();
    expect(await set(two, one.userId)).toMatchObject({ status: 200, body: { roles: ['user'] } });
    expect(await confirm(two, void_)).toMatchObject({ status: 404 });
    expect(await rolesOf(candidate.userId)).toEqual(['user']);
  });

  it('A4: no role for an account that nobody has proved, and none that goes without ending its sessions', async () => {
    const [one, two] = [await admin(), await admin()];
    const squatter = await world.account({ consent: false });
    expect(await set(one, squatter.userId, 'security')).toMatchObject({ status: 403, body: { code: 'email_not_verified' } }); // prettier-ignore
    const row = await accounts().users.findById(squatter.userId);
    if (!row) throw new Error('no account');
    expect(await accounts().changeRoles(row, { add: ['security'] }, { operator: 'root' })).toEqual({
      kind: 'not_proved',
    });
    // Nor where the address was taken back between the look and the update.
    expect(await accounts().changeRoles({ ...row, emailVerified: true }, { add: ['security'] }, {})).toEqual({ kind: 'not_proved' }); // prettier-ignore
    expect(await rolesOf(squatter.userId)).toEqual(['user']);

    const officer = await person();
    const { requestId } = requestOf((await set(one, officer.userId, 'security', 'auditor')).body);
    expect(await confirm(two, requestId)).toMatchObject({ status: 200 });
    expect(await patiently(() => officer.client.login(officer.email, PASSWORD))).toMatchObject({ status: 200 });
    expect(await set(one, officer.userId, 'security')).toMatchObject({ status: 200, body: { roles: ['user', 'security'], roleRequest: null } }); // prettier-ignore
    expect((await officer.client.get('/v1/auth/session')).status).toBe(401);
    expect((await events(officer.userId, 'roles_changed')).at(-1)).toMatchObject({
      actorId: one.userId,
      detail: { by: 'staff', added: [], removed: ['auditor'] },
    });
  });

  it('C4: the roles of an invitation that is made anew are applied, not dropped', async () => {
    const [one, two] = [await admin(), await admin()];
    const email = `${randomUUID()}@example.org`;
    const invite = (...roles: string[]) => one.client.post('/v1/admin/users', { email, roles });
    const first = await invite('security', 'auditor');
    expect(await confirm(two, requestOf(first.body).requestId)).toMatchObject({ status: 200 });
    const userId = String(first.body.userId);
    expect(await rolesOf(userId)).toEqual(['user', 'security', 'auditor']);
    expect(await invite('security')).toMatchObject({ body: { roles: ['user', 'security'], roleRequest: null } });
    expect(await rolesOf(userId)).toEqual(['user', 'security']);
    expect(await invite('security', 'privacy')).toMatchObject({ body: { roleRequest: { roles: ['privacy'] } } });
    expect(await invite()).toMatchObject({ status: 201, body: { roles: ['user'] } });
    expect(await rolesOf(userId)).toEqual(['user']);
  });

  it('B8: nobody writes about himself, on any route that names a person', async () => {
    const one = await admin();
    await put(one.userId, { roles: ['user', 'admin', 'security', 'privacy'] });
    const lines = Object.entries(POLICY).flatMap(([line, access]) =>
      access.who === 'session' && access.roles.length > 0 && !line.startsWith('GET ') && line.includes('/users/:id')
        ? [line]
        : [],
    );
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) {
      const [method = '', route = ''] = line.split(' ');
      for (const id of [one.userId, one.userId.toUpperCase()]) {
        const headers = { authorization: `Bearer ${one.client.token}`, 'content-type': 'application/json' };
        const answer = await fetch(world.url + route.replace(':id', id), { method, headers, body: '{}' });
        expect([line, answer.status, await answer.json()]).toEqual([line, 403, expect.objectContaining({ code: 'forbidden' })]); // prettier-ignore
      }
    }
  });

  describe('C5: the last administrator', () => {
    const last = { status: 409, body: { code: 'last_admin' } };

    it('is not erased, and not stripped or disabled by an operator either', async () => {
      const one = await admin();
      expect(await one.client.post('/v1/privacy/erasures')).toMatchObject(last);
      expect((await one.client.get('/v1/auth/session')).status).toBe(200);
      const row = await accounts().users.findById(one.userId);
      if (!row) throw new Error('no account');
      await expect(accounts().changeRoles(row, { remove: ['admin'] }, {})).rejects.toThrow('last administrator');
      await expect(accounts().renew(one.userId, { by: 'disable' }, {})).rejects.toThrow('last administrator');
      expect(await rolesOf(one.userId)).toContain('admin');
      // One who was invited and has not come is none.
      await accounts().openInvitation({ email: `${randomUUID()}@example.org`, roles: ['admin'] });
      expect(await one.client.post('/v1/privacy/erasures')).toMatchObject(last);
    });

    it('is whoever comes second of two who strip or disable each other at the same time', async () => {
      for (let round = 0; round < 8; round++) {
        await nobodyElse();
        const [one, two] = [await admin(), await admin()];
        const strips = (by: Account, of: Account) =>
          round % 2 ? set(by, of.userId) : by.client.post(`/v1/admin/users/${of.userId}/disable`);
        const answers = await Promise.all([strips(one, two), strips(two, one)]);
        // The loser is told so, or is out already.
        const statuses = answers.map(({ status }) => status).sort();
        expect([[200, 409], [204, 409], [200, 401], [204, 401], [200, 403], [204, 403]]).toContainEqual(statuses); // prettier-ignore
        const left = await users().countDocuments({ roles: 'admin', disabled: { $ne: true } });
        expect(left).toBe(1);
      }
    });

    it('of many who all strip one another one stays', async () => {
      const all = await Promise.all(Array.from({ length: 5 }, () => admin()));
      const rows = await accounts().users.findAll(all.map(({ userId }) => userId));
      const results = await Promise.allSettled(
        rows.map((row) => accounts().changeRoles(row, { remove: ['admin'] }, {})),
      );
      expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1);
      expect(await users().countDocuments({ roles: 'admin' })).toBe(1);
    });

    it('may go once an invited one has accepted, or a disabled one is enabled', async () => {
      const [one, two] = [await admin(), await admin()];
      expect(await one.client.post(`/v1/admin/users/${two.userId}/disable`)).toMatchObject({ status: 204 });
      expect(await one.client.post('/v1/privacy/erasures')).toMatchObject(last);
      expect(await one.client.post(`/v1/admin/users/${two.userId}/enable`)).toMatchObject({ status: 204 });
      const row = await accounts().users.findById(one.userId);
      if (!row) throw new Error('no account');
      expect(await accounts().changeRoles(row, { remove: ['admin'] }, {})).toMatchObject({ removed: ['admin'] });
      const email = `${randomUUID()}@example.org`;
      const made = await accounts().openInvitation({ email, roles: ['admin'] });
      if (made.kind !== 'created') throw new Error(made.kind);
      const accept = { token: made.secret, newPassword: PASSWORD };
      expect(await world.client().post('/v1/auth/invitation/accept', accept)).toMatchObject({ status: 200 });
      const second = await accounts().users.findById(two.userId);
      if (!second) throw new Error('no account');
      expect(await accounts().changeRoles(second, { remove: ['admin'] }, {})).toMatchObject({ removed: ['admin'] });
    });
  });

  it('C13: staff read of people and events with more than a password', async () => {
    const one = await admin();
    await put(one.userId, { roles: ['user', 'admin', 'security'] });
    const stolen = world.client();
    expect(await patiently(() => stolen.login(one.email, PASSWORD))).toMatchObject({ status: 200 });
    const lines = Object.entries(POLICY).flatMap(([line, access]) =>
      line.startsWith('GET ') && access.who === 'session' && access.roles.length > 0 ? [line] : [],
    );
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) {
      const path = line.slice(4).replace(':id', one.userId);
      const refused = await stolen.get(path);
      expect([line, refused.status, refused.body.code]).toEqual([line, 403, 'step_up_required']);
      // No audit answers here: what is let in is asked of it.
      expect([200, 503]).toContain((await one.client.get(path)).status);
    }
  });
});
