import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { type Action, CAPTURE_LIMITS, GUARD_LIMITS, type MatchResult, type StepVerdict } from '#contracts';
import {
  databaseClock,
  type EpochChange,
  fixedClock,
  type GuardDocument,
  GuardMachine,
  type Reservation,
} from '#guard';
import {
  CONSENT,
  DAY,
  decisionResult,
  DONE,
  digestOf,
  EPOCH,
  eventsOf,
  GLASS,
  GuardWorld,
  HOUR,
  mailsOf,
  MINUTE,
  MODEL,
  SECOND,
  stepResult,
} from './guard-world.js';

/** COUNTERSIGN_MODEL_RUNS=10000 takes half an hour for both; here what the minutes of `npm test` allow. */
const RUNS = Number(process.env['COUNTERSIGN_MODEL_RUNS'] ?? 0);
const SCHEDULES = RUNS || 80;
const ATTEMPTS = RUNS || 200;
/** So many schedules side by side, each with a user and a clock of its own. */
const LANES = 8;
/** After whatever the users' making left behind, which is by the server's own clock. */
const START_MS = Date.now() + HOUR;
jest.setTimeout(Math.max(SCHEDULES, ATTEMPTS) * 2_000);

let world: GuardWorld;
/** What every run begins with, under a name of its own. */
let enrolled: GuardDocument;
beforeAll(async () => {
  world = await GuardWorld.open();
  const enrolledAt = new Date(START_MS);
  const template = { id: randomUUID(), modelDigest: MODEL, enrolledAt, heldUntil: null };
  enrolled = await world.guard(await world.enrolledUser({ template, firstEnrolledAt: enrolledAt }));
});
afterAll(() => world.close());

const SESSIONS = [randomUUID(), randomUUID()] as const;
const VERDICTS: StepVerdict[] = [DONE, { kind: 'wrong_action' }, { kind: 'quality', code: 'blurred' }];
const JUDGEMENTS: MatchResult['judgement'][] = ['ok', 'mismatch', 'spoof', 'not_compared', 'too_few_samples'];
const CHANGES: EpochChange[] = [
  { kind: 'unlock', actorId: randomUUID() },
  { kind: 'consent_given', version: CONSENT },
  { kind: 'consent_withdrawn' },
  { kind: 'unenrol' },
  { kind: 're_enrolment_required', by: 'recovery' },
  { kind: 're_enrolment_required', by: 'officer', actorId: randomUUID() },
  { kind: 'password_changed' },
  { kind: 'disable', actorId: randomUUID() },
  { kind: 'enable', actorId: randomUUID() },
  { kind: 'roles_changed', added: ['admin', 'auditor'], removed: ['security'], actorId: randomUUID() },
  {
    kind: 'roles_changed',
    added: [],
    removed: ['privacy'],
    operator: 'root',
    actorId: randomUUID(),
    askedBy: randomUUID(),
  },
];

class Run {
  clockMs = START_MS;
  readonly now = (): Date => new Date(this.clockMs);
  readonly store = world.storeAt(fixedClock(this.now));
  userId = '';
  machine!: GuardMachine;
  /** Every reservation there ever was, newest first: results of old ones are delivered too. */
  seen: Reservation[] = [];

  static async start(): Promise<Run> {
    const run = new Run();
    const settings = { limits: GUARD_LIMITS, capture: CAPTURE_LIMITS, clock: databaseClock, newId: randomUUID };
    run.userId = randomUUID();
    const guard = { ...enrolled, _id: run.userId };
    await world.guards.insertOne(structuredClone(guard));
    run.machine = new GuardMachine(structuredClone(guard), settings, run.now, GLASS);
    return run;
  }

  /** Time passes between commands as between those of a real client, or jumps. */
  pass(ms: number): void {
    this.clockMs += ms;
  }
}
type Command = (run: Run) => Promise<[database: string, model: string]>;
const word = (o: object): string => String(('code' in o && o.code) || ('kind' in o && o.kind));

/** A reservation of this run: mostly the live or last one, sometimes an older one. */
const pick = (run: Run, age: number): Reservation =>
  run.seen[Math.min(age, run.seen.length - 1)] ??
  ({
    attemptId: randomUUID(),
    sessionId: SESSIONS[0],
    challengeId: '0'.repeat(32),
    purpose: 'verify',
    actions: ['blink', 'blink', 'blink'],
    lockEpoch: 1,
    run: 0,
  } as unknown as Reservation);

/** For people with four, three and two gestures. */
const DRAWS = [
  ['blink', 'turn_left', 'smile'],
  ['smile', 'blink', 'turn_left', 'smile'],
  ['turn_left', 'blink', 'turn_left', 'turn_left', 'blink', 'blink'],
] satisfies [Action[], ...Action[][]];

