import { randomUUID } from 'node:crypto';
import { Accounts, hashPassword } from '#accounts';
import { ACR, type Role, ROLES } from '#contracts';
import type { ApiClient } from '#testing';
import { POLICY } from '../../apps/gateway/src/http/policy.js';
import { GatewayWorld, giveConsent, GOOD, PASSWORD } from './gateway-world.js';

jest.setTimeout(240_000);

const STEP_UP = { status: 403, body: { code: 'step_up_required' } };
const FACE = { status: 'verified', session: { acr: ACR.face } };
const HELD = { status: 'verified', session: { acr: ACR.pwd, amr: ['pwd'], faceAuthTime: null } };

interface Person {
  client: ApiClient;
  email: string;
  userId: string;
}

describe.each(['proved', 'open'])('A1: first faces, FIRST_ENROLMENT=%s (real Redis and MongoDB)', (setting) => {
  let world: GatewayWorld;
  let passwordHash: string;
  beforeAll(async () => {
    world = await GatewayWorld.start({ FIRST_ENROLMENT: setting });
    passwordHash = await hashPassword(PASSWORD);
  });
  afterAll(() => world?.stop());

  const accounts = (): Accounts => world.app.get(Accounts, { strict: false });
  /** As `countersign user create` makes them: never enrolled, with a verified address, signed in by password. */
  async function never(roles: Role[] = []): Promise<Person> {
    const email = `${randomUUID()}@example.org`;
    const made = await accounts().create({ email, passwordHash, roles, emailVerified: true });
    if (made.kind !== 'created') throw new Error(made.kind);
    return { ...(await signIn(email)), userId: made.user._id };
  }
  async function signIn(email: string): Promise<{ client: ApiClient; email: string }> {
    const client = world.client();
    expect(await client.login(email, PASSWORD)).toMatchObject({ status: 200, body: { acr: ACR.pwd } });
    return { client, email };
  }
  /** Enrols; resolves with what a verified attempt is worth then. */
  async function enrolAndTry(client: ApiClient): Promise<unknown> {
    await giveConsent(client);
    expect((await world.capture(client, 'enrolments', GOOD)).body).toEqual({ status: 'enrolled' });
    return (await world.capture(client, 'attempts', GOOD)).body;
  }
  const boundFrom = async (userId: string): Promise<unknown> =>
    ((await world.guard(userId)).template as { boundFrom?: string }).boundFrom;
  const writesOf = (role: Role): string[] =>
    Object.entries(POLICY).flatMap(([line, access]) =>
      access.who === 'session' && access.level === 'raised' && access.roles.includes(role) ? [line] : [],
    );
  /** With a query that no route takes: whoever is admitted is stopped there. */
  const tryLine = async (client: ApiClient, line: string) => {
    const [method = '', route = ''] = line.split(' ');
    const headers = { authorization: `Bearer ${client.token}` };
    const answer = await fetch(`${world.url}${route.replace(':id', randomUUID())}?surprise=1`, { method, headers });
    return { status: answer.status, body: (await answer.json()) as object };
  };

  it.each(ROLES.filter((role) => role !== 'user'))('%s with a stolen password binds no face that counts', async (role) => {
    const { client, userId } = await never([role]);
    for (const line of writesOf(role)) expect(await tryLine(client, line)).toMatchObject(STEP_UP);
    expect(await enrolAndTry(client)).toMatchObject(HELD);
    expect(await boundFrom(userId)).toBe('pwd');
    for (const line of writesOf(role)) expect(await tryLine(client, line)).toMatchObject(STEP_UP);
    expect(await client.put('/v1/face/preferences', { optOuts: ['blink'], extraTime: true })).toMatchObject(STEP_UP);
    expect(await client.post('/v1/face/enrolments')).toMatchObject(STEP_UP);
  }); // prettier-ignore

  it('staff who used a mailed code bind at once, and reach what the role may', async () => {
    const person = await never(['admin']);
    expect(await world.recover(person)).toMatchObject({ status: 200, body: { acr: ACR.recovery } });
    expect(await enrolAndTry(person.client)).toMatchObject(FACE);
    expect(await boundFrom(person.userId)).toBe('recovery');
    for (const line of writesOf('admin')) expect(await tryLine(person.client, line)).toMatchObject({ status: 400 });
  });

  it('others with a password alone: held where it must be proved', async () => {
    const person = await never();
    expect(await enrolAndTry(person.client)).toMatchObject(setting === 'proved' ? HELD : FACE);
    expect(await boundFrom(person.userId)).toBe('pwd');
    const { outbox } = (await world.guard(person.userId)) as { outbox: { template?: string; params?: object }[] };
    const [mail] = outbox.filter(({ template }) => template === 'face_enrolled');
    expect(Object.keys(mail?.params ?? {}).includes('heldUntil')).toBe(setting === 'proved');
  });

  it('an accepted invitation opens the session that binds at once; a later login proves nothing', async () => {
    const invited = await Promise.all(['staying', 'leaving'].map(async () => {
      const email = `${randomUUID()}@example.org`;
      const made = await accounts().openInvitation({ email, roles: ['security'] });
      if (made.kind !== 'created') throw new Error(made.kind);
      const client = world.client();
      const accept = { token: made.secret, newPassword: PASSWORD };
      const accepted = await client.post('/v1/auth/invitation/accept', accept);
      expect(accepted).toMatchObject({ status: 200, body: { acr: ACR.pwd, amr: ['pwd'] } });
      client.token = String(accepted.body.token);
      return { client, email, userId: made.user._id };
    })); // prettier-ignore
    const [staying, leaving] = invited as [Person, Person];
    expect(await enrolAndTry(staying.client)).toMatchObject(FACE);
    expect(await boundFrom(staying.userId)).toBe('invitation');
    expect(await enrolAndTry((await signIn(leaving.email)).client)).toMatchObject(HELD);
  });

  it('verifying the address proves the session that carries the link, and no other', async () => {
    const [owner, other] = [await world.account(), await world.account()];
    const token = await world.mailSecret(owner.userId, 'email_verify');
    const before = owner.client.token;
    const verified = await owner.client.post('/v1/auth/email/verify', { token });
    expect(verified).toMatchObject({ status: 200, body: { emailVerified: true, session: { acr: ACR.pwd } } });
    owner.client.token = (verified.body.session as { token: string }).token;
    expect(owner.client.token).not.toBe(before);
    expect(await enrolAndTry(owner.client)).toMatchObject(FACE);
    expect(await boundFrom(owner.userId)).toBe('invitation');

    const foreign = await world.mailSecret(other.userId, 'email_verify');
    const carried = await owner.client.post('/v1/auth/email/verify', { token: foreign });
    expect(carried).toMatchObject({ status: 200 });
    expect(carried.body).toEqual({ emailVerified: true });
  });

  it('a staff role given later ends the sessions and holds a face that came from a password alone', async () => {
    const person = await never();
    await enrolAndTry(person.client);
    const users = accounts().users;
    const row = await users.findById(person.userId);
    if (!row) throw new Error('no account');
    const proved = { ...row, emailVerified: true };
    await world.db.collection<{ _id: string }>('users').updateOne({ _id: row._id }, { $set: { emailVerified: true } });
    expect(await accounts().changeRoles(proved, { add: ['admin'] }, {})).toMatchObject({ added: ['admin'] });
    expect((await person.client.get('/v1/auth/session')).status).toBe(401);
    const { client } = await signIn(person.email);
    expect((await world.capture(client, 'attempts', GOOD)).body).toMatchObject(HELD);
    for (const line of writesOf('admin')) expect(await tryLine(client, line)).toMatchObject(STEP_UP);
  });
});
