import { createHash, randomUUID } from 'node:crypto';
import { Accounts, hashPassword } from '#accounts';
import { ACR, type Acr, type Role, ROLES } from '#contracts';
import { type Access, POLICY } from '../../apps/gateway/src/http/policy.js';
import { SessionService } from '../../apps/gateway/src/sessions/session.service.js';
import { GatewayWorld, GOOD, PASSWORD, stepBody } from './gateway-world.js';

jest.setTimeout(120_000);

const HOUR_MS = 3_600_000;
/** Fewer than the gateway's connections to MongoDB. */
const LANES = 5;

/** Who calls, as far as the policy looks: what he carries, and what his account has been through. */
interface Actor {
  name: string;
  acr?: Acr;
  roles?: Role[];
  everHadFactor?: boolean;
  held?: boolean;
  locked?: boolean;
  /** The account no longer stands by the session, though Redis does. */
  stale?: boolean;
  /** All that the session showed was shown ten minutes ago. */
  old?: boolean;
  /** No token that Redis knows, or one past its twelve hours. */
  token?: 'unknown' | 'expired';
}

const ACTORS: Actor[] = [
  { name: 'nobody', token: 'unknown' },
  { name: 'a face of yesterday', acr: ACR.face, everHadFactor: true, token: 'expired' },
  { name: 'a password, never enrolled', acr: ACR.pwd },
  { name: 'a password, enrolled', acr: ACR.pwd, everHadFactor: true },
  { name: 'a password, in the hold', acr: ACR.pwd, everHadFactor: true, held: true },
  { name: 'a password, face locked', acr: ACR.pwd, everHadFactor: true, locked: true },
  { name: 'a mailed code', acr: ACR.recovery, everHadFactor: true },
  { name: 'a mailed code, in the hold', acr: ACR.recovery, everHadFactor: true, held: true },
  { name: 'a mailed code, face locked', acr: ACR.recovery, everHadFactor: true, locked: true },
  { name: 'a face', acr: ACR.face, everHadFactor: true },
  { name: 'a password of ten minutes ago, never enrolled', acr: ACR.pwd, old: true },
  { name: 'a face of ten minutes ago', acr: ACR.face, everHadFactor: true, old: true },
  { name: 'an ended session that Redis revived', acr: ACR.face, everHadFactor: true, stale: true },
  // An account that never had a factor; and one whose first face is held, verified or not: the password is what it has.
  ...ROLES.flatMap((role): Actor[] => [
    { name: `${role}, a password, never enrolled`, acr: ACR.pwd, roles: [role] },
    { name: `${role}, a mailed code, never enrolled`, acr: ACR.recovery, roles: [role] },
    { name: `${role}, a held first face, verified`, acr: ACR.pwd, roles: [role], everHadFactor: true, held: true },
  ]),
  ...ROLES.flatMap((role): Actor[] =>
    [ACR.pwd, ACR.recovery, ACR.face].map((acr) => ({
      name: `${role}, ${acr}`,
      acr,
      roles: [role],
      everHadFactor: true,
    })),
  ),
];

/** The policy read once more, in other words than the guard's: what the cell must answer. */
function expected(access: Access | undefined, actor: Actor): string {
  if (access === undefined) return 'a line in the policy';
  if (access.who === 'anyone') return 'admitted';
  if (access.who === 'service') return '401 invalid_client';
  if (actor.token || (actor.stale && access.account)) return '401 unauthenticated';
  const roles: Role[] = ['user', ...(actor.roles ?? [])];
  if (access.roles.length > 0 && !access.roles.some((role) => roles.includes(role))) return '403 forbidden';
  const raised = actor.acr === ACR.recovery || actor.acr === ACR.face;
  if ((access.level === 'raised' || access.level === 'reads') && !raised) return '403 step_up_required';
  if (access.level === 'manage' && !raised && actor.everHadFactor) return '403 step_up_required';
  if (access.recent && actor.old) return '403 step_up_required';
  return 'admitted';
}

// All cells of the matrix, on a machine that may be busy.
jest.setTimeout(600_000);

