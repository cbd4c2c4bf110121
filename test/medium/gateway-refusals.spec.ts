import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { OutboxEvent } from '#contracts';
import type { ApiClient } from '#testing';
import { Routes } from '../../apps/gateway/src/http/routes.js';
import { GatewayWorld, PASSWORD, sleep } from './gateway-world.js';

jest.setTimeout(120_000);

const WRONG = 'this is not the password';
const NEXT = 'another long password';
/** Of the form of a mailed token or a session's, and of neither. */
const NO_TOKEN = 'a'.repeat(43);
/** Members of a body or a query by which somebody proves something. */
const CREDENTIALS = ['password', 'currentPassword', 'token', 'code'];

describe('B10: every refused credential leaves its event (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  const refusals = async (): Promise<OutboxEvent[]> => {
    const rows = await world.db.collection('system_outboxes').find().toArray();
    return rows.flatMap(({ entries }) => entries as OutboxEvent[]);
  };
  /** Refusals are written while the answer is already on its way. */
  const leaves = async (event: object): Promise<OutboxEvent[]> => {
    let found: OutboxEvent[] = [];
    for (let i = 0; i < 100 && found.length === 0; i++) {
      await sleep(30);
      found = (await refusals()).filter((one) => matches(one, event));
    }
    expect(found).not.toEqual([]);
    return found;
  };
  const matches = (one: object, event: object): boolean => {
    try {
      expect(one).toMatchObject(event);
      return true;
    } catch {
      return false;
    }
  };
  const barred = async () => {
    const account = await world.account({ consent: false });
    const mustResetPassword = { $set: { mustResetPassword: true } };
    await world.db.collection<{ _id: string }>('users').updateOne({ _id: account.userId }, mustResetPassword);
    return account;
  };

  type Account = Awaited<ReturnType<GatewayWorld['account']>>;
  interface Refused {
    /** Sends the credential that is not taken. */
    send: (account: Account, anyone: ApiClient) => Promise<{ status: number }>;
    status: number;
    /** `true`: the event is in the person's own trail. */
    own?: true;
    event: object;
  }
  const link = (kind: string) => ({
    type: 'credential_refused',
    reason: 'wrong_credential',
    userId: null,
    detail: { credential: 'mailed_link', link: kind },
  });
  const ofPassword = {
    type: 'credential_refused',
    reason: 'wrong_credential',
    detail: { credential: 'current_password' },
  };
  const REFUSED: Record<string, Refused> = {
    'POST /v1/auth/login': {
      send: ({ email }, anyone) => anyone.login(email, WRONG),
      status: 401,
      own: true,
      event: { type: 'login_failed', reason: 'wrong_credential' },
    },
    'PUT /v1/auth/password': {
      send: ({ client }) => client.put('/v1/auth/password', { currentPassword: WRONG, newPassword: NEXT }),
      status: 401,
      own: true,
      event: ofPassword,
    },
    'POST /v1/auth/password/verify': {
      send: ({ client }) => client.post('/v1/auth/password/verify', { password: WRONG }),
      status: 401,
      own: true,
      event: ofPassword,
    },
    'POST /v1/auth/email/change': {
      send: ({ client }) =>
        client.post('/v1/auth/email/change', { newEmail: `${randomUUID()}@example.org`, currentPassword: WRONG }),
      status: 401,
      own: true,
      event: ofPassword,
    },
    'POST /v1/recovery/verify': {
      send: ({ client }) => client.post('/v1/recovery/verify', { code: 'AAAA2222' }),
      status: 400,
      own: true,
      event: { type: 'credential_refused', reason: 'wrong_credential', detail: { credential: 'recovery_code' } },
    },
    'POST /v1/auth/email/verify': {
      send: (_, anyone) => anyone.post('/v1/auth/email/verify', { token: NO_TOKEN }),
      status: 400,
      event: link('verify_email'),
    },
    'POST /v1/auth/email/change/undo': {
      send: (_, anyone) => anyone.post('/v1/auth/email/change/undo', { token: NO_TOKEN }),
      status: 400,
      event: link('undo_email_change'),
    },
    'POST /v1/auth/email/change/object': {
      send: (_, anyone) => anyone.post('/v1/auth/email/change/object', { token: NO_TOKEN }),
      status: 400,
      event: link('object_email_change'),
    },
    'POST /v1/auth/register/finish': {
      send: (_, anyone) => anyone.post('/v1/auth/register/finish', { token: NO_TOKEN, newPassword: NEXT }),
      status: 400,
      event: link('registration'),
    },
    'POST /v1/auth/password/reset/confirm': {
      send: (_, anyone) => anyone.post('/v1/auth/password/reset/confirm', { token: NO_TOKEN, newPassword: NEXT }),
      status: 400,
      event: link('reset_password'),
    },
    'POST /v1/auth/login/link/confirm': {
      send: (_, anyone) => anyone.post('/v1/auth/login/link/confirm', { token: NO_TOKEN, password: PASSWORD }),
      status: 400,
      event: link('login'),
    },
    'POST /v1/auth/invitation/accept': {
      send: (_, anyone) => anyone.post('/v1/auth/invitation/accept', { token: NO_TOKEN, newPassword: NEXT }),
      status: 400,
      event: link('invite'),
    },
    'POST /v1/auth/email/change/confirm': {
      send: (_, anyone) => anyone.post('/v1/auth/email/change/confirm', { token: NO_TOKEN }),
      status: 400,
      event: link('confirm_new_email'),
    },
    'POST /v1/auth/email/change/cancel': {
      send: (_, anyone) => anyone.post('/v1/auth/email/change/cancel', { token: NO_TOKEN }),
      status: 400,
      event: link('cancel_new_email'),
    },
    'POST /v1/privacy/cancel-erasure': {
      send: (_, anyone) => anyone.post('/v1/privacy/cancel-erasure', { token: NO_TOKEN }),
      status: 400,
      event: link('cancel_erasure'),
    },
    'POST /v1/security/not-me': {
      send: (_, anyone) => anyone.post('/v1/security/not-me', { token: NO_TOKEN }),
      status: 400,
      event: link('not_me'),
    },
    'POST /v1/sessions/introspect': {
      send: () => {
        const authorization = `Basic ${Buffer.from(`${randomUUID()}:${'s'.repeat(43)}`).toString('base64')}`;
        const headers = { 'content-type': 'application/json', authorization };
        return fetch(`${world.url}/v1/sessions/introspect`, { method: 'POST', headers, body: '{"token":"x"}' });
      },
      status: 401,
      event: { type: 'login_failed', reason: 'wrong_credential', userId: null },
    },
    'GET /v1/auth/session': {
      send: (_, anyone) => {
        anyone.token = NO_TOKEN;
        return anyone.get('/v1/auth/session');
      },
      status: 401,
      event: { type: 'credential_refused', userId: null, detail: { credential: 'session' } },
    },
  };

  it.each(Object.keys(REFUSED))('%s', async (route) => {
    const refused = REFUSED[route] as Refused;
    const account = await world.account({ consent: false });
    expect(await refused.send(account, world.client())).toMatchObject({ status: refused.status });
    await leaves({ ...refused.event, ...(refused.own ? { userId: account.userId } : {}) });
    // A refusal never writes the guard, so it can neither fill its outbox nor make a capture `busy`.
    expect(await world.eventTypes(account.userId)).toEqual(['registered', 'login_ok']);
  });

  /** Walks the routes themselves, so that a new one that takes a credential cannot be forgotten here. */
  it('knows every route that takes a credential', () => {
    const taking = world.app
      .get(Routes, { strict: false })
      .all()
      .filter(({ path, access, accepts }) => {
        const members = [accepts.body, accepts.query].flatMap((schema) =>
          schema instanceof z.ZodObject ? Object.keys(schema.shape) : [],
        );
        const isPage = access.who === 'anyone' && !path.startsWith('/v1/');
        return access.who === 'service' || (!isPage && members.some((member) => CREDENTIALS.includes(member)));
      })
      .map(({ method, path }) => `${method} ${path}`);
    // Registration takes a password that is new: there is nothing that it could fail to match.
    const expected = [...taking.filter((route) => route !== 'POST /v1/auth/register'), 'GET /v1/auth/session'];
    expect(Object.keys(REFUSED).sort()).toEqual(expected.sort());
  });

  it('a right password of a barred account is told, counted as a try and throttled like a wrong one', async () => {
    const { email, userId } = await barred();
    const answers: number[] = [];
    for (let i = 0; i < 12; i++) answers.push((await world.client().login(email, PASSWORD)).status);
    expect(answers.slice(0, 10)).toEqual(Array<number>(10).fill(403));
    expect(answers.slice(10)).toEqual([429, 429]);
    await leaves({ type: 'login_failed', reason: 'account_barred', userId });
    await leaves({ type: 'login_failed', reason: 'throttled', userId });
  });

  it('a right password of a disabled account is told apart from a wrong one, in the trail only', async () => {
    const { email, userId } = await world.account({ consent: false });
    await world.db.collection<{ _id: string }>('users').updateOne({ _id: userId }, { $set: { disabled: true } });
    const [right, wrong] = [await world.client().login(email, PASSWORD), await world.client().login(email, WRONG)];
    expect([right.status, right.body.code]).toEqual([wrong.status, wrong.body.code]);
    await leaves({ type: 'login_failed', reason: 'account_barred', userId });
    await leaves({ type: 'login_failed', reason: 'wrong_credential', userId });
  });

  it('nine wrong current passwords are one row at once, and the rest of their minute another, counted', async () => {
    const { client, userId } = await world.account({ consent: false });
    for (let i = 0; i < 9; i++) {
      const answer = await client.put('/v1/auth/password', { currentPassword: WRONG, newPassword: NEXT });
      expect(answer).toMatchObject({ status: 401 });
    }
    const { sessionId } = (await client.get('/v1/auth/session')).body;
    const rows = await leaves({ ...ofPassword, userId });
    expect(rows).toEqual([expect.objectContaining({ sessionId, count: 1 })]);
    expect(await world.personal(rows[0] as OutboxEvent)).toMatchObject({ deviceModel: 'Pixel 9' });
  });

  it('a session that the account does not stand by any more is told in the person’s trail', async () => {
    const { client, userId } = await world.account({ consent: false });
    const { sessionId } = (await client.get('/v1/auth/session')).body;
    await world.db.collection<{ _id: string }>('users').updateOne({ _id: userId }, { $inc: { sessionEpoch: 1 } });
    expect(await client.get('/v1/auth/session')).toMatchObject({ status: 401 });
    await leaves({ type: 'credential_refused', userId, sessionId, detail: { credential: 'session' } });
  });
});
