import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { CHALLENGE_STEPS } from '#contracts';
import type { Action, AuditEvent, EnrolResult, GuardLimits, MatchResult, Origin, PayloadPart, Personal, Purpose, StepResult, StepVerdict } from '#contracts'; // prettier-ignore
import {
  type BeginInput,
  type BeginOutcome,
  createGuardStore,
  type GuardClock,
  type GuardDocument,
  type GuardStore,
  newChallengeId,
  type OutboxEntry,
  type RecentAttempt,
  type Reservation,
  shiftedClock,
  type UserSealer,
} from '#guard';

export const MODEL = 'a'.repeat(64);
export const CONSENT = 'v1';
export const EPOCH = 'redis-1';
/** Nothing is away. */
export const SEEN = { transportEpoch: EPOCH, storeEpoch: EPOCH, workersGone: false };
export const DONE: StepVerdict = { kind: 'done' };
export const WRONG: StepVerdict = { kind: 'wrong_action' };
export const NO_FACE: StepVerdict = { kind: 'quality', code: 'no_face' };
export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** A real server and a database of its own; the database's clock can be moved forward. */
export class GuardWorld {
  aheadMs = 0;
  readonly store: GuardStore;

  private constructor(
    private readonly connection: mongoose.Connection,
    readonly guards: mongoose.mongo.Collection<GuardDocument>,
    limits?: Partial<GuardLimits>,
    clock?: GuardClock,
  ) {
    this.store = createGuardStore({
      collection: guards,
      sealer,
      clock: clock ?? shiftedClock(() => this.aheadMs),
      ...(limits ? { limits } : {}),
    });
  }

  /** `database`: another's, for a guard whose outbox is drained. */
  static async open(
    o: { limits?: Partial<GuardLimits>; clock?: GuardClock; database?: string } = {},
  ): Promise<GuardWorld> {
    const uri = process.env['COUNTERSIGN_TEST_MONGODB_URI'];
    if (!uri) throw new Error('no server to test against: use `npm test`, or `node tools/run.mjs jest` for some');
    const dbName = o.database ?? `guard_${randomUUID().slice(0, 8)}`;
    const connection = await mongoose.createConnection(uri, { dbName, maxPoolSize: 50 }).asPromise();
    const guards = connection.getClient().db(dbName).collection<GuardDocument>('face_guards');
    const world = new GuardWorld(connection, guards, o.limits, o.clock);
    await world.store.ensureIndexes();
    return world;
  }

  async close(): Promise<void> {
    await this.connection.dropDatabase();
    await this.connection.close();
  }

