import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Accounts, hashPassword, LinkTokenRepository, PendingChanges, type UserRow, UserRepository } from '#accounts';
import { type EventType, type MailTemplate, NOT_ME_COLLECTION } from '#contracts';
import type { GuardStore } from '#guard';
import type { Answer } from '#testing';
import { EmailService } from '../../apps/gateway/src/auth/email.service.js';
import { GUARD } from '../../apps/gateway/src/face/guard.module.js';
import { GatewayWorld, PASSWORD } from './gateway-world.js';

jest.setTimeout(240_000);

const NEXT = 'another long enough password';
interface Person {
  userId: string;
  client: Awaited<ReturnType<GatewayWorld['account']>>['client'];
  email: string;
}
interface Case {
  act: (person: Person) => Promise<Answer | object | null>;
  /** What has to be told of it: once each. */
  events: EventType[];
  mails?: MailTemplate[];
  /** What else it does cannot be done while nothing can be told; that is no claim that the change was not made. */
  mayFault?: true;
  stored: (before: UserRow, after: UserRow | null) => boolean;
}

describe('B9, T54: a change of an account and what follows from it are one (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());
  afterEach(() => jest.restoreAllMocks());

  const get = <T>(what: abstract new (...args: never[]) => T): T => world.app.get(what, { strict: false });
  const account = async (userId: string): Promise<UserRow> =>
    (await get(UserRepository).findById(userId)) ?? Promise.reject(new Error('no account'));
  const users = () => world.db.collection<{ _id: string; hasPending?: boolean; pending?: unknown[] }>('users');
  const post = (path: string, body: object): Promise<Answer> => world.client().post(path, body);
  const issue = async (kind: 'reset_password' | 'invite', { userId }: Person): Promise<string> =>
    get(LinkTokenRepository).issue(kind, await account(userId));
  const passwordIsNew = (before: UserRow, after: UserRow | null): boolean =>
    before.passwordHash !== after?.passwordHash;

  const notMeLink = async ({ userId }: Person): Promise<string> => {
    const token = randomBytes(32).toString('base64url');
    const _id = createHash('sha256').update(token).digest('hex');
    const [createdAt, expireAt] = [new Date(), new Date(Date.now() + 60_000)];
    const row = { _id, userId, template: 'password_changed', createdAt, expireAt };
    await world.db.collection<{ _id: string }>(NOT_ME_COLLECTION).insertOne(row);
    return token;
  };
  const wantAnother = async ({ userId }: Person): Promise<void> => {
    const newEmail = { email: `${randomUUID()}@example.org`, requestedAt: new Date(), changesAt: new Date(0) };
    await users().updateOne({ _id: userId }, { $set: { newEmail, hasNewEmail: true } as never });
  };

  const cases: Record<string, Case> = {
    'a password changed': {
      act: ({ client }) => client.put('/v1/auth/password', { currentPassword: PASSWORD, newPassword: NEXT }),
      events: ['password_changed'],
      mails: ['password_changed'],
      stored: passwordIsNew,
    },
    'a password reset, with a change of address under way': {
      act: async (person) => {
        await wantAnother(person);
        const token = await issue('reset_password', person);
        return post('/v1/auth/password/reset/confirm', { token, newPassword: NEXT });
      },
      events: ['password_changed', 'email_change_cancelled'],
      mails: ['password_changed'],
      stored: passwordIsNew,
    },
    'an invitation accepted': {
      act: async (person) =>
        post('/v1/auth/invitation/accept', { token: await issue('invite', person), newPassword: NEXT }),
      mayFault: true,
      events: ['password_changed'],
      mails: ['password_changed'],
      stored: passwordIsNew,
    },
    '"this was not me"': {
      act: async (person) => post('/v1/security/not-me', { token: await notMeLink(person) }),
      events: ['session_ended'],
      stored: (_, after) => after?.mustResetPassword === true,
    },
    'an address asked for': {
      act: ({ client }) =>
        client.post('/v1/auth/email/change', { newEmail: `${randomUUID()}@example.org`, currentPassword: PASSWORD }),
      events: ['email_change_asked'],
      mails: ['email_change_notice', 'email_change_confirm'],
      stored: (_, after) => after?.newEmail !== null,
    },
    'an address changed': {
      act: async (person) => {
        await wantAnother(person);
        await get(EmailService).applyDue();
        return { status: 204 };
      },
      events: ['email_changed'],
      mails: ['email_changed', 'email_changed_undo'],
      stored: (before, after) => before.email !== after?.email,
    },
    'an address verified': {
      act: async ({ userId }) =>
        post('/v1/auth/email/verify', { token: await world.mailSecret(userId, 'email_verify') }),
      events: ['email_verified'],
      stored: (_, after) => after?.emailVerified === true,
    },
    'an account disabled': {
      act: ({ userId }) => get(Accounts).renew(userId, { by: 'disable' }, {}),
      events: ['disabled'],
      mails: ['account_disabled'],
      stored: (_, after) => after?.disabled === true,
    },
    'an account enabled': {
      act: async ({ userId }) => ({ done: await get(Accounts).enable(userId, {}) }),
      events: ['enabled'],
      mails: ['account_enabled'],
      stored: (_, after) => after?.disabled === false,
    },
    'roles given': {
      act: async ({ userId }) => {
        const verified = { $set: { emailVerified: true } };
        await world.db.collection<{ _id: string }>('users').updateOne({ _id: userId }, verified);
        return get(Accounts).changeRoles(await account(userId), { add: ['auditor'] }, {});
      },
      events: ['roles_changed'],
      mails: ['roles_changed'],
      stored: (before, after) =>
        after?.roles.includes('auditor') === true && after.sessionEpoch === before.sessionEpoch + 1,
    },
  };

  /** Everything of a person that audit would find: of the guard's outbox and of the mails beside it. */
  async function told(userId: string): Promise<{ events: string[]; mails: string[] }> {
    const { outbox } = (await world.guard(userId)) as {
      outbox: { event?: { type: string }; template?: string }[];
    };
    const rows = await world.db.collection('mails').find({ userId }).toArray();
    return {
      events: outbox.flatMap(({ event }) => (event ? [event.type] : [])).sort(),
      mails: [...outbox.flatMap(({ template }) => template ?? []), ...rows.map((row) => String(row.template))].sort(),
    };
  }
  const without = (all: string[], before: string[]): string[] => {
    const left = [...before];
    return all.filter((one) => {
      const at = left.indexOf(one);
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
  };

  it.each(Object.keys(cases))('%s: told once, though nothing could be told when it was made', async (name) => {
    const { act, events, mails = [], mayFault = false, stored } = cases[name] as Case;
    const person = await world.account({ consent: false });
    const { userId } = person;
    const [before, earlier] = [await account(userId), await told(userId)];
    const guard = world.app.get<GuardStore>(GUARD, { strict: false });
    const gone = () => Promise.reject(new Error('the database is away'));
    const faults = [jest.spyOn(guard, 'change'), jest.spyOn(guard, 'appendPrepared')];
    for (const fault of faults) fault.mockImplementation(gone);
    const answer = await act(person);
    // Whatever is stored is not answered as if it were not.
    if (answer !== null && 'status' in answer)
      expect([200, 202, 204, ...(mayFault ? [500] : [])]).toContain(answer.status);
    else expect(answer).not.toBeNull();
    expect(await users().findOne({ _id: userId })).toMatchObject({ hasPending: true });
    for (const fault of faults) fault.mockRestore();

    const pending = get(PendingChanges);
    await Promise.all([pending.sweep(), pending.sweep()]);
    await pending.sweep();
    expect(stored(before, await account(userId))).toBe(true);
    expect(await users().findOne({ _id: userId })).toMatchObject({ hasPending: false, pending: [] });
    const now = await told(userId);
    const opened = ['login_ok', 'session_ended'];
    expect(without(now.events, [...earlier.events, ...(events.includes('session_ended') ? [] : opened)])).toEqual(
      [...events].sort(),
    );
    expect(without(now.mails, earlier.mails)).toEqual([...mails].sort());
  });

  it('an account that is made is mailed its link, and its invitation once, though nothing could be told then', async () => {
    const guard = world.app.get<GuardStore>(GUARD, { strict: false });
    const mails = () => world.db.collection('mails');
    const append = guard.appendPrepared.bind(guard);
    const fault = jest.spyOn(guard, 'appendPrepared').mockImplementation((userId, event) => {
      if (event.type === 'registered') return append(userId, event);
      return Promise.reject(new Error('the database is away'));
    });
    const email = `${randomUUID()}@example.org`;
    const passwordHash = await hashPassword(NEXT);
    const made = await get(Accounts).create({
      email,
      passwordHash,
      follows: (user, draft) => get(EmailService).verification(user, draft),
    });
    const invited = await get(Accounts).openInvitation({ email: `${randomUUID()}@example.org` });
    if (made.kind !== 'created' || invited.kind !== 'created') throw new Error('not made');
    expect(await mails().countDocuments({ userId: made.user._id, template: 'email_verify' })).toBe(1);
    expect(await world.eventTypes(invited.user._id)).toEqual(['registered']);
    fault.mockRestore();
    await get(PendingChanges).sweep();
    expect(await world.eventTypes(invited.user._id)).toEqual(['registered', 'invited']);
  });

  it('one account whose pending change is damaged holds up nobody else', async () => {
    const [damaged, other] = [await world.account({ consent: false }), await world.account({ consent: false })];
    await users().updateOne({ _id: damaged.userId }, { $set: { hasPending: true, pending: [{ id: 'x' }] } as never });
    const guard = world.app.get<GuardStore>(GUARD, { strict: false });
    const fault = jest.spyOn(guard, 'change').mockRejectedValue(new Error('the database is away'));
    await get(Accounts).renew(other.userId, { by: 'disable' }, {});
    fault.mockRestore();
    await get(PendingChanges).sweep();
    expect(await world.eventTypes(other.userId)).toContain('disabled');
    expect(await world.eventTypes(damaged.userId)).not.toContain('disabled');
  });
});