async function begin(
  run: Run,
  purpose: 'verify' | 'enrol' | 'practice',
  session: number,
  epoch: string,
  actions: Action[] = DRAWS[0],
): Promise<[string, string]> {
  const input = world.beginInput(run.userId, {
    purpose,
    actions,
    sessionId: SESSIONS[session] ?? SESSIONS[0],
    transportEpoch: epoch,
  });
  const outcome = await run.store.begin(input);
  if (outcome.kind === 'begun') run.seen.unshift(outcome.reservation);
  return [word(outcome), run.machine.begin(input)];
}
async function step(run: Run, n: number, age: number, firstByteAgoMs: number): Promise<[string, string]> {
  const r = pick(run, age);
  const input = {
    userId: run.userId,
    attemptId: r.attemptId,
    sessionId: r.sessionId,
    step: n,
    digest: digestOf(r, n),
    transportEpoch: EPOCH,
    storeEpoch: EPOCH,
    firstByteAgoMs,
  };
  return [word(await run.store.acceptStep(input)), run.machine.acceptStep(input)];
}
async function verdict(run: Run, n: number, v: StepVerdict, age: number): Promise<[string, string]> {
  const result = stepResult(run.userId, pick(run, age), n, v);
  return [word(await run.store.recordVerdict(result)), run.machine.recordVerdict(result)];
}
async function decide(
  run: Run,
  judgement: MatchResult['judgement'],
  stalledTwice: boolean,
  age: number,
  ofRun: number,
  deliveries: number,
): Promise<[string, string]> {
  const r = pick(run, age);
  const templateId = run.machine.g.template?.id ?? randomUUID();
  const result = { ...decisionResult(run.userId, { ...r, run: ofRun }, judgement, templateId), stalledTwice };
  const outcomes = await Promise.all(Array.from({ length: deliveries }, () => run.store.decide(result, 0.5)));
  const expected = Array.from({ length: deliveries }, () => run.machine.decide(result, 0.5));
  return [outcomes.map(word).join(), expected.join()];
}

const joined = (words: [string, string][]): [string, string] => [
  words.map(([database]) => database).join(' '),
  words.map(([, model]) => model).join(' '),
];
async function wholeAttempt(run: Run, judgement: MatchResult['judgement']): Promise<[string, string][]> {
  const words = [await begin(run, 'verify', 0, EPOCH)];
  // Nothing more to learn from steps of an attempt that did not begin.
  if (words[0]?.[0] !== 'begun') return words;
  for (const n of pick(run, 0).actions.keys()) {
    run.pass(SECOND);
    words.push(await step(run, n + 1, 0, 0), await verdict(run, n + 1, DONE, 0));
  }
  words.push(await decide(run, judgement, false, 0, 0, 2));
  return words;
}