  /** A store in which something happens after each reading and before what follows from it. */
  storeThatReads(andThen: () => Promise<unknown>): GuardStore {
    const aggregate = (...args: Parameters<typeof this.guards.aggregate>) => ({
      toArray: async () => {
        const read = await this.guards.aggregate(...args).toArray();
        await andThen();
        return read;
      },
    });
    const collection = new Proxy(this.guards, {
      get: (target, name) => {
        const value = (name === 'aggregate' ? aggregate : Reflect.get(target, name)) as (...args: unknown[]) => unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    return createGuardStore({ collection, sealer, clock: shiftedClock(() => this.aheadMs) });
  }

  /** A store of the same guards by another clock. */
  storeAt(clock: GuardClock): GuardStore {
    return createGuardStore({ collection: this.guards, sealer, clock });
  }

  pass(ms: number): void {
    this.aheadMs += ms;
  }

  async guard(userId: string): Promise<GuardDocument> {
    const guard = await this.guards.findOne({ _id: userId });
    if (!guard) throw new Error('no such guard');
    return guard;
  }

  /** Writes the document behind the store's back: for states that take long to reach. */
  async put(userId: string, fields: Partial<GuardDocument>): Promise<void> {
    await this.guards.updateOne({ _id: userId }, { $set: fields });
  }

  /** What the audit service does: reads the outbox and pulls it. */
  async drain(userId: string): Promise<OutboxEntry[]> {
    const entries = await this.store.readOutbox(userId);
    await this.store.pull(
      userId,
      entries.map((e) => (e.kind === 'event' ? e.event.eventId : e.mailId)),
    );
    return entries;
  }

  async newUser(): Promise<string> {
    const userId = randomUUID();
    await this.store.create(userId, { faceRequired: true, event: { eventId: randomUUID(), type: 'registered' } });
    return userId;
  }

  /** A user with consent and a template, an empty outbox and the lock epoch 1. */
  async enrolledUser(fields: Partial<GuardDocument> = {}): Promise<string> {
    const userId = await this.newUser();
    await this.store.change(userId, { kind: 'consent_given', version: CONSENT }, {}, randomUUID());
    const enrolledAt = new Date(Date.now() + this.aheadMs - HOUR);
    const template = { id: randomUUID(), modelDigest: MODEL, enrolledAt, heldUntil: null };
    await this.put(userId, {
      template,
      firstEnrolledAt: enrolledAt,
      everHadFactor: true,
      outbox: [],
      hasOutbox: false,
      outboxSince: null,
      ...fields,
    });
    return userId;
  }

  beginInput(userId: string, o: Partial<BeginInput> = {}): BeginInput {
    return {
      userId,
      attemptId: randomUUID(),
      challengeId: newChallengeId(),
      sessionId: randomUUID(),
      purpose: 'verify',
      actions: ['blink', 'turn_left', 'smile'] satisfies Action[],
      transportEpoch: EPOCH,
      storeEpoch: EPOCH,
      currentConsentVersion: CONSENT,
      currentModelDigest: MODEL,
      templateId: o.purpose === 'enrol' ? randomUUID() : null,
      hold: false,
      boundFrom: 'face',
      origin: { deviceModel: 'Pixel 9', ipAddress: '192.0.2.7' },
      ...o,
    };
  }

  begin(userId: string, o: Partial<BeginInput> = {}): Promise<BeginOutcome> {
    return this.store.begin(this.beginInput(userId, o));
  }

  async begun(userId: string, o: Partial<BeginInput> = {}): Promise<Reservation> {
    const outcome = await this.begin(userId, o);
    if (outcome.kind !== 'begun') throw new Error(`begin refused: ${outcome.code}`);
    return outcome.reservation;
  }

  step(userId: string, r: Reservation, step: number, o: Partial<Parameters<GuardStore['acceptStep']>[0]> = {}) {
    return this.store.acceptStep({
      userId,
      attemptId: r.attemptId,
      sessionId: r.sessionId,
      step,
      digest: digestOf(r, step),
      transportEpoch: EPOCH,
      storeEpoch: EPOCH,
      firstByteAgoMs: 0,
      ...o,
    });
  }

  /** Begins and uploads steps, with the verdicts given (one a step; `null`: the step came, its verdict not yet). */
  async captured(userId: string, verdicts: (StepVerdict | null)[], o: Partial<BeginInput> = {}): Promise<Reservation> {
    const r = await this.begun(userId, o);
    // After an attempt that was not decided there are more steps.
    const more = verdicts.length !== CHALLENGE_STEPS ? 0 : r.actions.length - verdicts.length;
    for (const [i, verdict] of [...verdicts, ...Array<StepVerdict>(Math.max(0, more)).fill(DONE)].entries()) {
      this.pass(SECOND);
      const outcome = await this.step(userId, r, i + 1);
      if (outcome.kind !== 'accepted') throw new Error(`step refused: ${outcome.code}`);
      if (verdict) await this.store.recordVerdict(stepResult(userId, r, i + 1, verdict));
    }
    const { reservation } = await this.guard(userId);
    if (!reservation) throw new Error('the attempt is over');
    return reservation;
  }

  async decided(userId: string, r: Reservation, judgement: MatchResult['judgement'], similarity: number | null = null) {
    const outcome = await this.store.decide(await this.result(userId, r, judgement), similarity);
    if (outcome.kind !== 'decided') throw new Error('the decision was stale');
    return outcome.attempt;
  }

  /** A whole attempt. */
  async attempt(
    userId: string,
    judgement: MatchResult['judgement'],
    verdicts: StepVerdict[] = [DONE, DONE, DONE],
    o: Partial<BeginInput> = {},
  ): Promise<RecentAttempt> {
    return this.decided(userId, await this.captured(userId, verdicts, o), judgement);
  }

  async result(
    userId: string,
    r: Reservation,
    judgement: MatchResult['judgement'],
  ): Promise<MatchResult | EnrolResult> {
    const { template } = await this.guard(userId);
    return decisionResult(userId, r, judgement, template?.id ?? randomUUID());
  }

  async lockedUser(): Promise<string> {
    const userId = await this.enrolledUser();
    for (let i = 0; i < 3; i++) await this.attempt(userId, 'mismatch');
    return userId;
  }
}

export const digestOf = (r: Pick<Reservation, 'attemptId'>, step: number): string =>
  r.attemptId.replaceAll('-', '').padEnd(63, '0') + String(step);

const tupleOf = (userId: string, r: Reservation) => ({
  attemptId: r.attemptId,
  userId,
  challengeId: r.challengeId,
  purpose: r.purpose,
  lockEpoch: r.lockEpoch,
  run: r.run,
});

export const stepResult = (userId: string, r: Reservation, step: number, verdict: StepVerdict): StepResult => ({
  ...tupleOf(userId, r),
  kind: 'step',
  step,
  action: r.actions[step - 1] as Action,
  framesDigest: digestOf(r, step),
  verdict,
  modelDigest: MODEL,
});

export function decisionResult(
  userId: string,
  r: Reservation,
  judgement: MatchResult['judgement'],
  templateId: string,
): MatchResult | EnrolResult {
  const common = {
    ...tupleOf(userId, r),
    inputs: r.actions.map((action, i) => ({ step: i + 1, action, framesDigest: digestOf(r, i + 1) })),
    judgement,
    stalledTwice: false,
    modelDigest: MODEL,
  };
  const purpose: Purpose = r.purpose;
  if (purpose === 'enrol') return { ...common, kind: 'enrol', templateId: r.templateId ?? '' };
  return { ...common, kind: 'match', thresholdId: 't1', ...(purpose === 'verify' ? { templateId } : {}) };
}

const pack = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const unpack = (data: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(data, 'base64url').toString('utf8')) as Record<string, unknown>;

/** In place of the cipher, whose own tests are elsewhere: packed so that a test can look in, with the event it was for. */
export const GLASS: UserSealer = {
  event: (eventId, { ipAddress, deviceModel, similarity }) => {
    const parts: [PayloadPart, Personal][] = [
      ['address', { ipAddress }],
      ['origin', { deviceModel }],
      ['similarity', { similarity }],
    ];
    const there = parts.filter(([, personal]) => Object.values(personal).some((v) => v !== undefined));
    return { parts: there.map(([part, personal]) => ({ part, data: pack({ eventId, ...personal }) })), tags: [] };
  },
  mail: ({ deviceModel, ipAddress }: Origin) => pack({ deviceModel, ipAddress }),
};
const sealer = { of: async () => GLASS };

/** Events and mails with what was sealed in them; a part that was sealed for another event is an error. */
export const eventsOf = (guard: Pick<GuardDocument, 'outbox'>): AuditEvent[] =>
  guard.outbox.flatMap((entry) => {
    if (entry.kind !== 'event') return [];
    const { sealed, ...event } = entry.event;
    const opened = (sealed?.parts ?? []).map(({ data }) => unpack(data));
    for (const { eventId } of opened) expect(eventId).toBe(event.eventId);
    return [Object.assign({}, ...opened, event) as AuditEvent];
  });
export const mailsOf = (guard: Pick<GuardDocument, 'outbox'>) =>
  guard.outbox.flatMap((entry) => {
    if (entry.kind !== 'mail') return [];
    const { sealedOrigin, ...mail } = entry;
    return [{ ...mail, params: { ...mail.params, ...(sealedOrigin === undefined ? {} : unpack(sealedOrigin)) } }];
  });