describe('T42: who may call what (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ TRUSTED_PROXIES: '127.0.0.1/32', STAFF_READS: 'raised' });
  });
  afterAll(() => world?.stop());

  const put = (name: string, userId: string, fields: object) =>
    world.db.collection<{ _id: string }>(name).updateOne({ _id: userId }, { $set: fields });

  /** A maker of sessions as the store writes them, under the real HMAC; the account and its guard as they would stand. */
  async function sessionsOf(actor: Actor, passwordHash: string): Promise<() => Promise<string>> {
    if (actor.token === 'unknown') return () => Promise.resolve('A'.repeat(43));
    const accounts = world.app.get(Accounts, { strict: false });
    const email = `${randomUUID()}@example.org`;
    const made = await accounts.create({ email, passwordHash, roles: actor.roles ?? [] });
    if (made.kind !== 'created') throw new Error(made.kind);
    const { _id: userId, sessionEpoch } = made.user;
    const heldUntil = actor.held ? new Date(Date.now() + 20 * HOUR_MS) : null;
    const template = { id: randomUUID(), modelDigest: world.config.modelDigest, enrolledAt: new Date(), heldUntil };
    if (actor.everHadFactor)
      await put('face_guards', userId, { firstEnrolledAt: new Date(), everHadFactor: true, template });
    if (actor.locked) await put('face_guards', userId, { lockedUntil: new Date(Date.now() + HOUR_MS), lockEpoch: 1 });
    const sessions = world.app.get(SessionService, { strict: false });
    return async () => {
      const session = await sessions.open(userId, actor.stale ? sessionEpoch + 1 : sessionEpoch);
      const expiry = actor.token === 'expired' ? { expiresAt: Date.now() - 1 } : {};
      const at = Date.now() - (actor.old ? 600_000 : 0);
      const methods = { pwd: at, ...(actor.acr === ACR.recovery ? { recovery: at } : {}), ...(actor.acr === ACR.face ? { face: at } : {}) }; // prettier-ignore
      await sessions.update(session, { ...session.record, methods, ...expiry });
      return session.token;
    };
  }

  /** With a query that no route takes: whoever is admitted is stopped there, and nothing is changed. */
  async function cell(line: string, token: string): Promise<string> {
    const [method = '', route = ''] = line.split(' ');
    const path = route
      .replace(/\{id\}/, randomUUID())
      .replace('{n}', '1')
      .replace('{week}', '2026-W47');
    // From as many addresses as tokens, or one would be throttled for its bad credentials.
    const address = createHash('sha256').update(token).digest().subarray(0, 2).join('.');
    const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': `10.1.${address}` };
    const answer = await fetch(`${world.url}${path}?surprise=1`, { method, headers });
    const { code } = (await answer.json()) as { code?: string };
    return answer.status === 400 && code === 'invalid_request' ? 'admitted' : `${answer.status} ${code}`;
  }

  it('every route of the description does for everybody what the policy says', async () => {
    const { paths } = (await world.client().get('/docs-json')).body as { paths: Record<string, object> };
    const lines = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(lines.length).toBeGreaterThan(40);
    const passwordHash = await hashPassword(PASSWORD);
    const wrong: string[] = [];
    const counts: Record<string, number> = {};
    const judge = async (actor: Actor): Promise<void> => {
      const open = await sessionsOf(actor, passwordHash);
      let token = await open();
      for (const line of lines) {
        // An ended session is dropped when it is found out.
        if (actor.stale) token = await open();
        const must = expected(POLICY[line.replace(/\{(\w+)\}/g, ':$1')], actor);
        const is = await cell(line, token);
        counts[must] = (counts[must] ?? 0) + 1;
        if (must !== is) wrong.push(`${actor.name}: ${line}: ${is}, not ${must}`);
      }
    };
    const waiting = [...ACTORS];
    const lane = async (): Promise<void> => {
      for (let actor = waiting.shift(); actor; actor = waiting.shift()) await judge(actor);
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    expect(wrong).toEqual([]);
    // A matrix of one colour would show nothing.
    for (const outcome of ['admitted', '401 unauthenticated', '403 forbidden', '403 step_up_required']) {
      expect(counts[outcome]).toBeGreaterThan(20);
    }
  });

  it("another's attempt and session are not there, rather than forbidden, at every level", async () => {
    const [owner, other] = [await world.enrolled(), await world.account({ consent: false })];
    const attemptId = String((await world.begin(owner.client, 'attempts', GOOD)).body.attemptId);
    const { sessionId } = (await owner.client.get('/v1/auth/session')).body;
    await world.verifyEmail(other.userId);
    const atPassword = world.client();
    await atPassword.login(other.email, PASSWORD);
    await world.recover(other);
    const notThere = { status: 404, body: { code: 'not_found' } };
    for (const client of [atPassword, other.client]) {
      const attempt = `/v1/face/attempts/${attemptId}`;
      expect(await client.get(attempt)).toMatchObject(notThere);
      expect(await client.postBytes(`${attempt}/steps/1`, stepBody())).toMatchObject(notThere);
      expect(await client.delete(attempt)).toMatchObject(notThere);
      expect(await client.delete(`/v1/auth/sessions/${String(sessionId)}`)).toMatchObject(notThere);
      expect(await client.get(`/v1/security/events?userId=${owner.userId}`)).toMatchObject({ status: 400 });
    }
    expect((await owner.client.get(`/v1/face/attempts/${attemptId}`)).body).toMatchObject({ status: 'capturing' });
    expect((await owner.client.get('/v1/auth/session')).status).toBe(200);
  });
});
