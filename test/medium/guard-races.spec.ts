import { randomUUID } from 'node:crypto';
import { type MatchResult } from '#contracts';
import { DONE, eventsOf, GuardWorld, mailsOf, SECOND, SEEN, stepResult } from './guard-world.js';

/** What must hold whatever runs in parallel, against a real server. */
let world: GuardWorld;
beforeAll(async () => {
  world = await GuardWorld.open();
});
afterAll(() => world.close());
jest.setTimeout(120_000);

const PARALLEL = 200;
const inParallel = <T>(n: number, run: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: n }, (_, i) => run(i)));
const shuffled = <T>(items: T[]): T[] =>
  items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map((x) => x.item);

it('of 200 parallel begins exactly one reserves', async () => {
  const userId = await world.enrolledUser();
  const outcomes = await inParallel(PARALLEL, () => world.begin(userId));
  const begun = outcomes.flatMap((o) => (o.kind === 'begun' ? [o.reservation.attemptId] : []));
  expect(begun).toHaveLength(1);
  const refused = outcomes.filter((o) => o.kind === 'refused');
  expect(new Set(refused.map((o) => o.code))).toEqual(new Set(['attempt_in_progress']));
  expect((await world.guard(userId)).reservation?.attemptId).toBe(begun[0]);
});

it('of 200 parallel deliveries of one begin all get the same reservation', async () => {
  const userId = await world.enrolledUser();
  const input = world.beginInput(userId);
  const outcomes = await inParallel(PARALLEL, () => world.store.begin(input));
  expect(new Set(outcomes.map((o) => JSON.stringify(o))).size).toBe(1);
  expect(outcomes[0]).toMatchObject({ kind: 'begun', reservation: { attemptId: input.attemptId } });
});

it('of 100 parallel uploads of one step exactly one is accepted, and its digest is the one kept', async () => {
  const userId = await world.enrolledUser();
  const r = await world.begun(userId);
  world.pass(SECOND);
  const digests = Array.from({ length: 100 }, (_, i) => i.toString(16).padStart(64, '0'));
  const outcomes = await Promise.all(digests.map((digest) => world.step(userId, r, 1, { digest })));
  const accepted = outcomes.flatMap((o) => (o.kind === 'accepted' ? [o.reservation.digest] : []));
  expect(accepted).toHaveLength(1);
  expect((await world.guard(userId)).reservation).toMatchObject({ next: 2, digest: accepted[0] });
  const refused = outcomes.flatMap((o) => (o.kind === 'refused' ? [o.code] : []));
  expect(new Set(refused)).toEqual(new Set(['step_already_received']));
});

it('three strikes lock under 200 deliveries a decision, with one locked event and one mail', async () => {
  for (let round = 0; round < 2; round++) {
    const userId = await world.enrolledUser();
    for (let strike = 0; strike < 3; strike++) {
      const r = await world.captured(userId, [DONE, DONE, DONE]);
      const result = await world.result(userId, r, 'mismatch');
      // The right result five times over, among as many that are for another run, epoch or attempt.
      const forged = { ...result, judgement: 'ok' as const };
      const wrong: MatchResult[] = [
        { ...forged, run: 1 },
        { ...forged, lockEpoch: r.lockEpoch + 1 },
        { ...forged, attemptId: randomUUID() },
      ] as MatchResult[];
      const deliveries = shuffled(
        Array.from({ length: PARALLEL }, (_, i) => (i % 4 === 0 ? result : wrong[(i % 4) - 1])),
      );
      const outcomes = await Promise.all(deliveries.map((d) => world.store.decide(d as MatchResult, 0.1)));
      const decided = outcomes.flatMap((o) => (o.kind === 'decided' ? [o.attempt] : []));
      expect(decided).toHaveLength(PARALLEL / 4);
      expect(new Set(decided.map((a) => JSON.stringify(a))).size).toBe(1);
    }
    const guard = await world.guard(userId);
    expect(eventsOf(guard).map((e) => e.type)).toEqual(['failed', 'failed', 'failed', 'locked']);
    expect(mailsOf(guard)).toHaveLength(1);
    expect(guard).toMatchObject({ strikes: 0, consecutiveStrikes: 3, lockEpoch: 2 });
    expect(guard.strikeRing).toHaveLength(3);
  }
});