const age = fc.constantFrom(0, 0, 0, 0, 1, 2);
const stepNumber = fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8);
const mostly = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> => fc.constantFrom(usual, usual, usual, usual, ...others);
const commands: { weight: number; arbitrary: fc.Arbitrary<{ text: string; run: Command }> }[] = [];
const command = <A extends unknown[]>(
  weight: number,
  name: string,
  args: { [K in keyof A]: fc.Arbitrary<A[K]> },
  run: (r: Run, ...a: A) => Promise<[string, string]>,
): void => {
  commands.push({
    weight,
    arbitrary: fc.tuple(...(args as unknown as fc.Arbitrary<unknown>[])).map((a) => ({
      text: `${name}(${a.map((x) => JSON.stringify(x)).join()})`,
      run: (r: Run) => run(r, ...(a as A)),
    })),
  });
};
command(
  6,
  'begin',
  [
    mostly<'verify' | 'enrol' | 'practice'>('verify', 'enrol', 'practice'),
    fc.constantFrom(0, 1),
    mostly(EPOCH, 'redis-2'),
    fc.constantFrom<Action[]>(...DRAWS),
  ],
  begin,
);
command(6, 'step', [stepNumber, age, mostly(0, 400, 9_000, 10_500)], step);
command(4, 'verdict', [stepNumber, fc.constantFrom(...VERDICTS), age], verdict);
command(
  3,
  'decide',
  [fc.constantFrom(...JUDGEMENTS), mostly(false, true), age, mostly(0, 1, 2), fc.constantFrom(1, 2, 5)],
  decide,
);
/** Whole attempts in one command, so that schedules reach locks within 20 commands. */
command(
  8,
  'attempt',
  [
    mostly<'verify' | 'enrol' | 'practice'>('verify', 'enrol'),
    fc.array(mostly<StepVerdict>(...(VERDICTS as [StepVerdict])), { minLength: 3, maxLength: 3 }),
    fc.constantFrom(...JUDGEMENTS),
  ],
  async (r, purpose, verdicts, judgement) => {
    const words: [string, string][] = [await begin(r, purpose, 0, EPOCH)];
    const more = Array<StepVerdict>(Math.max(0, pick(r, 0).actions.length - verdicts.length)).fill(DONE);
    for (const [i, v] of [...verdicts, ...more].entries()) {
      r.pass(SECOND);
      words.push(await step(r, i + 1, 0, 0), await verdict(r, i + 1, v, 0));
    }
    words.push(await decide(r, judgement, false, 0, 0, 2));
    return joined(words);
  },
);
/** The right face, and its outcome taken: without these a random schedule rarely gets anywhere. */
command(3, 'rightFace', [], async (r) => {
  const words = await wholeAttempt(r, 'ok');
  const { attemptId, sessionId } = pick(r, 0);
  words.push([
    word(await r.store.redeem({ userId: r.userId, attemptId, sessionId })),
    r.machine.redeem({ attemptId, sessionId }),
  ]);
  return joined(words);
});
command(3, 'wrongFace', [fc.constantFrom(1, 2, 3)], async (r, times) => {
  const words: [string, string][] = [];
  for (let n = 0; n < times; n++) words.push(...(await wholeAttempt(r, 'mismatch')));
  return joined(words);
});
command(2, 'cancel', [age], async (r, a) => {
  const { attemptId, sessionId } = pick(r, a);
  return [
    word(await r.store.cancel({ userId: r.userId, attemptId, sessionId })),
    r.machine.cancel({ attemptId, sessionId }),
  ];
});
const epochs = mostly<string | null>(EPOCH, 'redis-2', null);
command(2, 'reconcile', [epochs, epochs, mostly(false, true)], async (r, transportEpoch, storeEpoch, workersGone) => {
  const seen = { transportEpoch, storeEpoch, workersGone };
  return [word(await r.store.settleOverdue(r.userId, seen)), r.machine.settleOverdue(seen)];
});
command(
  2,
  'giveUp',
  [age, fc.constantFrom('stalled_twice' as const, 'worker_failed' as const)],
  async (r, a, reason) => {
    const { attemptId, challengeId, purpose, lockEpoch, run } = pick(r, a);
    const tuple = { attemptId, challengeId, purpose, lockEpoch, run, userId: r.userId };
    const result = { ...tuple, kind: 'unjudged' as const, reason };
    return [word(await r.store.giveUp(result)), r.machine.giveUp(result)];
  },
);
command(2, 'redeem', [age], async (r, a) => {
  const { attemptId, sessionId } = pick(r, a);
  return [
    word(await r.store.redeem({ userId: r.userId, attemptId, sessionId })),
    r.machine.redeem({ attemptId, sessionId }),
  ];
});
command(2, 'change', [fc.constantFrom(...CHANGES)], async (r, what) => [
  word(await r.store.change(r.userId, what, { deviceModel: '$$ROOT' }, randomUUID())),
  r.machine.change(what, { deviceModel: '$$ROOT' }),
]);
command(1, 'erase', [], async (r) => [
  word(await r.store.change(r.userId, { kind: 'erase' }, {}, randomUUID())),
  r.machine.change({ kind: 'erase' }, {}),
]);
command(
  5,
  'pass',
  [fc.constantFrom(301, SECOND, 7 * SECOND, 13 * SECOND, 61 * SECOND, 31 * MINUTE, -HOUR)],
  async (r, ms) => {
    r.pass(ms);
    return ['', ''];
  },
);
command(1, 'drain', [], async (r) => {
  const ids = (entries: GuardDocument['outbox']): string[] =>
    entries.map((e) => (e.kind === 'event' ? e.event.eventId : e.mailId));
  await r.store.pull(r.userId, ids(await r.store.readOutbox(r.userId)));
  r.machine.pull(ids(r.machine.g.outbox));
  return ['', ''];
});

/** What both must agree on: everything but what only the database keeps, event ids aside. */
function comparable(g: GuardDocument, nowMs: number): unknown {
  const kept = Object.entries(g).filter(([key]) => !DATABASE_ONLY.has(key));
  const outbox = [...eventsOf(g).map((e) => ({ ...e, eventId: '' })), ...mailsOf(g)];
  // The ring is pruned when it is written; what counts is its last day.
  const uncharged = g.uncharged.filter((t) => nowMs - t.getTime() < DAY);
  const freeEnds = g.freeEnds.filter((t) => nowMs - t.getTime() < DAY);
  return { ...Object.fromEntries(kept), outbox, uncharged, freeEnds };
}
const DATABASE_ONLY = new Set(['rev', 'ops', 'last', 'dueAt', 'hasDue', 'hasOutbox', 'outboxSince']);

