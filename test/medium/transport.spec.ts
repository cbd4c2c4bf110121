import { randomBytes, randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { ACR, attemptTupleOf, blobKeys, type FaceResultPayload, type MatchResult, type SealedTemplate, SIGNED_AS, similarityAad, type StepResult, templateIdentity } from '#contracts'; // prettier-ignore
import type { Reservation } from '#guard';
import { BlobStore, JobQueue } from '#queue';
import { openWith, SealError, sealTo, signValue, valueDigest } from '#sealing';
import type { ApiClient } from '#testing';
import { Forgeries, type Forgery } from '../../apps/gateway/src/audit-trail/forgeries.js';
import { SystemOutbox } from '../../apps/gateway/src/audit-trail/system-outbox.js';
import { Keys } from '../../apps/gateway/src/store/keys.js';
import { GatewayWorld, GOOD, signedResult, sleep, WORKER_KEYS } from './gateway-world.js';

jest.setTimeout(120_000);

const hex = (bytes: number): string => randomBytes(bytes).toString('hex');

/** The real gateway on real servers; the attacker reads and writes in Redis, and has every public key. */
describe('T38: whoever writes in Redis makes no result, no session and no score', () => {
  let world: GatewayWorld;
  let redis: Redis;
  const found: Forgery[] = [];

  beforeAll(async () => {
    world = await GatewayWorld.start();
    redis = new Redis(world.config.REDIS_URL);
    const forgeries = world.app.get(Forgeries, { strict: false });
    const real = forgeries.found.bind(forgeries);
    jest.spyOn(forgeries, 'found').mockImplementation((reason) => {
      found.push(reason);
      real(reason);
    });
  });
  afterAll(async () => {
    redis.disconnect();
    await world.stop();
  });
  beforeEach(() => found.splice(0));

  /** Puts a result into the queue as anybody could, and waits until the gateway has taken it. */
  const inject = async (payload: unknown, job: 'face.result' | 'worker.models' = 'face.result'): Promise<Forgery[]> => {
    const before = found.length;
    const jobs = world.app.get(JobQueue, { strict: false });
    await jobs.enqueue(job, payload as never, `forged-${randomUUID()}`);
    for (let i = 0; i < 500 && (await jobs.depth('results')) > 0; i++) await sleep(10);
    return found.slice(before);
  };

  interface Waiting {
    userId: string;
    reservation: Reservation;
  }
  /** Attempts whose three steps have come, and whose jobs no worker takes. */
  const waiting = async (count: number): Promise<Waiting[]> => {
    const users = await Promise.all(Array.from({ length: count }, () => world.enrolled()));
    const begun = await Promise.all(users.map(({ client }) => world.begin(client, 'attempts', GOOD)));
    await world.stopWorker();
    return Promise.all(
      users.map(async ({ client, userId }, i) => {
        for (const step of [1, 2, 3]) await world.sendStep(client, String(begun[i]?.body.attemptId), step);
        // The reconciler would queue the decision again, as another run.
        const until = new Date(Date.now() + 600_000);
        const later = { $set: { 'reservation.decideUntil': until, 'reservation.captureUntil': until, dueAt: until } };
        await world.db.collection<{ _id: string }>('face_guards').updateOne({ _id: userId }, later);
        return { userId, reservation: await reservationOf(userId) };
      }),
    );
  };
  const reservationOf = async (userId: string) => (await world.guard(userId)).reservation as Reservation;

  const stepResult = (userId: string, r: Reservation, step = 1): StepResult => ({
    ...attemptTupleOf({ userId, ...r }),
    kind: 'step',
    step,
    action: r.actions[step - 1]!,
    framesDigest: r.digest[step - 1]!,
    verdict: { kind: 'done' },
    modelDigest: world.config.modelDigest,
  });

  describe('a result of a step', () => {
    let it_: Waiting;
    let other: Waiting;
    let genuine: StepResult;
    beforeAll(async () => {
      [it_, other] = (await waiting(2)) as [Waiting, Waiting];
      genuine = stepResult(it_.userId, it_.reservation);
    });
    afterAll(() => world.startWorker());
    afterEach(async () => {
      // Nothing was recorded, whatever was tried.
      expect((await reservationOf(it_.userId)).verdict.filter(Boolean)).toEqual([]);
      expect((await reservationOf(other.userId)).verdict.filter(Boolean)).toEqual([]);
    });

    it.each<[string, () => unknown, Forgery]>([
      ['that is nothing', () => null, 'malformed'],
      ['without a signature', () => ({ result: genuine }), 'malformed'],
      ['of the old form, without an envelope', () => genuine, 'malformed'],
      ['truncated', () => ({ ...signedResult(genuine), result: { ...genuine, verdict: undefined } }), 'malformed'],
      ['with a field more', () => ({ ...signedResult(genuine), result: { ...genuine, score: 1 } }), 'malformed'],
      ['of a key that is not known', () => ({ ...signedResult(genuine), keyId: 'r9' }), 'unknown_key'],
      ['of a stranger under our name', () => ({ result: genuine, ...signValue({ id: 'r1', bytes: randomBytes(32) }, SIGNED_AS.result, genuine) }), 'bad_signature'],
      ['signed for another purpose', () => ({ result: genuine, ...signValue(WORKER_KEYS.signing, SIGNED_AS.similarity, genuine) }), 'bad_signature'],
      ['with a cut signature', () => ({ ...signedResult(genuine), signature: signedResult(genuine).signature.slice(0, -4) }), 'bad_signature'],
    ])('%s is dropped', async (_what, forge, reason) => {
      expect(await inject(forge())).toEqual([reason]);
    }); // prettier-ignore

    it.each<[keyof StepResult, () => Partial<StepResult>]>([
      ['attemptId', () => ({ attemptId: other.reservation.attemptId })],
      ['userId', () => ({ userId: other.userId })],
      ['challengeId', () => ({ challengeId: other.reservation.challengeId })],
      ['purpose', () => ({ purpose: 'practice' })],
      ['lockEpoch', () => ({ lockEpoch: genuine.lockEpoch + 1 })],
      ['run', () => ({ run: 1 })],
      ['step', () => ({ step: 2 })],
      ['action', () => ({ action: genuine.action === 'blink' ? 'smile' : 'blink' })],
      ['framesDigest', () => ({ framesDigest: hex(32) })],
      ['verdict', () => ({ verdict: { kind: 'no_action' } })],
      ['modelDigest', () => ({ modelDigest: hex(32) })],
    ])('with another %s than was signed is dropped, and one signed so belongs to no attempt', async (field, swap) => {
      const swapped = { ...genuine, ...swap() };
      expect(await inject({ ...signedResult(genuine), result: swapped })).toEqual(['bad_signature']);
      // The worker's own signature under the wrong field: the guard compares it. A step's verdict is good for any run,
      // and verdict and models are what the worker says, not what it repeats.
      if (field === 'run' || field === 'verdict' || field === 'modelDigest') return;
      const signed = await inject(signedResult(swapped));
      expect(signed).toEqual(field === 'attemptId' || field === 'userId' ? ['replayed'] : []);
    });
  });

  describe('a result of the comparison', () => {
    let it_: Waiting;
    let genuine: MatchResult;
    beforeAll(async () => {
      [it_] = (await waiting(1)) as [Waiting];
      const { userId, reservation } = it_;
      const row = await world.db.collection<{ _id: string }>('face_templates').findOne({ userId });
      const { _id: templateId, createdAt: _createdAt, ...rest } = row as unknown as Record<string, unknown>;
      genuine = {
        ...attemptTupleOf({ userId, ...reservation }),
        kind: 'match',
        inputs: [1, 2, 3].map((step) => {
          const { action, framesDigest } = stepResult(userId, reservation, step);
          return { step, action, framesDigest };
        }),
        templateId: String(templateId),
        templateDigest: valueDigest(templateIdentity({ templateId, ...rest } as unknown as SealedTemplate)),
        judgement: 'ok',
        stalledTwice: false,
        modelDigest: world.config.modelDigest,
        thresholdId: 't',
      };
    });
    afterAll(() => world.startWorker());
    const live = async () => (await reservationOf(it_.userId))?.attemptId === genuine.attemptId;

    it('before the steps have their verdicts decides nothing', async () => {
      expect(await inject(signedResult(genuine))).toEqual([]);
      expect(await live()).toBe(true);
      for (const step of [1, 2, 3]) await inject(signedResult(stepResult(it_.userId, it_.reservation, step)));
      expect((await reservationOf(it_.userId)).verdict).toEqual(Array(3).fill({ kind: 'done' }));
    });

    it.each<[string, (m: MatchResult) => Partial<MatchResult>]>([
      ['judgement', () => ({ judgement: 'mismatch' })],
      ['re-ordered inputs', (m) => ({ inputs: [...m.inputs].reverse() })],
      ['one input fewer', (m) => ({ inputs: m.inputs.slice(1) })],
      ['frames of another step', (m) => ({ inputs: m.inputs.map((i) => ({ ...i, framesDigest: m.inputs[0]!.framesDigest })) })],
      ['action', (m) => ({ inputs: m.inputs.map((i) => ({ ...i, action: i.action === 'blink' ? 'smile' as const : 'blink' as const })) })],
      ['run', () => ({ run: 1 })],
      ['lockEpoch', (m) => ({ lockEpoch: m.lockEpoch + 1 })],
      ['challengeId', () => ({ challengeId: hex(16) })],
      ['purpose', () => ({ purpose: 'practice' })],
      ['templateId', () => ({ templateId: randomUUID() })],
      ['templateDigest', () => ({ templateDigest: hex(32) })],
      ['no template', () => ({ templateId: undefined, templateDigest: undefined })],
      ['modelDigest', () => ({ modelDigest: hex(32) })],
    ])('with another %s is dropped, signed so or not', async (what, swap) => {
      const swapped: FaceResultPayload = { ...genuine, ...swap(genuine) };
      expect(await inject({ ...signedResult(genuine), result: swapped })).toEqual(['bad_signature']);
      if (what !== 'judgement') {
        expect(await inject(signedResult(swapped))).toEqual(what === 'templateDigest' ? ['input_swapped'] : []);
      }
      expect(await live()).toBe(true);
    }); // prettier-ignore

    it('with a similarity that no worker sealed decides without it; sent again later it is a replay', async () => {
      const { attemptId, run, userId } = genuine;
      const value = { attemptId, run, similarity: 0.99 };
      const blobs = world.app.get(BlobStore, { strict: false });
      const signature = signValue({ id: 'r1', bytes: randomBytes(32) }, SIGNED_AS.similarity, value);
      const json = Buffer.from(JSON.stringify({ value, ...signature }));
      await blobs.put(blobKeys.similarity(attemptId, run), sealTo(WORKER_KEYS.similarity, similarityAad(value), json), 60);

      expect(await inject(signedResult(genuine))).toEqual(['input_swapped']);
      const guard = await world.guard(userId);
      expect(guard).toMatchObject({ reservation: null, recent: [{}, { attemptId, outcome: 'verified' }] });
      expect(JSON.stringify(guard)).not.toContain('0.99');

      // At once it may be a late delivery, and changes nothing; when every blob is gone, it is none.
      const { rev } = guard;
      expect(await inject(signedResult(genuine))).toEqual(['input_swapped'].slice(1));
      const long = { $set: { 'recent.$[a].endedAt': new Date(Date.now() - 130_000) } };
      await world.db.collection<{ _id: string }>('face_guards').updateOne({ _id: userId }, long, { arrayFilters: [{ 'a.attemptId': attemptId }] });
      expect(await inject(signedResult(genuine))).toEqual(['replayed']);
      expect((await world.guard(userId)).rev).toBe(rev);
    }); // prettier-ignore
  });

  it('an enrolment with a template that no worker signed enrols nobody', async () => {
    const { client, userId } = await world.account();
    const begun = await world.begin(client, 'enrolments', GOOD);
    const attemptId = String(begun.body.attemptId);
    const blobs = world.app.get(BlobStore, { strict: false });
    const put = blobs.put.bind(blobs);
    const { templateId } = await reservationOf(userId);
    const template = { templateId, userId, modelDigest: world.config.modelDigest, keyVersion: '1', ciphertext: 'AB', wrappedDek: 'AB' }; // prettier-ignore
    const value = { attemptId, run: 0, template };
    const own = signValue({ id: 'r1', bytes: randomBytes(32) }, SIGNED_AS.newTemplate, value);
    const get = jest.spyOn(blobs, 'get').mockImplementation(async (key) => {
      // Written over between the worker's write and the gateway's reading.
      await put(key, Buffer.from(JSON.stringify({ value, ...own })), 60);
      return Buffer.from(JSON.stringify({ value, ...own }));
    });
    for (const step of [1, 2, 3]) await world.sendStep(client, attemptId, step);
    for (let i = 0; i < 500 && !found.includes('input_swapped'); i++) await sleep(20);
    get.mockRestore();
    expect(found).toContain('input_swapped');
    expect(await world.guard(userId)).toMatchObject({ template: null });
    expect(await world.db.collection('face_templates').countDocuments({ userId })).toBe(0);
  });

  it('what a worker says of its models is in the audit trail, once; what another says, or says again later, is not', async () => {
    const value = (minutesAgo: number) => ({
      reportId: randomUUID(),
      at: new Date(Date.now() - minutesAgo * 60_000).toISOString(),
      outcome: 'refused',
      modelDigest: hex(32),
    });
    const by = (signer: { id: string; bytes: Buffer }, of: object, as: string = SIGNED_AS.models) => ({
      value: of,
      ...signValue(signer, as, of),
    });
    const told = value(0);
    const genuine = by(WORKER_KEYS.signing, told);
    expect(await inject(genuine, 'worker.models')).toEqual([]);
    expect(await inject({ ...genuine, value: value(0) }, 'worker.models')).toEqual(['bad_signature']);
    expect(await inject(by({ id: 'r1', bytes: randomBytes(32) }, told), 'worker.models')).toEqual(['bad_signature']);
    expect(await inject(by(WORKER_KEYS.signing, told, SIGNED_AS.result), 'worker.models')).toEqual(['bad_signature']);
    expect(await inject(by(WORKER_KEYS.signing, value(61)), 'worker.models')).toEqual(['replayed']);
    expect(await inject({ ...genuine, more: 1 }, 'worker.models')).toEqual(['malformed']);
    const rows = async (): Promise<object[]> =>
      (await world.db.collection('system_outboxes').find().toArray()).flatMap(({ entries }) => entries as object[]);
    let events: object[] = [];
    for (let i = 0; i < 200 && events.length === 0; i++) {
      await sleep(20);
      events = (await rows()).filter((row) => 'modelDigest' in row);
    }
    expect(events).toMatchObject([
      { eventId: told.reportId, type: 'model_refused', userId: null, modelDigest: told.modelDigest },
    ]);
  });

  it('frames leave sealed: they open with the workers’ key at their own place only', async () => {
    const [{ reservation: r }] = (await waiting(1)) as [Waiting];
    const place = { attemptId: r.attemptId, step: 1, framesDigest: r.digest[0]! };
    const blob = await world.app.get(BlobStore, { strict: false }).get(blobKeys.frames(r.attemptId, 1, place.framesDigest));
    const aad = (step: number): string => `frames:v1:${r.attemptId}:${step}:${place.framesDigest}`;
    expect(openWith([WORKER_KEYS.frames], aad(1), blob!).includes(Buffer.from([0xff, 0xd8, 0xff]))).toBe(true);
    expect(() => openWith([WORKER_KEYS.frames], aad(2), blob!)).toThrow(SealError);
    expect(blob!.includes(Buffer.from([0xff, 0xd8, 0xff, 0xc0]))).toBe(false);
    await world.startWorker();
  }); // prettier-ignore

  describe('a session record', () => {
    const session = async (): Promise<{ client: ApiClient; key: string; text: string }> => {
      const { client, userId } = await world.account();
      const [key = ''] = await redis.smembers(`sess-of:${userId}`);
      return { client, key, text: (await redis.get(key)) ?? '' };
    };
    const raised = (text: string): string => {
      const { record, mac } = JSON.parse(text) as { record: string; mac: string };
      return JSON.stringify({ record: record.replace('"methods":{', `$&"face":${Date.now()},`), mac });
    };

    it.each<[string, (text: string, other: string) => string]>([
      ['with a higher level', (text) => raised(text)],
      ['of another session', (_text, other) => other],
      ['truncated', (text) => text.slice(0, -9)],
      ['without its code', (text) => JSON.stringify({ ...(JSON.parse(text) as object), mac: '' })],
    ])('%s is none, and is audited', async (_what, forge) => {
      const { client, key, text } = await session();
      expect((await client.get('/v1/auth/session')).status).toBe(200);
      await redis.set(key, forge(text, (await session()).text), 'EX', 60);
      expect((await client.get('/v1/auth/session')).status).toBe(401);
      expect(found).toEqual(['session_forged']);
    });

    it.each<[string, (record: Record<string, unknown>) => unknown]>([
      ['0.1', ({ version: _, methods: __, redeemed: ___, ...rest }) => ({ ...rest, acr: ACR.face, raisedBy: null })],
      ['a version to come', (record) => ({ ...record, version: 2, methods: { pwd: Date.now(), palm: Date.now() } })],
    ])('of %s, written by a gateway, is no session, and no forgery', async (_what, made) => {
      const { client, key, text } = await session();
      const { record } = JSON.parse(text) as { record: string };
      const other = JSON.stringify(made(JSON.parse(record) as Record<string, unknown>));
      const mac = world.app.get(Keys, { strict: false }).mac('session-record', key, other).toString('base64url');
      await redis.set(key, JSON.stringify({ record: other, mac }), 'EX', 60);
      expect((await client.get('/v1/auth/session')).status).toBe(401);
      expect(found).toEqual([]);
      // A gateway of that version still has it.
      expect(await redis.exists(key)).toBe(1);
    });
  });

  it('each kind has one entry in the system outbox this minute, and the rest is counted', async () => {
    const row = { type: 'result_forged' };
    const entries = async () => {
      const rows = await world.db.collection('system_outboxes').find().toArray();
      return rows.flatMap((r) => r.entries as { type: string; reason: string; count: number }[]).filter((e) => e.type === row.type);
    };
    const before = await entries();
    const kinds = ['bad_signature', 'input_swapped', 'malformed', 'replayed', 'session_forged', 'unknown_key'];
    expect([...new Set(before.map(({ reason }) => reason))].sort()).toEqual(kinds);
    await world.app.get(SystemOutbox, { strict: false }).beforeApplicationShutdown();
    const total = (await entries()).reduce((sum, { count }) => sum + count, 0);
    expect(total).toBeGreaterThan(40);
    expect(before.length).toBeLessThan(total);
  }); // prettier-ignore
});
