import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Accounts, AddressDisputes, LinkTokenRepository, type Renewal, type UserRow, UserRepository } from '#accounts';
import { isGrant, MAILED_LINK_KINDS, type MailedLink, NOT_ME_COLLECTION } from '#contracts';
import type { Answer, ApiClient } from '#testing';
import { CredentialRenewal } from '../../apps/gateway/src/sessions/credential-renewal.js';
import { SessionService } from '../../apps/gateway/src/sessions/session.service.js';
import { GatewayWorld, PASSWORD, sleep } from './gateway-world.js';

jest.setTimeout(240_000);

const NEXT = 'another long enough password';
const LATER = 'a third password, long as well';

interface Person {
  client: ApiClient;
  email: string;
  userId: string;
}
type Tokens = Record<MailedLink, string>;

describe('"credentials renewed" is one path (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  const get = <T>(what: abstract new (...args: never[]) => T): T => world.app.get(what, { strict: false });
  const rows = () => world.db.collection<{ _id: string; kind: MailedLink; usedAt: Date | null }>('link_tokens');
  const account = async (userId: string): Promise<UserRow> =>
    (await get(UserRepository).findById(userId)) ?? Promise.reject(new Error('no account'));
  const post = (path: string, body: object): Promise<Answer> => world.client().post(path, body);
  const wantAnother = (userId: string) =>
    world.db
      .collection<{ _id: string }>('users')
      .updateOne(
        { _id: userId },
        { $set: { newEmail: { email: `${randomUUID()}@example.org`, requestedAt: new Date(), changesAt: null } } },
      );

  const users = () => world.db.collection<{ _id: string }>('users');
  const hashOf = (token: string) => createHash('sha256').update(token).digest('hex');
  const mailedTo = async (token: string): Promise<string> => {
    const row = await rows().findOne({ _id: hashOf(token) });
    return String((row as { email?: string } | null)?.email);
  };
  /** As if the address had been changed just now. */
  const hadAnother = async (userId: string, email: string) => {
    const former = { email, emailVerified: true, changedAt: new Date(), credentialEpoch: 1_000 };
    await users().updateOne(
      { _id: userId },
      { $set: { formerEmails: [former], addressDispute: null, disabled: false } },
    );
  };
  const isDisputed = async (userId: string, other: string, contestedAt: Date | null = null) => {
    const holdUntil = new Date(Date.now() + 3_600_000);
    const addressDispute = { by: 'undo', other, otherVerified: true, holdUntil, contestedAt };
    await users().updateOne({ _id: userId }, { $set: { addressDispute } });
  };

  /** How each kind of link is used. A new kind does not compile until it stands here, and in the table of classes. */
  const use: Record<MailedLink, (token: string, person: Person) => Promise<Answer>> = {
    verify_email: (token) => post('/v1/auth/email/verify', { token }),
    registration: (token) => post('/v1/auth/register/finish', { token, newPassword: LATER }),
    reset_password: (token) => post('/v1/auth/password/reset/confirm', { token, newPassword: LATER }),
    invite: (token) => post('/v1/auth/invitation/accept', { token, newPassword: LATER }),
    login: async (token, { userId }) => {
      const { mustResetPassword } = await account(userId);
      const login = (password: string) => post('/v1/auth/login/link/confirm', { token, password });
      return login(mustResetPassword ? PASSWORD : NEXT);
    },
    confirm_new_email: (token) => post('/v1/auth/email/change/confirm', { token }),
    cancel_new_email: async (token, { userId }) => {
      await wantAnother(userId);
      return post('/v1/auth/email/change/cancel', { token });
    },
    undo_email_change: async (token, { userId }) => {
      await hadAnother(userId, await mailedTo(token));
      return post('/v1/auth/email/change/undo', { token });
    },
    object_email_change: async (token, { userId }) => {
      await isDisputed(userId, await mailedTo(token));
      return post('/v1/auth/email/change/object', { token });
    },
    cancel_erasure: async (token, { userId }) => {
      const [requestedAt, dueAt] = [new Date(), new Date(Date.now() + 3_600_000)];
      const erasure = { id: randomUUID(), requestedAt, dueAt, begun: false };
      await users().updateOne({ _id: userId }, { $set: { erasure, hasErasure: true } });
      return post('/v1/privacy/cancel-erasure', { token });
    },
    not_me: (token) => post('/v1/security/not-me', { token }),
  };

  /** Every kind of link at once, as they would be mailed. */
  async function linksOf({ userId }: Person): Promise<Tokens> {
    const [user, links] = [await account(userId), get(LinkTokenRepository)];
    const tokens: Partial<Tokens> = {};
    for (const kind of MAILED_LINK_KINDS) {
      if (kind === 'not_me') continue;
      const isOfAnother = kind === 'undo_email_change' || kind === 'object_email_change';
      const email = isOfAnother
        ? `${randomUUID()}@example.org`
        : kind === 'confirm_new_email'
          ? user.newEmail?.email
          : undefined;
      tokens[kind] = await links.issue(kind, user, email === undefined ? {} : { email });
    }
    tokens.not_me = await notMeLink(userId);
    return tokens as Tokens;
  }
  async function notMeLink(userId: string): Promise<string> {
    const token = randomBytes(32).toString('base64url');
    const _id = createHash('sha256').update(token).digest('hex');
    const row = {
      userId,
      template: 'password_changed',
      createdAt: new Date(),
      expireAt: new Date(Date.now() + 60_000),
    };
    await world.db.collection<{ _id: string }>(NOT_ME_COLLECTION).insertOne({ _id, ...row });
    return token;
  }

  /** What renews credentials, each through what people use. */
  const renewals: Record<Renewal['by'], (person: Person) => Promise<void>> = {
    password_change: async ({ client }) => {
      const change = { currentPassword: PASSWORD, newPassword: NEXT };
      expect(await client.put('/v1/auth/password', change)).toMatchObject({ status: 204 });
    },
    password_reset: async ({ userId }) => {
      const token = await get(LinkTokenRepository).issue('reset_password', await account(userId));
      expect((await post('/v1/auth/password/reset/confirm', { token, newPassword: NEXT })).status).toBe(204);
    },
    invitation: async ({ userId }) => {
      const token = await get(LinkTokenRepository).issue('invite', await account(userId));
      expect((await post('/v1/auth/invitation/accept', { token, newPassword: NEXT })).status).toBe(200);
    },
    registration: async ({ userId }) => {
      const token = await get(LinkTokenRepository).issue('registration', await account(userId));
      expect((await post('/v1/auth/register/finish', { token, newPassword: NEXT })).status).toBe(200);
    },
    not_me: async ({ userId }) => {
      const token = await notMeLink(userId);
      expect(await post('/v1/security/not-me', { token })).toMatchObject({ status: 204 });
    },
    disable: async ({ userId }) => {
      expect(await get(CredentialRenewal).renew(userId, { by: 'disable' }, {})).not.toBeNull();
    },
    address_undone: async ({ userId, email }) => {
      await users().updateOne({ _id: userId }, { $set: { email: `${randomUUID()}@example.org` } });
      const token = await get(LinkTokenRepository).issue('undo_email_change', await account(userId), { email });
      expect(await use.undo_email_change(token, { userId } as Person)).toMatchObject({ status: 204 });
    },
    address_contested: async ({ userId }) => {
      const token = await get(LinkTokenRepository).issue('object_email_change', await account(userId), { email: `${randomUUID()}@example.org` }); // prettier-ignore
      expect(await use.object_email_change(token, { userId } as Person)).toMatchObject({ status: 204 });
    },
    address_decided: async ({ userId }) => {
      await isDisputed(userId, `${randomUUID()}@example.org`, new Date());
      const decision = { keep: 'current', proof: 'in_person' } as const;
      expect(await get(AddressDisputes).decide(await account(userId), decision, {})).not.toBeNull();
    },
  };
  const all = Object.keys(renewals) as Renewal['by'][];

  const started = async (): Promise<Person & { tokens: Tokens }> => {
    const person = await world.account({ consent: false });
    const ask = { newEmail: `${randomUUID()}@example.org`, currentPassword: PASSWORD };
    expect(await person.client.post('/v1/auth/email/change', ask)).toMatchObject({ status: 202 });
    return { ...person, tokens: await linksOf(person) };
  };

  it.each(all)('A2, B13: after %s no grant works, used or not, tidied up or not; defences do', async (by) => {
    const { tokens, ...person } = await started();
    const { userId } = person;
    // A link in the middle of its use is as dead as one that waits.
    const inUse = await get(LinkTokenRepository).issue('reset_password', await account(userId));
    expect(await get(LinkTokenRepository).take('reset_password', inUse)).not.toBeNull();
    const before = await rows().find({ userId }).toArray();
    await renewals[by](person);

    const left = await rows().find({ userId }).toArray();
    expect(left.filter(({ kind }) => isGrant(kind))).toEqual([]);
    expect(left.map(({ kind }) => kind)).toContain('cancel_new_email');
    // As if the process had been killed before it removed them, and a use had been given back.
    await rows().deleteMany({ userId });
    await rows().insertMany(before.map((row) => ({ ...row, usedAt: null })));
    const stands = JSON.stringify(await account(userId));
    for (const kind of MAILED_LINK_KINDS.filter(isGrant)) {
      const answer = await use[kind](tokens[kind], person);
      expect({ kind, status: answer.status, token: answer.body.token }).toEqual({
        kind,
        status: [400, 401, 403].includes(answer.status) ? answer.status : 'refused',
        token: undefined,
      });
    }
    expect(JSON.stringify(await account(userId))).toBe(stands);
    for (const kind of MAILED_LINK_KINDS.filter((one) => !isGrant(one))) {
      // Pressing one of a person's links "this was not me" uses all of them.
      const token = kind === 'not_me' && by === 'not_me' ? await notMeLink(userId) : tokens[kind];
      expect({ kind, ...(await use[kind](token, person)) }).toMatchObject({ kind, status: 204 });
      expect({ kind, ...(await use[kind](token, person)) }).toMatchObject({ kind, status: 400 });
    }
  });

  it.each(all)('A2: %s stops a change of address that was under way, confirmed or not, and says so', async (by) => {
    const { userId, tokens, ...person } = await started();
    expect(await post('/v1/auth/email/change/confirm', { token: tokens.confirm_new_email })).toMatchObject({
      status: 204,
    });
    await renewals[by]({ userId, ...person });
    expect(await account(userId)).toMatchObject({ email: person.email, newEmail: null, hasNewEmail: false });
    const { outbox } = (await world.guard(userId)) as { outbox: { event?: { type: string; detail?: object } }[] };
    const told = outbox.filter(({ event }) => event?.type === 'email_change_cancelled');
    expect(told.map(({ event }) => event?.detail)).toEqual([{ by }]);
  });

  it('A2: a live recovery code does not outlive the password in whose session it was asked for', async () => {
    const { client, userId } = await world.account({ consent: false });
    await world.verifyEmail(userId);
    expect(await client.post('/v1/recovery/codes')).toMatchObject({ status: 202 });
    const code = await world.mailSecret(userId, 'recovery_code');
    await client.put('/v1/auth/password', { currentPassword: PASSWORD, newPassword: NEXT });
    expect(await client.post('/v1/recovery/verify', { code })).toMatchObject({ status: 400, body: { code: 'code_invalid' } }); // prettier-ignore
    expect(await world.recover({ client, userId })).toMatchObject({ status: 200 });
  });

  it('A2: what was asked for beside a renewal, by a request that had been let in, comes to nothing', async () => {
    const { userId } = await world.account({ consent: false });
    const before = await account(userId);
    await renewals.password_reset({ userId } as Person);
    const draft = await get(Accounts).draft(userId, {}).event('email_change_asked');
    const asked = get(UserRepository).askForNewEmail(before, `${randomUUID()}@example.org`, draft.done());
    expect(await asked).toBe(false);
    expect(await account(userId)).toMatchObject({ newEmail: null });
  });

  it('B13: a link under tries with common passwords does not survive "this was not me"', async () => {
    for (let round = 0; round < 6; round++) {
      const { userId } = await world.account({ consent: false });
      const token = await get(LinkTokenRepository).issue('reset_password', await account(userId));
      const attempt = (newPassword: string) => post('/v1/auth/password/reset/confirm', { token, newPassword });
      const tries = Array.from({ length: 4 }, () => attempt('password1234'));
      await Promise.all([...tries, renewals.not_me({ userId } as Person)]);
      expect(await attempt(NEXT)).toMatchObject({ status: 400, body: { code: 'token_invalid' } });
      expect(await account(userId)).toMatchObject({ mustResetPassword: true });
    }
  });

  describe('B15: a request beside a password change', () => {
    const change = (client: ApiClient) =>
      client.put('/v1/auth/password', { currentPassword: PASSWORD, newPassword: NEXT });
    const isIn = async (client: ApiClient) => (await client.get('/v1/auth/session')).status;

    it('does not end the session that stays, between the account and Redis', async () => {
      const { client, email } = await world.account({ consent: false });
      const other = world.client();
      await other.login(email, PASSWORD);
      const sessions = get(SessionService);
      const update = sessions.update.bind(sessions);
      const seen: number[] = [];
      const spy = jest.spyOn(sessions, 'update').mockImplementationOnce(async (...args) => {
        seen.push(await isIn(client), (await client.get('/v1/auth/sessions')).status, await isIn(other));
        await update(...args);
      });
      expect(await change(client)).toMatchObject({ status: 204 });
      spy.mockRestore();
      expect(seen).toEqual([200, 200, 401]);
      expect(await isIn(client)).toBe(200);
      expect(await isIn(other)).toBe(401);
    });

    it('stays even if Redis was not told at all', async () => {
      const { client, userId } = await world.account({ consent: false });
      const spy = jest.spyOn(get(SessionService), 'update').mockRejectedValueOnce(new Error('Redis is away'));
      // The account is changed, and nothing is answered as if it were not.
      expect(await change(client)).toMatchObject({ status: 204 });
      spy.mockRestore();
      expect(await isIn(client)).toBe(200);
      // And ends with what ends all sessions.
      await get(UserRepository).raiseSessionEpoch(userId);
      expect(await isIn(client)).toBe(401);
    });

    it('that raises this session, and so gives it another token, does not end it either', async () => {
      const { client, userId } = await world.account({ consent: false });
      const sessions = get(SessionService);
      const endAll = sessions.endAll.bind(sessions);
      const spy = jest.spyOn(sessions, 'endAll').mockImplementationOnce(async (...args) => {
        const session = await sessions.find(client.token);
        const rotated = session && (await sessions.rotate(session, session.record, ['mailed_link', 'x'], 0));
        client.token = rotated?.token ?? '';
        await endAll(...args);
      });
      expect(await change(client)).toMatchObject({ status: 204 });
      spy.mockRestore();
      expect(await isIn(client)).toBe(200);
      expect(await get(UserRepository).findById(userId)).toMatchObject({ sessionEpoch: 1 });
    });
  });

  it('B5: a reset by mail and "not me" bring budgets of recovery anew, three times a day; a changed password does not', async () => {
    const person = await world.account({ consent: false });
    const generation = async () => (await account(person.userId)).recoveryGeneration;
    await renewals.password_change(person);
    expect(await generation()).toBe(0);
    for (const [by, count] of [
      ['password_reset', 1],
      ['not_me', 2],
      ['password_reset', 3],
      ['not_me', 3],
    ] as const) {
      await renewals[by](person);
      // What "not me" has barred does not come back.
      await users().updateOne({ _id: person.userId }, { $set: { barredPasswordHash: null, passwordHash: null } });
      expect({ by, generation: await generation() }).toEqual({ by, generation: count });
    }
    const yesterday = new Date(Date.now() - 25 * 3_600_000);
    await users().updateOne(
      { _id: person.userId },
      { $set: { recoveryGenerationsAt: [yesterday, yesterday, yesterday] } },
    );
    await renewals.not_me(person);
    expect(await account(person.userId)).toMatchObject({
      recoveryGeneration: 4,
      recoveryGenerationsAt: [expect.any(Date)],
    });
  });

  it('C11: all mails that can be set off for a person are ten an hour together, whoever asks', async () => {
    const person = await world.account({ consent: false });
    await world.verifyEmail(person.userId);
    const asked = ['password_reset', 'login_link', 'recovery_code', 'email_change_confirm'];
    const counts = async () =>
      Promise.all(asked.map((template) => world.db.collection('mails').countDocuments({ userId: person.userId, template }))); // prettier-ignore
    for (let i = 0; i < 6; i++) {
      await post('/v1/auth/password/reset', { email: person.email });
      await post('/v1/auth/login/link', { email: person.email });
      await person.client.post('/v1/recovery/codes');
      const ask = { newEmail: `${randomUUID()}@example.org`, currentPassword: PASSWORD };
      await person.client.post('/v1/auth/email/change', ask);
    }
    // Resets and links are mailed after their answer.
    for (let i = 0; i < 200 && ((await counts())[1] ?? 0) < 3; i++) await sleep(50);
    const [resets = 0, links = 0, codes = 0, changes = 0] = await counts();
    expect({ resets, links, session: codes + changes }).toEqual({ resets: 3, links: 3, session: 3 });
    // New credentials have a share of their own, up to what is left of the whole.
    await renewals.password_reset(person);
    expect(await person.client.login(person.email, NEXT)).toMatchObject({ status: 200 });
    expect((await person.client.post('/v1/recovery/codes')).status).toBe(202);
    expect((await person.client.post('/v1/recovery/codes')).status).toBe(429);
  });

  it('15.3: the link that stops a change of address works until the change, and is not taken away by asking again', async () => {
    const person = await started();
    const first = person.tokens.cancel_new_email;
    const ask = { newEmail: `${randomUUID()}@example.org`, currentPassword: PASSWORD };
    expect(await person.client.post('/v1/auth/email/change', ask)).toMatchObject({ status: 202 });
    expect(await post('/v1/auth/email/change/cancel', { token: first })).toMatchObject({ status: 204 });
    expect(await account(person.userId)).toMatchObject({ newEmail: null });
    // With nothing to stop it is not used up.
    const second = await world.mailSecret(person.userId, 'email_change_notice');
    expect(await post('/v1/auth/email/change/cancel', { token: second })).toMatchObject({ status: 400 });
    expect(await person.client.post('/v1/auth/email/change', ask)).toMatchObject({ status: 202 });
    expect(await post('/v1/auth/email/change/cancel', { token: second })).toMatchObject({ status: 204 });
  });
});

it('C2: with a hold of any length the link that stops the change outlives it', async () => {
  const hours = 96;
  const world = await GatewayWorld.start({ EMAIL_CHANGE_HOLD_HOURS: String(hours) });
  try {
    const { client, userId } = await world.account({ consent: false });
    const ask = { newEmail: `${randomUUID()}@example.org`, currentPassword: PASSWORD };
    expect(await client.post('/v1/auth/email/change', ask)).toMatchObject({ status: 202 });
    const links = world.db.collection<{ userId: string; kind: string; expiresAt: Date }>('link_tokens');
    const [cancel, confirm] = await Promise.all(
      ['cancel_new_email', 'confirm_new_email'].map((kind) => links.findOne({ userId, kind })),
    );
    const latestChange = Number(confirm?.expiresAt) + hours * 3_600_000;
    expect(Number(cancel?.expiresAt)).toBeGreaterThan(latestChange);
  } finally {
    await world.stop();
  }
});