function invariants(g: GuardDocument): void {
  expect(g.strikes).toBeLessThan(GUARD_LIMITS.strikesToLock);
  const ended = g.recent.map((a) => a.attemptId);
  expect(new Set(ended).size).toBe(ended.length);
  const ids = g.outbox.flatMap((e) => (e.kind === 'event' ? [e.event.eventId] : [e.mailId]));
  expect(new Set(ids).size).toBe(ids.length);
  for (const a of g.recent.filter((one) => one.outcome === 'verified'))
    expect(a).toMatchObject({ charged: false, eventType: 'success' });
  expect(g.hasOutbox).toBe(g.outbox.length > 0);
  expect(g.hasDue).toBe(g.reservation !== null);
}

/** The property holds for so many values; a failure is made small by its own lane. */
async function holds<T>(
  runs: number,
  arbitrary: fc.Arbitrary<T>,
  property: (value: T) => Promise<void>,
): Promise<void> {
  const lane = fc.asyncProperty(arbitrary, property);
  const numRuns = Math.ceil(runs / LANES);
  await Promise.all(Array.from({ length: LANES }, () => fc.assert(lane, { numRuns })));
}

it(`T03: the database and the pure machine agree on every command of ${SCHEDULES} random schedules`, async () => {
  const reached = new Set<string>();
  await holds(SCHEDULES, fc.array(fc.oneof(...commands), { minLength: 5, maxLength: 20 }), async (steps) => {
    const run = await Run.start();
    const done: string[] = [];
    for (const { text, run: go } of steps) {
      done.push(text);
      const [database, model] = await go(run);
      const guard = await world.guard(run.userId);
      expect({ done, answer: database, guard: comparable(guard, run.clockMs) }).toEqual({
        done,
        answer: model,
        guard: comparable(run.machine.g, run.clockMs),
      });
      invariants(guard);
      for (const w of database.split(/[ ,]/)) reached.add(w);
      for (const a of guard.recent) reached.add(a.outcome);
    }
  });
  // A schedule that never gets anywhere would prove nothing.
  for (const outcome of ['verified', 'locked', 'not_verified', 'attempt_in_progress', 'granted', 'stale'])
    expect(reached).toContain(outcome);
});

/** Results of one attempt: of its three steps, then the decision. */
const RESULTS = [0, 1, 2, 3] as const;
const deliveries = fc
  .tuple(...RESULTS.map((which) => fc.integer({ min: 1, max: 5 }).map((times) => Array<number>(times).fill(which))))
  .chain((parts) => fc.shuffledSubarray(parts.flat(), { minLength: parts.flat().length }));

it(`T04: ${ATTEMPTS} attempts, each result delivered 1 to 5 times in any order and some at once, end as once and in order`, async () => {
  const ends = new Set<string>();
  const attempt = fc.record({
    order: deliveries,
    verdicts: fc.array(mostly<StepVerdict>(...(VERDICTS as [StepVerdict])), { minLength: 3, maxLength: 3 }),
    judgement: fc.constantFrom(...JUDGEMENTS),
    atOnce: fc.integer({ min: 1, max: 4 }),
  });
  await holds(ATTEMPTS, attempt, async ({ order, verdicts, judgement, atOnce }) => {
    const run = await Run.start();
    await begin(run, 'verify', 0, EPOCH);
    for (const n of [1, 2, 3]) {
      run.pass(SECOND);
      await step(run, n, 0, 0);
    }
    const r = pick(run, 0);
    const steps = verdicts.map((v, i) => stepResult(run.userId, r, i + 1, v));
    const decision = decisionResult(run.userId, r, judgement, run.machine.g.template?.id ?? '') as MatchResult;
    const deliver = async (which: number): Promise<unknown> => {
      const of = steps[which];
      return of ? run.store.recordVerdict(of) : run.store.decide(decision, 0.5);
    };
    for (let i = 0; i < order.length; i += atOnce) await Promise.all(order.slice(i, i + atOnce).map(deliver));
    // A decision that came before its verdicts was none; a job that has no outcome comes again.
    for (const which of RESULTS) await deliver(which);

    for (const result of steps) run.machine.recordVerdict(result);
    run.machine.decide(decision, 0.5);
    const guard = await world.guard(run.userId);
    expect({ order, guard: comparable(guard, run.clockMs) }).toEqual({
      order,
      guard: comparable(run.machine.g, run.clockMs),
    });
    invariants(guard);
    for (const a of guard.recent) ends.add(`${a.outcome} ${a.charged}`);
  });
  expect([...ends].sort()).toEqual(expect.arrayContaining(['not_verified true', 'verified false']));
});
