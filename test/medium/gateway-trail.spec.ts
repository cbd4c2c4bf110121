import { randomUUID } from 'node:crypto';
import type { OutboxEvent, Role } from '#contracts';
import { POLICY } from '../../apps/gateway/src/http/policy.js';
import { EmailService } from '../../apps/gateway/src/auth/email.service.js';
import { GatewayWorld, giveConsent, GOOD, PASSWORD, sleep } from './gateway-world.js';

jest.setTimeout(300_000);

const NEXT = 'another long password';

/** Writes that leave no event of their own, and what tells of them instead. */
const TOLD_ELSEWHERE: Record<string, string> = {
  'POST /v1/auth/login/link/confirm': 'login_ok, by the very same code as a login; refusals: gateway-refusals.spec.ts',
  'POST /v1/face/enrolments': 'its end is the event',
  'POST /v1/face/practice': 'its end is the event',
  'POST /v1/face/attempts': 'its end is the event',
  'POST /v1/face/attempts/:id/steps/:n': 'the end of the attempt is the event',
  'POST /v1/privacy/erasures': 'erasure_requested, with its origin: erasure-hold.spec.ts',
  'DELETE /v1/privacy/erasures': 'erasure_cancelled: erasure-hold.spec.ts',
  'POST /v1/privacy/cancel-erasure': 'erasure_cancelled: erasure-hold.spec.ts',
  'POST /v1/sessions/tokens': 'introspected, as the application asks by it; alone the token does nothing',
  'POST /v1/sessions/introspect': 'introspected, once a session and client: clients.spec.ts',
  'POST /v1/auth/register/finish': 'password_changed, by the very same code as an accepted invitation',
  'POST /v1/auth/email/change/undo': 'email_change_undone: address-disputes.spec.ts',
  'POST /v1/auth/email/change/object': 'email_contested: address-disputes.spec.ts',
  'POST /v1/admin/users/:id/email/decide': 'email_decided: address-disputes.spec.ts',
  'POST /v1/security/not-me': 'session_ended with detail: not-me.spec.ts',
};

