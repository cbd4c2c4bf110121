import { randomBytes } from 'node:crypto';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { ACR, ROLES } from '#contracts';
import type { GuardDocument } from '#guard';
import { ApiClient, inLanes } from '#testing';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { startAudit } from './audit-harness.js';
import { SessionService } from '../../apps/gateway/src/sessions/session.service.js';
import { GatewayWorld, GOOD, patiently, sleep } from './gateway-world.js';

jest.setTimeout(600_000);

const EACH = 52;
const LANES = 20;
const ROUNDS = 2;

interface Person {
  client: ApiClient;
  email: string;
  userId: string;
}

/** What takes the right to a grant away, each on its own way in. */
const CHANGES = ['locked', 're-enrolment demanded', 'consent withdrawn', 'password reset'] as const;
type Change = (typeof CHANGES)[number];

/** The real gateway, Redis and MongoDB; a worker with a registered key finds everybody alike. */
describe('a grant', () => {
  let world: GatewayWorld;
  const keys = { EVENT_KEK: randomBytes(32).toString('base64url'), MAIL_KEY: randomBytes(32).toString('base64url') };
  let officer: ApiClient;
  beforeAll(async () => {
    world = await GatewayWorld.start({
      CAPTURES_MAX: '1000',
      JOBS_PER_WORKER_MAX: '1000',
      TRUSTED_PROXIES: '127.0.0.1/32',
      ...keys,
    });
    const staff = await world.account();
    await users().updateOne({ _id: staff.userId }, { $set: { roles: [...ROLES] } });
    await world.verifyEmail(staff.userId);
    await world.recover(staff);
    officer = staff.client;
  });
  afterAll(() => world?.stop());

  const users = () => world.db.collection<{ _id: string }>('users');
  const guards = () => world.db.collection<GuardDocument>('face_guards');
  const until = async (what: string, done: () => Promise<boolean>): Promise<void> => {
    for (let i = 0; !(await done()); i++) {
      if (i === 600) throw new Error(`never: ${what}`);
      await sleep(100);
    }
  };

  /** From somewhere else each: nobody's limit is in the way of the next. */
  const stranger = (i: number): ApiClient => new ApiClient(world.url, 'Pixel 9', { 'x-forwarded-for': `10.0.${i >> 8}.${i & 255}` }); // prettier-ignore

  const make: Record<Change, (person: Person, i: number) => Promise<void>> = {
    // As the third strike of an attempt writes it: only one attempt is in flight, so here it comes from outside.
    locked: async ({ userId }) => {
      const lockedUntil = new Date(Date.now() + 30 * 60_000);
      await guards().updateOne({ _id: userId }, { $set: { lockedUntil, strikes: 0 }, $inc: { lockEpoch: 1 } });
    },
    're-enrolment demanded': async ({ userId }) => {
      expect(await officer.post(`/v1/admin/users/${userId}/require-re-enrolment`)).toMatchObject({ status: 204 });
    },
    'consent withdrawn': async ({ client }) => {
      expect((await client.delete('/v1/face/consent')).status).toBeLessThan(300);
    },
    'password reset': async ({ email, userId }, i) => {
      const mails = world.db.collection('mails');
      const had = await mails.countDocuments({ userId, template: 'password_reset' });
      expect(await stranger(i).post('/v1/auth/password/reset', { email })).toMatchObject({ status: 202 });
      await until('the mail', async () => (await mails.countDocuments({ userId, template: 'password_reset' })) > had);
      const token = await world.mailSecret(userId, 'password_reset');
      const confirm = { token, newPassword: `password ${had} of ${userId}` };
      expect(await stranger(i).post('/v1/auth/password/reset/confirm', confirm)).toMatchObject({ status: 204 });
    },
  };
  /** Another one for everybody each time. */
  let shift = 0;
  const changeOf = (i: number): Change => CHANGES[(i + shift) % CHANGES.length]!;

  /** The same people throughout, put back to where they were and signed in anew. */
  let people: Person[] = [];
  const before = new Map<string, { guard: GuardDocument; row: { _id: string } }>();
  const templates = () => world.db.collection<{ _id: string }>('face_templates');
  beforeAll(async () => {
    people = await inLanes(8, EACH, () => world.enrolledAtOnce());
    for (const { userId } of people) {
      const guard = (await world.guard(userId)) as unknown as GuardDocument;
      const row = await templates().findOne({ _id: guard.template?.id ?? '' });
      if (row) before.set(userId, { guard, row });
    }
  });
  const restored = async (): Promise<void> => {
    shift += 1;
    await inLanes(LANES, EACH, async (i) => {
      const { userId, client } = people[i]!;
      const { guard, row } = before.get(userId)!;
      const { template, consentVersion } = guard;
      await templates().replaceOne({ _id: row._id }, row, { upsert: true });
      const fields = { template, consentVersion, reservation: null, lockedUntil: null, reEnrolBy: null, strikes: 0, uncharged: [], freeEnds: [], abandoned: 0, outbox: [] }; // prettier-ignore
      // A new challenge has three steps again, whatever became of the last one.
      await guards().updateOne({ _id: userId }, { $set: fields, $unset: { shown: '' } });
      const { sessionEpoch } = (await users().findOne({ _id: userId })) as unknown as { sessionEpoch: number };
      client.token = (await world.app.get(SessionService, { strict: false }).open(userId, sessionEpoch)).token;
    });
  };
  /** Begins and sends so many steps. */
  const capture = async ({ client }: Person, steps = 3): Promise<string> => {
    const begun = await patiently(() => world.begin(client, 'attempts', GOOD));
    expect(begun).toMatchObject({ status: 201 });
    const attemptId = String(begun.body.attemptId);
    for (let step = 1; step <= steps; step++)
      expect(await patiently(() => world.sendStep(client, attemptId, step))).toMatchObject({ status: 202 });
    return attemptId;
  };
  const isVerified = async (userId: string, attemptId: string): Promise<boolean> =>
    (await guards().countDocuments({ _id: userId, recent: { $elemMatch: { attemptId, outcome: 'verified' } } })) === 1;

  it(`T31: ${ROUNDS * EACH} grants while audit is away: each stands in its guard, and in the log once audit is back`, async () => {
    const database = world.db.name;
    const grant = async (i: number): Promise<string> => {
      const person = people[i]!;
      const attemptId = await capture(person);
      expect((await world.outcome(person.client, attemptId)).body).toMatchObject({ status: 'verified' });
      expect((await person.client.get('/v1/auth/session')).body).toMatchObject({ acr: ACR.face });
      const { outbox } = (await world.guard(person.userId)) as unknown as GuardDocument;
      const told = outbox.filter((entry) => entry.kind === 'event' && entry.event.attemptId === attemptId);
      expect(told).toMatchObject([{ event: { type: 'success' } }]);
      return attemptId;
    };
    const attempts: string[] = [];
    for (let round = 0; round < ROUNDS; round++) attempts.push(...(await inLanes(LANES, EACH, grant)));

    const audit = await startAudit({ database, beside: true, env: keys });
    try {
      for (const { userId } of people) await audit.app.get(DrainService).drainUser(userId);
      const stored = (await audit.collection<{ entry: string }>('face_auth_events').find({ type: 'success' }).toArray())
        .map(({ entry }) => (JSON.parse(entry) as { attemptId: string }).attemptId); // prettier-ignore
      expect(stored.sort()).toEqual([...attempts].sort());
      expect(await guards().countDocuments({ _id: { $in: people.map(({ userId }) => userId) }, hasOutbox: true })).toBe(0); // prettier-ignore
      expect(await audit.verify()).toMatchObject({ ok: true });
    } finally {
      await audit.close();
    }
  });

  describe(`T05: is none after a lock, a demanded enrolment, a withdrawn consent, a reset password`, () => {
    let granted = 0;
    let tried = 0;
    afterAll(() => process.stderr.write(`T05: ${granted} grants of ${tried}\n`));

    const nobodyIsGranted = async (attempts: string[]): Promise<void> => {
      const answers = await inLanes(LANES, people.length, async (i) => {
        const { client } = people[i]!;
        const answer = await client.get(`/v1/face/attempts/${attempts[i]}?wait=1`);
        const session = await client.get('/v1/auth/session');
        return { change: changeOf(i), status: answer.body.status, token: answer.body.session, acr: session.body.acr };
      });
      const bad = answers.filter(({ token, acr, status }) => token !== undefined || acr === ACR.face || status === 'verified'); // prettier-ignore
      tried += answers.length;
      granted += bad.length;
      expect(bad).toEqual([]);
      const taken = await guards().countDocuments({ recent: { $elemMatch: { attemptId: { $in: attempts }, redeemedAt: { $ne: null } } } }); // prettier-ignore
      expect(taken).toBe(0);
    };
    const changeAll = (): Promise<void[]> => inLanes(LANES, people.length, (i) => make[changeOf(i)](people[i]!, i));

    it(`while a challenge is open (${EACH})`, async () => {
      await restored();
      const attempts = await inLanes(LANES, EACH, (i) => capture(people[i]!, 1));
      await changeAll();
      await inLanes(LANES, EACH, async (i) => {
        for (const step of [2, 3]) await world.sendStep(people[i]!.client, attempts[i]!, step);
      });
      await sleep(500);
      await nobodyIsGranted(attempts);
    });

    it(`while the comparison runs (${EACH})`, async () => {
      await restored();
      let release: () => void = () => undefined;
      world.holdMatches = new Promise((resolve) => (release = resolve));
      const attempts = await inLanes(LANES, EACH, (i) => capture(people[i]!));
      await until('all in work', async () => attempts.every((id) => world.jobs.includes(`${id}-match-0`)));
      await changeAll();
      release();
      world.holdMatches = null;
      await sleep(1_000);
      await nobodyIsGranted(attempts);
    });

    it(`while its result waits (${EACH})`, async () => {
      await restored();
      let release: () => void = () => undefined;
      world.holdMatches = new Promise((resolve) => (release = resolve));
      const attempts = await inLanes(LANES, EACH, (i) => capture(people[i]!));
      await until('all in work', async () => attempts.every((id) => world.jobs.includes(`${id}-match-0`)));
      const redis = new Redis(world.config.REDIS_URL, { maxRetriesPerRequest: null });
      const results = new Queue('results', { connection: redis });
      await results.pause();
      release();
      world.holdMatches = null;
      await until('all wait', async () => (await results.getWaitingCount()) >= EACH);
      await changeAll();
      await results.resume();
      await until('all taken', async () => (await results.count()) === 0);
      await results.close();
      redis.disconnect();
      await sleep(500);
      await nobodyIsGranted(attempts);
    });

    it(`while nobody has taken it yet (${EACH})`, async () => {
      await restored();
      const attempts = await inLanes(LANES, EACH, async (i) => {
        const id = await capture(people[i]!);
        await until('decided', () => isVerified(people[i]!.userId, id));
        return id;
      });
      await changeAll();
      await nobodyIsGranted(attempts);
    });

    it('but without a change it is: the attempts above would have been granted', async () => {
      await restored();
      const person = people[0]!;
      const id = await capture(person);
      expect((await world.outcome(person.client, id)).body).toMatchObject({ status: 'verified' });
    });
  });
});
