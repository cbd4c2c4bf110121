import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Accounts, hashPassword, LinkTokenRepository, UserRepository } from '#accounts';
import { ACR, type Acr, MAILED_LINK_KINDS, type MailedLink, NOT_ME_COLLECTION, type Role } from '#contracts';
import { POLICY } from '../../apps/gateway/src/http/policy.js';
import { SessionService } from '../../apps/gateway/src/sessions/session.service.js';
import { GatewayWorld, GOOD, PASSWORD } from './gateway-world.js';

jest.setTimeout(60_000);

const GETS = Object.keys(POLICY)
  .filter((line) => line.startsWith('GET '))
  .map((line) => line.slice(4));

describe('case 14: HEAD is where GET is, and uses nothing up (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  async function tokenOf(role: Role, acr: Acr): Promise<string> {
    const account = { email: `${randomUUID()}@example.org`, passwordHash: await hashPassword(PASSWORD), roles: [role] };
    const made = await world.app.get(Accounts, { strict: false }).create(account);
    if (made.kind !== 'created') throw new Error(made.kind);
    const sessions = world.app.get(SessionService, { strict: false });
    const session = await sessions.open(made.user._id, made.user.sessionEpoch);
    const { methods } = session.record;
    const shown = acr === ACR.face ? { ...methods, face: Date.now() } : methods;
    await sessions.update(session, { ...session.record, methods: shown });
    return session.token;
  }

  const head = (path: string, token?: string): Promise<Response> =>
    fetch(world.url + path, { method: 'HEAD', ...(token ? { headers: { authorization: `Bearer ${token}` } } : {}) });

  /** Every document of the database but the beats of the gateways, which go on by themselves. */
  async function state(): Promise<Record<string, unknown>> {
    const all = (await world.db.db?.collections()) ?? [];
    const collections = all.filter(({ collectionName }) => collectionName !== 'gateway_beats');
    const entries = collections.map(async (one) => [one.collectionName, await one.find().sort({ _id: 1 }).toArray()]);
    return Object.fromEntries((await Promise.all(entries)) as [string, unknown][]);
  }

  it('a load balancer or an uptime monitor that asks with HEAD is answered as with GET, without a body', async () => {
    for (const path of ['/health/live', '/health/ready', '/docs', '/docs-json']) {
      const [asked, got] = [await head(path), await fetch(world.url + path)];
      const kept = ['content-type', 'content-length', 'content-security-policy', 'cache-control'] as const;
      const of = ({ status, headers }: Response) => [status, ...kept.map((name) => headers.get(name))];
      expect([path, ...of(asked)]).toEqual([path, ...of(got)]);
      expect(await asked.text()).toBe('');
    }
  });

  it('no GET route changes a document when it is asked with HEAD, and what the route would redeem is still there', async () => {
    const owner = await world.enrolled();
    const verify = await world.mailSecret(owner.userId, 'email_verify');
    const begun = await world.begin(owner.client, 'attempts', GOOD);
    const attemptId = String(begun.body.attemptId);
    for (let step = 1; step <= 3; step++) await world.sendStep(owner.client, attemptId, step);
    const verified = async (): Promise<boolean> =>
      JSON.stringify((await world.guard(owner.userId)).recent).includes('verified');
    for (let i = 0; i < 100 && !(await verified()); i++) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await verified()).toBe(true);
    const tokens = [owner.client.token ?? '', await tokenOf('security', ACR.face), await tokenOf('admin', ACR.face)];

    const before = await state();
    const answered: Record<string, number[]> = {};
    for (const route of GETS) {
      const id = route.includes('attempts') ? attemptId : owner.userId;
      const query = /verify|registration|reset-password|log-in|invitation|email-change|cancel-erasure|not-me/.test(
        route,
      )
        ? `?token=${verify}`
        : '';
      for (const token of [undefined, ...tokens]) {
        const { status } = await head(route.replace(':id', id) + query, token);
        (answered[route] ??= []).push(status);
      }
    }
    expect(await state()).toEqual(before);
    // Somebody was let through to each, or the walk would show nothing; audit's service and a receipt are not there.
    const refused = GETS.filter((route) => !answered[route]?.includes(200));
    expect(refused.sort()).toEqual(['/v1/privacy/erasures/:id', '/v1/security/events']);

    expect(await world.client().post('/v1/auth/email/verify', { token: verify })).toMatchObject({ status: 200 });
    const outcome = await owner.client.get(`/v1/face/attempts/${attemptId}`);
    expect(outcome.body).toMatchObject({ status: 'verified', session: { acr: ACR.face } });
  });

  it('A3: no GET that works without a session changes anything, asked twice with a link that would do something', async () => {
    const { userId, email } = await world.account({ consent: false });
    const user = await world.app.get(UserRepository, { strict: false }).findById(userId);
    if (!user) throw new Error('no account');
    const links = world.app.get(LinkTokenRepository, { strict: false });
    const pages: Record<string, MailedLink> = {
      '/verify-email': 'verify_email',
      '/finish-registration': 'registration',
      '/reset-password': 'reset_password',
      '/log-in': 'login',
      '/accept-invitation': 'invite',
      '/confirm-email-change': 'confirm_new_email',
      '/cancel-email-change': 'cancel_new_email',
      '/undo-email-change': 'undo_email_change',
      '/object-email-change': 'object_email_change',
      '/cancel-erasure': 'cancel_erasure',
      '/not-me': 'not_me',
    };
    // Each kind of mailed link has a page, or the walk would pass it over.
    expect(Object.values(pages).sort()).toEqual([...MAILED_LINK_KINDS].sort());
    const newEmail = { email: `new-${email}`, requestedAt: new Date(), changesAt: null };
    const erasure = {
      id: randomUUID(),
      requestedAt: new Date(),
      dueAt: new Date(Date.now() + 3_600_000),
      begun: false,
    };
    const begun = { newEmail, erasure, hasErasure: true };
    await world.db.collection<{ _id: string }>('users').updateOne({ _id: userId }, { $set: begun });
    const tokens = new Map<string, string>();
    for (const [page, kind] of Object.entries(pages))
      tokens.set(page, kind === 'not_me' ? randomBytes(32).toString('base64url') : await links.issue(kind, user));
    const notMe = {
      userId,
      template: 'password_changed',
      createdAt: new Date(),
      expireAt: new Date(Date.now() + 60_000),
    };
    const _id = createHash('sha256')
      .update(tokens.get('/not-me') ?? '')
      .digest('hex');
    await world.db.collection<{ _id: string }>(NOT_ME_COLLECTION).insertOne({ _id, ...notMe });

    const open = Object.entries(POLICY).flatMap(([line, { who }]) =>
      line.startsWith('GET ') && who === 'anyone' ? [line.slice(4)] : [],
    );
    expect(open).toEqual(expect.arrayContaining(Object.keys(pages)));
    const before = await state();
    for (const route of open) {
      const token = tokens.get(route);
      const path = route.replace(':id', userId) + (token ? `?token=${token}` : '');
      for (let i = 0; i < 2; i++) expect([200, 404, 503]).toContain((await fetch(world.url + path)).status);
    }
    expect(await state()).toEqual(before);
  });

  it('refuses what GET refuses: no session, the wrong role, an input that is none, a path that is nowhere', async () => {
    const user = await tokenOf('user', ACR.pwd);
    expect((await head('/v1/auth/session')).status).toBe(401);
    expect((await head('/v1/auth/session')).headers.get('www-authenticate')).toBe('Bearer');
    expect((await head('/v1/admin/security-events.csv', user)).status).toBe(403);
    expect((await head('/v1/admin/users?surprise=1', await tokenOf('admin', ACR.pwd))).status).toBe(400);
    expect((await head('/verify-email?token=short')).status).toBe(400);
    expect((await head('/v1/face/attempts/1', user)).status).toBe(404);
    expect((await head('/v1/nothing')).status).toBe(404);
    const posted = await head('/v1/auth/login');
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'POST']);
  });
});