it('200 clients that try wrong faces at once get three attempts and one lock', async () => {
  const userId = await world.enrolledUser();
  let attempts = 0;
  const client = async (): Promise<string> => {
    for (;;) {
      const outcome = await world.begin(userId);
      if (outcome.kind === 'refused') {
        if (outcome.code !== 'attempt_in_progress') return outcome.code;
        await new Promise((resolve) => setTimeout(resolve, 300 + 700 * Math.random()));
        continue;
      }
      attempts += 1;
      const r = outcome.reservation;
      for (const step of [1, 2, 3]) {
        world.pass(400);
        await inParallel(3, () => world.step(userId, r, step));
        await inParallel(3, () => world.store.recordVerdict(stepResult(userId, r, step, DONE)));
      }
      const result = await world.result(userId, r, 'mismatch');
      await inParallel(5, () => world.store.decide(result, 0.1));
    }
  };
  const ends = await inParallel(PARALLEL, client);
  expect(new Set(ends)).toEqual(new Set(['face_locked']));
  expect(attempts).toBe(3);
  const guard = await world.guard(userId);
  const types = eventsOf(guard).map((e) => e.type);
  expect(types.filter((t) => t === 'failed')).toHaveLength(3);
  expect(types.filter((t) => t === 'locked')).toHaveLength(1);
  expect(mailsOf(guard)).toHaveLength(1);
});

it('an attempt that is decided, cancelled, overdue and changed away at once ends once', async () => {
  for (let round = 0; round < 20; round++) {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE]);
    const result = await world.result(userId, r, 'ok');
    world.pass(49 * SECOND);
    await Promise.all(
      shuffled<() => Promise<unknown>>([
        () => world.store.decide(result, 0.9),
        () => world.store.decide(result, 0.9),
        () => world.store.settleOverdue(userId, { ...SEEN, transportEpoch: 'redis-2' }),
        () => world.store.settleOverdue(userId, SEEN),
        () => world.begin(userId),
        () => world.store.change(userId, { kind: 'password_changed' }, {}, randomUUID()),
      ]).map((run) => run()),
    );
    const guard = await world.guard(userId);
    expect(guard.recent.filter((a) => a.attemptId === r.attemptId)).toHaveLength(1);
    expect(eventsOf(guard).filter((e) => e.attemptId === r.attemptId)).toHaveLength(1);
  }
});

it('an outcome is taken first by exactly one of 100 parallel redemptions', async () => {
  const userId = await world.enrolledUser();
  const attempt = await world.attempt(userId, 'ok');
  const outcomes = await inParallel(100, () => world.store.redeem({ userId, ...attempt }));
  const granted = outcomes.flatMap((o) => (o.kind === 'granted' ? [o.first] : []));
  expect(granted).toHaveLength(100);
  expect(granted.filter(Boolean)).toHaveLength(1);
});

it('nothing appended while the outbox is pulled is lost', async () => {
  const userId = await world.enrolledUser();
  const ids = Array.from({ length: 60 }, () => randomUUID());
  const stored: string[] = [];
  const drain = async () =>
    stored.push(...(await world.drain(userId)).flatMap((e) => (e.kind === 'event' ? [e.event.eventId] : [])));
  await Promise.all(
    ids.map(async (eventId, i) => {
      await world.store.appendEvent(userId, { eventId, type: 'login_ok' });
      if (i % 5 === 0) await drain();
    }),
  );
  await drain();
  expect(new Set(stored)).toEqual(new Set(ids));
  expect(await world.guard(userId)).toMatchObject({ outbox: [], hasOutbox: false });
});