describe('B10: every write of the policy leaves its event (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  let officer: Account;
  let second: Account;
  beforeAll(async () => {
    world = await GatewayWorld.start();
    officer = await staff('admin', 'security', 'auditor');
    second = await staff('admin');
    await users().updateMany({ roles: 'admin' }, { $set: { adminSince: new Date(0) } });
  });
  afterAll(() => world?.stop());

  type Account = Awaited<ReturnType<GatewayWorld['account']>>;
  const users = () => world.db.collection<{ _id: string }>('users');
  const staff = async (...roles: Role[]): Promise<Account> => {
    const account = await world.account({ consent: false });
    await users().updateOne({ _id: account.userId }, { $set: { roles: ['user', ...roles] } });
    await world.verifyEmail(account.userId);
    await world.recover(account);
    return account;
  };
  /** The trail of a person: his guard's outbox, and what the system outboxes hold of him. */
  const trail = async (userId: string): Promise<OutboxEvent[]> => {
    const { outbox } = (await world.guard(userId)) as { outbox: { event?: OutboxEvent }[] };
    const system = await world.db.collection('system_outboxes').find().toArray();
    const others = system.flatMap(({ entries }) => entries as OutboxEvent[]);
    return [...outbox.flatMap(({ event }) => event ?? []), ...others.filter((event) => event.userId === userId)];
  };
  /** The newest event of a type; some are written while the answer is already on its way. */
  const last = async (userId: string, type: string): Promise<OutboxEvent | undefined> => {
    for (let i = 0; i < 50; i++) {
      const found = (await trail(userId)).filter((event) => event.type === type).at(-1);
      if (found) return found;
      await sleep(50);
    }
    return undefined;
  };

  interface Write {
    /** Does it; returns whose trail has the event. */
    act: (one: Account) => Promise<{ status: number; userId?: string }>;
    type: string;
    /** What the event says beside its type. */
    says?: () => object;
    /** Whether it says from where. All but the operator's do. */
    origin?: false;
  }
  const actor = () => ({ actorId: officer.userId, detail: { by: 'staff' } });
  const asked = async ({ client, userId }: Account): Promise<void> => {
    const newEmail = `${randomUUID()}@example.org`;
    expect(await client.post('/v1/auth/email/change', { newEmail, currentPassword: PASSWORD })).toMatchObject({ status: 202 }); // prettier-ignore
    expect(await world.mailSecret(userId, 'email_change_confirm')).toHaveLength(43);
  };
  const askedFor = async (one: Account): Promise<string> => {
    await world.verifyEmail(one.userId);
    const { body } = await officer.client.put(`/v1/admin/users/${one.userId}/roles`, { roles: ['privacy'] });
    return (body.roleRequest as { requestId: string }).requestId;
  };
  const anyone = () => world.client();
  const atStaff = (route: string) => (one: Account) => officer.client.post(`/v1/admin/users/${one.userId}/${route}`);

  const WRITES: Record<string, Write> = {
    'POST /v1/auth/register': {
      act: async () => {
        const { status, body } = await anyone().post('/v1/auth/register', { email: `${randomUUID()}@example.org`, password: PASSWORD }); // prettier-ignore
        return { status, userId: String(body.userId) };
      },
      type: 'registered',
      says: () => ({ detail: { by: 'self', roles: ['user'] } }),
    },
    'POST /v1/auth/login': { act: ({ email }) => anyone().login(email, PASSWORD), type: 'login_ok' },
    'POST /v1/auth/logout': { act: ({ client }) => client.post('/v1/auth/logout'), type: 'logout' },
    'POST /v1/auth/email/verify': {
      act: async ({ userId }) =>
        anyone().post('/v1/auth/email/verify', { token: await world.mailSecret(userId, 'email_verify') }),
      type: 'email_verified',
    },
    'POST /v1/auth/email/resend': { act: ({ client }) => client.post('/v1/auth/email/resend'), type: 'verification_sent' }, // prettier-ignore
    'PUT /v1/auth/password': {
      act: ({ client }) => client.put('/v1/auth/password', { currentPassword: PASSWORD, newPassword: NEXT }),
      type: 'password_changed',
    },
    'POST /v1/auth/password/verify': {
      act: ({ client }) => client.post('/v1/auth/password/verify', { password: PASSWORD }),
      type: 'password_verified',
    },
    'POST /v1/auth/password/reset': {
      act: ({ email }) => anyone().post('/v1/auth/password/reset', { email }),
      type: 'password_reset_asked',
    },
    'POST /v1/auth/login/link': {
      act: ({ email }) => anyone().post('/v1/auth/login/link', { email }),
      type: 'login_link_asked',
    },
    'POST /v1/auth/password/reset/confirm': {
      act: async ({ email, userId }) => {
        await anyone().post('/v1/auth/password/reset', { email });
        await last(userId, 'password_reset_asked');
        await sleep(500);
        const token = await world.mailSecret(userId, 'password_reset');
        return anyone().post('/v1/auth/password/reset/confirm', { token, newPassword: NEXT });
      },
      type: 'password_changed',
    },
    'POST /v1/auth/invitation/accept': {
      act: async () => {
        const { body } = await officer.client.post('/v1/admin/users', { email: `${randomUUID()}@example.org` });
        const token = await world.mailSecret(String(body.userId), 'account_invite');
        const { status } = await anyone().post('/v1/auth/invitation/accept', { token, newPassword: NEXT });
        return { status, userId: String(body.userId) };
      },
      type: 'password_changed',
    },
    'POST /v1/auth/email/change': {
      act: async (one) => {
        await asked(one);
        return { status: 202 };
      },
      type: 'email_change_asked',
    },
    'POST /v1/auth/email/change/confirm': {
      act: async (one) => {
        await asked(one);
        const token = await world.mailSecret(one.userId, 'email_change_confirm');
        return anyone().post('/v1/auth/email/change/confirm', { token });
      },
      type: 'email_change_confirmed',
    },
    'POST /v1/auth/email/change/cancel': {
      act: async (one) => {
        await asked(one);
        const token = await world.mailSecret(one.userId, 'email_change_notice');
        return anyone().post('/v1/auth/email/change/cancel', { token });
      },
      type: 'email_change_cancelled',
    },
    'DELETE /v1/auth/email/change': {
      act: async (one) => {
        await asked(one);
        return one.client.delete('/v1/auth/email/change');
      },
      type: 'email_change_cancelled',
      says: () => ({ detail: { by: 'own_session' } }),
    },
    'DELETE /v1/auth/sessions/:id': {
      act: async ({ client }) => {
        const { sessionId } = (await client.get('/v1/auth/session')).body;
        return client.delete(`/v1/auth/sessions/${String(sessionId)}`);
      },
      type: 'session_ended',
      says: () => ({ sessionId: expect.any(String) as string, detail: { by: 'own_session' } }),
    },
    'PUT /v1/face/consent': {
      act: async ({ client }) => {
        await giveConsent(client);
        return { status: 200 };
      },
      type: 'consent_given',
    },
    'DELETE /v1/face/consent': { act: ({ client }) => client.delete('/v1/face/consent'), type: 'consent_withdrawn' },
    'PUT /v1/face/preferences': {
      act: ({ client }) => client.put('/v1/face/preferences', { optOuts: [], extraTime: true }),
      type: 'preferences_changed',
    },
    'DELETE /v1/face/enrolment': { act: ({ client }) => client.delete('/v1/face/enrolment'), type: 'unenrolled' },
    'DELETE /v1/face/attempts/:id': {
      act: async ({ client }) => {
        await giveConsent(client);
        const { body } = await world.begin(client, 'enrolments', GOOD);
        return client.delete(`/v1/face/attempts/${String(body.attemptId)}`);
      },
      type: 'cancelled',
    },
    'POST /v1/recovery/codes': {
      act: async ({ client, userId }) => {
        await world.verifyEmail(userId);
        return client.post('/v1/recovery/codes');
      },
      type: 'recovery_sent',
    },
    'POST /v1/recovery/verify': {
      act: async (one) => {
        await world.verifyEmail(one.userId);
        return world.recover(one);
      },
      type: 'recovery_used',
    },
    'POST /v1/admin/users': {
      act: async () => {
        const invite = { email: `${randomUUID()}@example.org` };
        await officer.client.post('/v1/admin/users', invite);
        const { status, body } = await officer.client.post('/v1/admin/users', invite);
        const events = await trail(String(body.userId));
        expect(events.filter(({ type }) => type === 'invited').map(({ detail }) => detail?.again)).toEqual([
          false,
          true,
        ]);
        return { status, userId: String(body.userId) };
      },
      type: 'invited',
      says: () => ({ actorId: officer.userId, detail: { by: 'staff', roles: ['user'], again: true } }),
    },
    'PUT /v1/admin/users/:id/roles': {
      act: async (one) => {
        await world.verifyEmail(one.userId);
        return officer.client.put(`/v1/admin/users/${one.userId}/roles`, { roles: ['privacy'] });
      },
      type: 'roles_asked',
      says: () => ({ actorId: officer.userId, detail: { by: 'staff', roles: ['privacy'], request: expect.any(String) as string } }), // prettier-ignore
    },
    'POST /v1/admin/role-requests/:id/confirm': {
      act: async (one) => second.client.post(`/v1/admin/role-requests/${await askedFor(one)}/confirm`),
      type: 'roles_changed',
      says: () => ({ actorId: second.userId, detail: { by: 'staff', added: ['privacy'], askedBy: officer.userId } }),
      origin: false,
    },
    'DELETE /v1/admin/role-requests/:id': {
      act: async (one) => second.client.delete(`/v1/admin/role-requests/${await askedFor(one)}`),
      type: 'roles_refused',
      says: () => ({ actorId: second.userId, detail: { by: 'staff', roles: ['privacy'] } }),
    },
    'POST /v1/admin/users/:id/disable': { act: atStaff('disable'), type: 'disabled', says: actor },
    'POST /v1/admin/users/:id/enable': { act: atStaff('enable'), type: 'enabled', says: actor },
    'POST /v1/admin/users/:id/unlock': { act: atStaff('unlock'), type: 'unlocked', says: actor },
    'POST /v1/admin/users/:id/require-re-enrolment': {
      act: atStaff('require-re-enrolment'),
      type: 're_enrolment_required',
      says: actor,
    },
  };

  it.each(Object.keys(WRITES))('%s', async (route) => {
    const { act, type, says, origin } = WRITES[route] as Write;
    const account = await world.account({ consent: false });
    const before = (await trail(account.userId)).filter((event) => event.type === type).length;
    const { status, userId = account.userId } = await act(account);
    expect(status).toBeLessThan(300);
    const event = await last(userId, type);
    expect(event).toMatchObject(says?.() ?? {});
    if (userId === account.userId) expect((await trail(userId)).filter((one) => one.type === type)).toHaveLength(before + 1); // prettier-ignore
    if (origin !== false) expect(await world.personal(event as OutboxEvent)).toMatchObject({ deviceModel: 'Pixel 9' });
  });

  it('knows every write of the policy', () => {
    const writes = Object.keys(POLICY).filter((line) => !line.startsWith('GET '));
    expect([...Object.keys(WRITES), ...Object.keys(TOLD_ELSEWHERE)].sort()).toEqual(writes.sort());
  });

  it('a change of address that came true is told', async () => {
    const one = await world.account({ consent: false });
    await asked(one);
    const token = await world.mailSecret(one.userId, 'email_change_confirm');
    await anyone().post('/v1/auth/email/change/confirm', { token });
    await users().updateOne({ _id: one.userId }, { $set: { 'newEmail.changesAt': new Date(Date.now() - 1_000) } });
    await world.app.get(EmailService, { strict: false }).applyDue();
    expect(await last(one.userId, 'email_changed')).toBeDefined();
  });

  describe('what staff read', () => {
    const newest = async (type: string) => (await trail(officer.userId)).filter((e) => e.type === type).at(-1);

    it('a list is one event in the reader’s trail, with its filter', async () => {
      expect(await officer.client.get('/v1/admin/users?limit=7')).toMatchObject({ status: 200 });
      expect((await newest('admin_read'))?.detail).toEqual({ object: 'accounts', filter: [], limit: 7 });
    });

    it.each(['face', 'account'])(
      'of one person (%s) it is in his trail too, with the role and not the officer',
      async (object) => {
        const one = await world.account({ consent: false });
        const path = object === 'face' ? `${one.userId}/face` : `?email=${one.email}`;
        expect(await officer.client.get(`/v1/admin/users${object === 'face' ? '/' : ''}${path}`)).toMatchObject({ status: 200 }); // prettier-ignore
        const own = (await trail(one.userId)).filter((event) => event.type === 'admin_read');
        expect(own).toEqual([
          expect.objectContaining({ detail: { object, role: object === 'face' ? 'security' : 'admin' } }),
        ]);
        expect(JSON.stringify(own)).not.toContain(officer.userId);
        expect(await world.personal(own[0] as OutboxEvent)).toEqual({});
        // The reader's entry names the person's by its id: that is how an auditor finds whose data it was.
        expect((await newest('admin_read'))?.detail).toMatchObject({ object, event: own[0]?.eventId });
        // It never fills the outbox by which a begin is `busy`.
        expect(await world.eventTypes(one.userId)).toEqual(['registered', 'login_ok']);
      },
    );

    it.each(['security-events', 'security-events.csv'])(
      'events (%s) with which filters, never a filter’s address or device',
      async (path) => {
        const one = await world.account({ consent: false });
        const query = `type=login_failed&address=192.0.2.7&device=Pixel&userId=${one.userId}`;
        // No audit answers here; the read is on record before it is asked.
        expect((await officer.client.get(`/v1/admin/${path}?${query}`)).status).toBe(503);
        const [read, similarity] = [await newest('admin_read'), await newest('similarity_read')];
        const object = path.endsWith('csv') ? 'events_csv' : 'events';
        const filter = ['type', 'userId', 'device', 'address'];
        for (const event of [read, similarity])
          expect(event?.detail).toMatchObject({ object, filter, type: 'login_failed' });
        expect(JSON.stringify([read?.detail, similarity?.detail])).not.toMatch(/192\.0\.2\.7|Pixel/);
        expect((await trail(one.userId)).map(({ type, detail }) => [type, detail?.role])).toEqual(
          expect.arrayContaining([
            ['admin_read', 'security'],
            ['similarity_read', 'auditor'],
          ]),
        );
      },
    );

    it('every staff read of the policy is here', () => {
      const reads = Object.entries(POLICY).flatMap(([line, access]) =>
        line.startsWith('GET ') && access.who === 'session' && access.roles.length > 0 ? [line] : [],
      );
      expect(reads.sort()).toEqual([
        'GET /v1/admin/role-requests',
        'GET /v1/admin/security-events',
        'GET /v1/admin/security-events.csv',
        'GET /v1/admin/users',
        'GET /v1/admin/users/:id/face',
      ]);
    });
  });
});
