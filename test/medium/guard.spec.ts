import { randomUUID } from 'node:crypto';
import {
  type Action,
  type EventType,
  auditEventSchema,
  GUARD_LIMITS,
  mailRowSchema,
  type MatchResult,
  type StepVerdict,
} from '#contracts';
import type { BeginInput, EpochChange, GuardDocument, Reservation } from '#guard';
import {
  DAY,
  DONE,
  eventsOf,
  GuardWorld,
  HOUR,
  mailsOf,
  MINUTE,
  SEEN,
  MODEL,
  NO_FACE,
  SECOND,
  stepResult,
  WRONG,
} from './guard-world.js';

/** The guard's rules against a real server; only the database's clock is moved forward. */
let world: GuardWorld;
beforeAll(async () => {
  world = await GuardWorld.open();
});
afterAll(() => world.close());

describe('rule 1: a guard is created once, by insert', () => {
  it('creating it again changes nothing, and its event exists once', async () => {
    const userId = randomUUID();
    const event = { eventId: randomUUID(), type: 'registered' as const };
    await world.store.create(userId, { faceRequired: true, event });
    await world.store.create(userId, { faceRequired: false, event });
    const guard = await world.guard(userId);
    expect(guard.faceRequired).toBe(true);
    expect(eventsOf(guard).map((e) => e.eventId)).toEqual([event.eventId]);
  });

  it('no operation on an unknown user creates one', async () => {
    const userId = randomUUID();
    const ref = { userId, attemptId: randomUUID(), sessionId: randomUUID() };
    expect(await world.begin(userId)).toEqual({ kind: 'refused', code: 'not_found' });
    expect(await world.store.change(userId, { kind: 'unenrol' }, {}, randomUUID())).toEqual({ kind: 'not_found' });
    expect(await world.store.appendEvent(userId, { eventId: randomUUID(), type: 'logout' })).toBe(false);
    expect(await world.store.cancel(ref)).toEqual({ kind: 'not_found' });
    expect(await world.store.redeem(ref)).toEqual({ kind: 'refused' });
    expect(await world.store.view(ref)).toEqual({ kind: 'unknown' });
    expect(await world.store.summary(userId)).toBeNull();
    expect(await world.guards.countDocuments({ _id: userId })).toBe(0);
  });
});

describe('rule 2: begin reserves the only attempt or refuses exactly', () => {
  const later = (ms: number): Date => new Date(Date.now() + world.aheadMs + ms);
  const times = (n: number, agoMs: number): Date[] => Array.from({ length: n }, (_, i) => later(i - agoMs));
  const cases: [what: string, fields: () => Partial<GuardDocument>, refusal: object, whileEnrolling: object | null][] =
    [
      ['a disabled account', () => ({ state: 'disabled' }), { code: 'account_inactive' }, { code: 'account_inactive' }],
      [
        'an erasure that runs',
        () => ({ state: 'erasing' }),
        { code: 'account_inactive' },
        { code: 'account_inactive' },
      ],
      ['50 strikes in a row', () => ({ consecutiveStrikes: 50 }), { code: 'face_disabled' }, null],
      ['the lock', () => ({ lockedUntil: later(90 * SECOND) }), { code: 'face_locked', minutes: 2 }, null],
      ['no consent', () => ({ consentVersion: null }), { code: 'consent_required' }, { code: 'consent_required' }],
      ['an old consent', () => ({ consentVersion: 'v0' }), { code: 'consent_outdated' }, { code: 'consent_outdated' }],
      ['no template', () => ({ template: null }), { code: 'enrolment_required' }, null],
      [
        'a template of another model',
        () => ({ template: { id: randomUUID(), modelDigest: 'other', enrolledAt: later(-HOUR), heldUntil: null } }),
        { code: 're_enrolment_required' },
        null,
      ],
      [
        'a template of 180 days',
        () => ({ template: { id: randomUUID(), modelDigest: MODEL, enrolledAt: later(-180 * DAY), heldUntil: null } }),
        { code: 're_enrolment_required' },
        null,
      ],
      ['a demand to enrol again', () => ({ reEnrolBy: later(-1) }), { code: 're_enrolment_required' }, null],
      [
        '10 uncharged attempts in 10 minutes',
        () => ({ uncharged: times(10, 4 * MINUTE) }),
        { code: 'too_many_attempts', retryAfterSeconds: 360 },
        { code: 'too_many_attempts', retryAfterSeconds: 360 },
      ],
      [
        '30 uncharged attempts in a day',
        () => ({ uncharged: times(30, 4 * HOUR) }),
        { code: 'too_many_attempts', retryAfterSeconds: 72_000 },
        { code: 'too_many_attempts', retryAfterSeconds: 72_000 },
      ],
      [
        '3 free ends in 10 minutes',
        () => ({ freeEnds: times(3, 4 * MINUTE) }),
        { code: 'too_many_attempts', retryAfterSeconds: 360 },
        { code: 'too_many_attempts', retryAfterSeconds: 360 },
      ],
      [
        '10 free ends in a day',
        () => ({ freeEnds: times(10, 4 * HOUR) }),
        { code: 'too_many_attempts', retryAfterSeconds: 72_000 },
        { code: 'too_many_attempts', retryAfterSeconds: 72_000 },
      ],
      [
        'an outbox at its cap',
        () => ({ outbox: Array.from({ length: 50 }, (_, i) => waitingEvent(i)) }),
        { code: 'busy' },
        { code: 'busy' },
      ],
      [
        'an outbox that waits for 15 minutes',
        () => ({ outbox: [waitingEvent(-15 * MINUTE - SECOND)], outboxSince: later(-15 * MINUTE - SECOND) }),
        { code: 'busy' },
        { code: 'busy' },
      ],
    ];

  it.each(cases)('%s', async (_what, fields, refusal, whileEnrolling) => {
    const userId = await world.enrolledUser(fields());
    expect(await world.begin(userId)).toMatchObject({ kind: 'refused', ...refusal });
    const enrol = await world.begin(userId, { purpose: 'enrol' });
    if (whileEnrolling) expect(enrol).toMatchObject({ kind: 'refused', ...whileEnrolling });
    else expect(enrol.kind).toBe('begun');
  });

  it.each(cases.filter(([, , , whileEnrolling]) => !whileEnrolling))(
    'practice is open in spite of %s',
    async (_what, fields) => {
      const userId = await world.enrolledUser(fields());
      expect((await world.begin(userId, { purpose: 'practice' })).kind).toBe('begun');
    },
  );

  it.each(cases)(
    '%s, come about after the reading, is found by the update itself',
    async (_what, fields, refusal, whileEnrolling) => {
      const verify = await world.enrolledUser();
      const racing = world.storeThatReads(() => world.put(verify, fields()));
      expect(await racing.begin(world.beginInput(verify))).toMatchObject({ kind: 'refused', ...refusal });
      const other = await world.enrolledUser();
      const enrolling = world.storeThatReads(() => world.put(other, fields()));
      const enrol = await enrolling.begin(world.beginInput(other, { purpose: 'enrol' }));
      if (whileEnrolling) expect(enrol).toMatchObject({ kind: 'refused', ...whileEnrolling });
      else expect(enrol.kind).toBe('begun');
    },
  );

  it('another attempt, begun after the reading, is found by the update itself', async () => {
    const userId = await world.enrolledUser();
    const racing = world.storeThatReads(() => world.begun(userId));
    expect(await racing.begin(world.beginInput(userId))).toMatchObject({
      code: 'attempt_in_progress',
      attemptId: null,
    });
  });

  it('a decision that is queued again after the reading is not cut short by the update', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE]);
    world.pass(50 * SECOND);
    const racing = world.storeThatReads(() => world.store.settleOverdue(userId, SEEN));
    expect(await racing.begin(world.beginInput(userId))).toMatchObject({ code: 'attempt_in_progress' });
    expect((await world.guard(userId)).reservation).toMatchObject({ attemptId: r.attemptId, run: 1 });
  });

  it('a begin that came before begins nothing again once its attempt is over', async () => {
    const userId = await world.enrolledUser();
    const input = world.beginInput(userId);
    expect((await world.store.begin(input)).kind).toBe('begun');
    const cancel = () => world.store.cancel(input);
    await cancel();
    expect(await world.store.begin(input)).toMatchObject({ code: 'attempt_in_progress', attemptId: input.attemptId });
    // The same while the first is still at work: its repeat has read the guard before.
    const other = { ...world.beginInput(userId), userId };
    const racing = world.storeThatReads(async () => {
      await world.store.begin(other);
      await world.store.cancel(other);
    });
    expect(await racing.begin(other)).toMatchObject({ code: 'attempt_in_progress', attemptId: other.attemptId });
    expect((await world.guard(userId)).reservation).toBeNull();
  });

  it('just short of each limit an attempt begins', async () => {
    const userId = await world.enrolledUser({
      consecutiveStrikes: 49,
      lockedUntil: later(-1),
      reEnrolBy: later(HOUR),
      uncharged: [...times(20, 4 * HOUR), ...times(9, 4 * MINUTE)],
      template: { id: randomUUID(), modelDigest: MODEL, enrolledAt: later(MINUTE - 180 * DAY), heldUntil: null },
      outbox: Array.from({ length: 49 }, (_, i) => waitingEvent(i)),
      outboxSince: later(-14 * MINUTE),
    });
    expect((await world.begin(userId)).kind).toBe('begun');
  });

  it('the lock is told before a missing consent', async () => {
    const userId = await world.enrolledUser({ consentVersion: null, lockedUntil: later(MINUTE) });
    expect(await world.begin(userId)).toMatchObject({ code: 'face_locked', minutes: 1 });
  });

  it('a live attempt is named to its own session only, with the time to wait', async () => {
    const userId = await world.enrolledUser();
    const r = await world.begun(userId);
    const own = await world.begin(userId, { sessionId: r.sessionId });
    expect(own).toEqual({
      kind: 'refused',
      code: 'attempt_in_progress',
      attemptId: r.attemptId,
      retryAfterSeconds: 90,
    });
    expect(await world.begin(userId)).toMatchObject({ code: 'attempt_in_progress', attemptId: null });
  });

  it('a refusal changes nothing but the answer', async () => {
    const userId = await world.enrolledUser({ template: null });
    const before = await world.guard(userId);
    await world.begin(userId);
    const after = await world.guard(userId);
    expect(after).toEqual({ ...before, last: after.last });
  });

  it('extra time doubles the window', async () => {
    const userId = await world.enrolledUser({ extraTime: true });
    expect((await world.begun(userId)).windowMs).toBe(12_000);
    expect((await world.begun(await world.enrolledUser())).windowMs).toBe(6_000);
  });

  it.each([
    [3, false, 90],
    [4, false, 120],
    [6, false, 180],
    [3, true, 120],
    [6, true, 240],
  ])('of %i steps, extra time %s, it ends %i s after its begin', async (steps, extraTime, seconds) => {
    const userId = await world.enrolledUser({ extraTime });
    const { actions, captureUntil, revealedAt } = await world.begun(userId, { actions: Array(steps).fill('blink') });
    expect(actions).toHaveLength(steps);
    expect(Number(captureUntil) - Number(revealedAt[0])).toBe(seconds * SECOND);
  });

  it('begins refused by the lock leave one counted event a session and minute', async () => {
    const userId = await world.enrolledUser({ lockedUntil: later(HOUR) });
    const [one, two] = [randomUUID(), randomUUID()];
    for (const sessionId of [one, one, two, one]) await world.begin(userId, { sessionId });
    const refused = async () => eventsOf(await world.guard(userId)).filter((e) => e.type === 'refused');
    expect((await refused()).map((e) => [e.sessionId, e.count])).toEqual([
      [one, 1],
      [two, 1],
    ]);
    world.pass(61 * SECOND);
    await world.begin(userId, { sessionId: one });
    expect((await refused()).map((e) => [e.sessionId, e.count]).at(-1)).toEqual([one, 3]);
  });
});

describe('rule 3: a step is accepted once, in order and in its window', () => {
  it('reveals the steps one at a time and then waits for the decision', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [null, null, null]);
    expect(r).toMatchObject({ next: 4, run: 0, verdict: [null, null, null] });
    expect(r.revealedAt).toHaveLength(3);
    expect(Number(r.decideUntil) - Number(r.lastStepAt)).toBe(12 * SECOND);
  });

  it.each([
    ['a later step', 2, 'step_out_of_order'],
    ['step 0', 0, 'not_found'],
    ['step 9', 9, 'not_found'],
    ['half a step', 1.5, 'not_found'],
  ])('refuses %s', async (_what, step, code) => {
    const userId = await world.enrolledUser();
    const r = await world.begun(userId);
    world.pass(SECOND);
    expect(await world.step(userId, r, step)).toEqual({ kind: 'refused', code });
    expect((await world.guard(userId)).reservation?.next).toBe(1);
  });

  it('refuses a step that came already, also the last', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [null, null, null]);
    for (const step of [1, 2, 3])
      expect(await world.step(userId, r, step)).toEqual({ kind: 'refused', code: 'step_already_received' });
  });

  it('refuses a step 300 ms after its reveal and before, and changes nothing', async () => {
    const userId = await world.enrolledUser();
    const r = await world.begun(userId);
    world.pass(5 * SECOND);
    const early = await world.step(userId, r, 1, { firstByteAgoMs: 5_000 });
    expect(early).toEqual({ kind: 'refused', code: 'step_too_early' });
    expect((await world.guard(userId)).reservation).toEqual(r);
    expect((await world.step(userId, r, 1)).kind).toBe('accepted');
  });

  it('measures the window to the first byte and gives the body 10 s more', async () => {
    const slow = await world.enrolledUser();
    const r = await world.begun(slow);
    world.pass(15_500);
    expect((await world.step(slow, r, 1, { firstByteAgoMs: 9_800 })).kind).toBe('accepted');
  });

  it.each([
    ['a first byte after the window', 6_500, 0],
    ['a body of more than 10 s', 11_000, 10_001],
    ['an upload past window and body', 17_000, 16_000],
  ])('%s ends the attempt as expired', async (_what, passMs, firstByteAgoMs) => {
    const userId = await world.enrolledUser();
    const r = await world.begun(userId);
    world.pass(passMs);
    expect(await world.step(userId, r, 1, { firstByteAgoMs })).toEqual({ kind: 'refused', code: 'attempt_over' });
    expect(await world.step(userId, r, 1)).toEqual({ kind: 'refused', code: 'attempt_over' });
    const guard = await world.guard(userId);
    expect(guard.reservation).toBeNull();
    expect(guard.recent.map((a) => a.eventType)).toEqual(['expired']);
  });

  it('an attempt is unknown to another session, which changes nothing', async () => {
    const userId = await world.enrolledUser();
    const r = await world.begun(userId);
    world.pass(60 * SECOND);
    const foreign = { sessionId: randomUUID() };
    expect(await world.step(userId, r, 1, foreign)).toEqual({ kind: 'refused', code: 'not_found' });
    const ref = { userId, attemptId: r.attemptId, ...foreign };
    expect(await world.store.cancel(ref)).toEqual({ kind: 'not_found' });
    expect(await world.store.view(ref)).toEqual({ kind: 'unknown' });
    expect((await world.guard(userId)).reservation).toEqual(r);
  });

  it('the first verdict of a step wins; the same again is answered the same', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [null, null, null]);
    const record = (step: number, verdict: StepVerdict) =>
      world.store.recordVerdict(stepResult(userId, r, step, verdict));
    expect(await record(1, DONE)).toMatchObject({ kind: 'recorded', complete: false });
    expect(await record(1, WRONG)).toEqual({ kind: 'stale' });
    expect(await record(1, DONE)).toMatchObject({ kind: 'recorded', complete: false });
    expect(await record(3, NO_FACE)).toMatchObject({ kind: 'recorded', complete: false });
    expect(await record(2, DONE)).toMatchObject({ kind: 'recorded', complete: true });
    expect((await world.guard(userId)).reservation?.verdict).toEqual([DONE, DONE, NO_FACE]);
  });

  it.each([
    ['attemptId', () => ({ attemptId: randomUUID() })],
    ['challengeId', () => ({ challengeId: 'f'.repeat(32) })],
    ['purpose', () => ({ purpose: 'enrol' as const })],
    ['lockEpoch', () => ({ lockEpoch: 7 })],
    ['action', () => ({ action: 'turn_right' as const })],
    ['framesDigest', () => ({ framesDigest: 'f'.repeat(64) })],
    ['step', () => ({ step: 2 })],
  ])("a step's result with another %s is stale", async (_field, swap) => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [null, null]);
    expect(await world.store.recordVerdict({ ...stepResult(userId, r, 1, WRONG), ...swap() })).toEqual({
      kind: 'stale',
    });
    expect((await world.guard(userId)).reservation?.verdict).toEqual([null, null, null]);
  });

  it("a step's result is good for any run", async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [null]);
    const result = { ...stepResult(userId, r, 1, DONE), run: 2 };
    expect(await world.store.recordVerdict(result)).toMatchObject({ kind: 'recorded' });
  });
});

describe('rule 4: a reservation that leaves yields one entry and one event', () => {
  const ref = (userId: string, r: Reservation) => ({ userId, attemptId: r.attemptId, sessionId: r.sessionId });
  const ways: [string, EventType, (userId: string) => Promise<unknown>][] = [
    ['a success', 'success', (u) => world.attempt(u, 'ok')],
    ['a mismatch', 'failed', (u) => world.attempt(u, 'mismatch')],
    ['a poor capture', 'failed', (u) => world.attempt(u, 'not_compared', [NO_FACE, DONE, DONE])],
    ['a cancel', 'cancelled', async (u) => world.store.cancel(ref(u, await world.begun(u)))],
    [
      'an expiry found by the reconciler',
      'expired',
      async (u) => {
        await world.begun(u);
        world.pass(17 * SECOND);
        await world.store.settleOverdue(u, SEEN);
      },
    ],
    [
      'an expiry found by a begin',
      'expired',
      async (u) => {
        await world.begun(u);
        world.pass(17 * SECOND);
        expect((await world.begin(u)).kind).toBe('begun');
      },
    ],
    [
      "the user's own change",
      'abandoned',
      async (u) => {
        await world.begun(u);
        await world.store.change(u, { kind: 'password_changed' }, {}, randomUUID());
      },
    ],
    [
      "an officer's change",
      'error',
      async (u) => {
        await world.begun(u);
        await world.store.change(u, { kind: 'disable', actorId: randomUUID() }, {}, randomUUID());
      },
    ],
    ['an enrolment', 'enrolled', (u) => world.attempt(u, 'ok', [DONE, DONE, DONE], { purpose: 'enrol' })],
    ['a practice', 'abandoned', (u) => world.attempt(u, 'not_compared', [DONE, DONE, DONE], { purpose: 'practice' })],
  ];

  it.each(ways)('%s', async (_what, type, run) => {
    const userId = await world.enrolledUser();
    await run(userId);
    const guard = await world.guard(userId);
    const { attemptId } = guard.recent[0] as { attemptId: string };
    expect(guard.recent).toHaveLength(1);
    expect(
      eventsOf(guard)
        .filter((e) => e.attemptId === attemptId)
        .map((e) => e.type),
    ).toEqual([type]);
    expect(guard).toMatchObject({ hasOutbox: true });
    for (const event of eventsOf(guard)) expect(auditEventSchema.parse(event)).toEqual(event);
  });

  it('an expiry is an error, uncharged, when the transport lost its memory or cannot be reached', async () => {
    const outages = [
      { transportEpoch: 'redis-2' },
      { transportEpoch: null },
      { storeEpoch: 'other' },
      { storeEpoch: null },
    ];
    for (const outage of outages) {
      const userId = await world.enrolledUser();
      await world.begun(userId);
      world.pass(17 * SECOND);
      expect(await world.store.settleOverdue(userId, { ...SEEN, ...outage })).toMatchObject({
        kind: 'settled',
        attempt: { outcome: 'error', eventType: 'error', reason: 'transport_lost', charged: false },
      });
      expect(await world.guard(userId)).toMatchObject({ uncharged: [], freeEnds: [], abandoned: 0 });
    }
  });

  it('before anything is overdue nothing is settled, and nobody is due', async () => {
    const userId = await world.enrolledUser();
    await world.begun(userId);
    expect(await world.store.settleOverdue(userId, SEEN)).toEqual({ kind: 'nothing' });
    expect(await world.store.findDue(1_000)).not.toContain(userId);
    world.pass(17 * SECOND);
    expect(await world.store.findDue(1_000)).toContain(userId);
  });

  it('the TTL of the attempt ends a capture whose steps were all in time', async () => {
    const userId = await world.enrolledUser();
    await world.begun(userId);
    await world.put(userId, { dueAt: new Date(Date.now() + world.aheadMs - 1) });
    await world.guards.updateOne({ _id: userId }, { $set: { 'reservation.captureUntil': new Date(0) } });
    expect(await world.store.settleOverdue(userId, SEEN)).toMatchObject({
      kind: 'settled',
      attempt: { outcome: 'expired' },
    });
  });

  it('a late decision is queued again three times, then the attempt ends as an error', async () => {
    const userId = await world.enrolledUser();
    await world.captured(userId, [DONE, DONE, null]);
    for (const run of [1, 2, 3]) {
      world.pass(13 * SECOND);
      const outcome = await world.store.settleOverdue(userId, SEEN);
      expect(outcome).toMatchObject({ kind: 'requeue', reservation: { run } });
    }
    world.pass(13 * SECOND);
    expect(await world.store.settleOverdue(userId, SEEN)).toMatchObject({
      kind: 'settled',
      attempt: { outcome: 'error', reason: 'worker_failed', charged: false },
    });
  });

  it('a late decision is not queued again once the transport lost its memory', async () => {
    for (const transportEpoch of ['redis-2', null]) {
      const userId = await world.enrolledUser();
      await world.captured(userId, [DONE, DONE, DONE]);
      world.pass(13 * SECOND);
      const settled = await world.store.settleOverdue(userId, { ...SEEN, transportEpoch });
      expect(settled).toMatchObject({ kind: 'settled', attempt: { outcome: 'error', reason: 'transport_lost' } });
    }
  });

  it('a begin does not cut short a decision that is merely late', async () => {
    const userId = await world.enrolledUser();
    await world.captured(userId, [DONE, DONE, DONE]);
    world.pass(13 * SECOND);
    expect(await world.begin(userId)).toMatchObject({ code: 'attempt_in_progress', retryAfterSeconds: 1 });
    world.pass(40 * SECOND);
    expect((await world.begin(userId)).kind).toBe('begun');
  });

  it('a decision counts however late it is, as long as the reservation lives', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE]);
    world.pass(HOUR);
    expect(await world.decided(userId, r, 'ok')).toMatchObject({ outcome: 'verified' });
  });

  it('cancel after the last step changes nothing', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE]);
    expect(await world.store.cancel(ref(userId, r))).toEqual({ kind: 'stale' });
    expect(await world.decided(userId, r, 'mismatch')).toMatchObject({ charged: true });
    expect(await world.store.cancel(ref(userId, r))).toMatchObject({ kind: 'decided', attempt: { charged: true } });
  });
});

describe('rule 5: a decision is taken once, from a result that agrees in every field', () => {
  const swaps: [string, (r: Reservation) => Partial<MatchResult>][] = [
    ['attemptId', () => ({ attemptId: randomUUID() })],
    ['challengeId', () => ({ challengeId: 'f'.repeat(32) })],
    ['purpose', () => ({ purpose: 'practice' })],
    ['purpose and no template', () => ({ purpose: 'practice', templateId: undefined })],
    ['lockEpoch', (r) => ({ lockEpoch: r.lockEpoch + 1 })],
    ['run', (r) => ({ run: r.run + 1 })],
    ['templateId', () => ({ templateId: randomUUID() })],
    ['modelDigest', () => ({ modelDigest: 'f'.repeat(64) })],
    ['action', (r) => ({ inputs: inputsOf(r).map((i) => ({ ...i, action: 'turn_right' as const })) })],
    ['digest', (r) => ({ inputs: inputsOf(r).map((i) => ({ ...i, framesDigest: 'f'.repeat(64) })) })],
    ['order of inputs', (r) => ({ inputs: inputsOf(r).reverse() })],
    ['number of inputs', (r) => ({ inputs: inputsOf(r).slice(1) })],
    ['step numbers', (r) => ({ inputs: inputsOf(r).map((i) => ({ ...i, step: 1 })) })],
  ];
  it.each(swaps)('another %s is stale', async (_field, swap) => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE]);
    const result = { ...((await world.result(userId, r, 'ok')) as MatchResult), ...swap(r) };
    const before = await world.guard(userId);
    expect(await world.store.decide(result, 0.9)).toEqual({ kind: 'stale' });
    expect(await world.guard(userId)).toEqual(before);
  });

  it('a result is stale while a step or a verdict is missing', async () => {
    for (const verdicts of [
      [DONE, DONE],
      [DONE, null, DONE],
    ]) {
      const userId = await world.enrolledUser();
      const r = await world.captured(userId, verdicts);
      expect(await world.store.decide(await world.result(userId, r, 'ok'), 0.9)).toEqual({ kind: 'stale' });
    }
  });

  it('an enrolment result decides no step-up, and the other way round', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE]);
    const match = (await world.result(userId, r, 'ok')) as MatchResult;
    const forged = { ...match, kind: 'enrol' as const, templateId: match.templateId ?? '' };
    expect(await world.store.decide(forged, null)).toEqual({ kind: 'stale' });

    const other = await world.enrolledUser();
    const enrolment = await world.captured(other, [DONE, DONE, DONE], { purpose: 'enrol' });
    const enrol = await world.result(other, enrolment, 'ok');
    expect(await world.store.decide({ ...enrol, kind: 'match', thresholdId: 't1' }, 0.9)).toEqual({ kind: 'stale' });
    expect(await world.store.decide(enrol, null)).toMatchObject({ kind: 'decided', attempt: { outcome: 'enrolled' } });
  });

  it('an enrolment enrols the template that was reserved, no other', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE], { purpose: 'enrol' });
    const other = { ...(await world.result(userId, r, 'ok')), templateId: randomUUID() };
    expect(await world.store.decide(other, null)).toEqual({ kind: 'stale' });
    expect(await world.guard(userId)).toMatchObject({ reservation: { attemptId: r.attemptId } });
  });

  it('a practice compares with no template', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE], { purpose: 'practice' });
    const { template } = await world.guard(userId);
    const result = { ...(await world.result(userId, r, 'ok')), templateId: template?.id ?? '' };
    expect(await world.store.decide(result, null)).toEqual({ kind: 'stale' });
  });

  it('the third strike locks for 30 minutes, by one event and one mail', async () => {
    const userId = await world.enrolledUser();
    expect(await world.attempt(userId, 'mismatch')).toMatchObject({ outcome: 'not_verified', attemptsRemaining: 2 });
    expect(await world.attempt(userId, 'spoof')).toMatchObject({ outcome: 'not_verified', attemptsRemaining: 1 });
    const third = await world.attempt(userId, 'not_compared', [DONE, WRONG, DONE]);
    expect(third).toMatchObject({ outcome: 'locked', charged: true, attemptsRemaining: null });
    const guard = await world.guard(userId);
    expect(Number(third.lockedUntil) - Number(third.endedAt)).toBe(30 * MINUTE);
    expect(guard).toMatchObject({ strikes: 0, consecutiveStrikes: 3, lockEpoch: 2, lockedUntil: third.lockedUntil });
    expect(eventsOf(guard).map((e) => [e.type, e.reason, e.charged])).toEqual([
      ['failed', 'mismatch', true],
      ['failed', 'spoof', true],
      ['failed', 'wrong_action', true],
      ['locked', undefined, undefined],
    ]);
    expect(mailsOf(guard)).toEqual([
      {
        kind: 'mail',
        mailId: `lock-${userId}-2`,
        template: 'face_locked',
        params: {
          deviceModel: 'Pixel 9',
          ipAddress: '192.0.2.7',
          at: third.endedAt.toISOString(),
          lockMinutes: 30,
          lockedUntil: third.lockedUntil?.toISOString(),
        },
        at: third.endedAt,
      },
    ]);
    expect(await world.begin(userId)).toMatchObject({ code: 'face_locked', minutes: 30 });
    await world.drain(userId);
    world.pass(30 * MINUTE - 30 * SECOND);
    expect(await world.begin(userId)).toMatchObject({ code: 'face_locked', minutes: 1 });
    world.pass(31 * SECOND);
    expect((await world.begin(userId)).kind).toBe('begun');
    expect((await world.guard(userId)).lockEpoch).toBe(2);
  });

  it('a similarity is kept where it counts and nowhere else', async () => {
    const similarityOf = async (judgement: MatchResult['judgement'], verdicts: StepVerdict[]) => {
      const userId = await world.enrolledUser();
      await world.decided(userId, await world.captured(userId, verdicts), judgement, 0.25);
      return eventsOf(await world.guard(userId))[0]?.similarity;
    };
    expect(await similarityOf('ok', [DONE, DONE, DONE])).toBe(0.25);
    expect(await similarityOf('mismatch', [DONE, DONE, DONE])).toBe(0.25);
    expect(await similarityOf('not_compared', [NO_FACE, DONE, DONE])).toBeUndefined();
    expect(await similarityOf('not_compared', [DONE, NO_FACE, DONE])).toBeUndefined();
  });

  it('a success clears strikes and consecutive strikes, not the ring', async () => {
    const userId = await world.enrolledUser();
    for (let i = 0; i < 2; i++) await world.attempt(userId, 'mismatch');
    await world.store.cancel({ userId, ...(await world.begun(userId)) });
    expect(await world.guard(userId)).toMatchObject({ strikes: 2, consecutiveStrikes: 2, abandoned: 1 });
    await world.attempt(userId, 'ok');
    const guard = await world.guard(userId);
    expect(guard).toMatchObject({ strikes: 0, consecutiveStrikes: 0, abandoned: 0 });
    expect(guard.strikeRing).toHaveLength(2);
  });

  it('at most one lock mail in 30 minutes and four a day', async () => {
    const now = () => Date.now() + world.aheadMs;
    const locks = async (lockMails: Date[]) => {
      const userId = await world.enrolledUser({ strikes: 2, lockMails });
      await world.attempt(userId, 'mismatch');
      const guard = await world.guard(userId);
      expect(eventsOf(guard).map((e) => e.type)).toEqual(['failed', 'locked']);
      return mailsOf(guard).length;
    };
    const ago = (...ms: number[]) => ms.map((m) => new Date(now() - m));
    expect(await locks(ago(29 * MINUTE))).toBe(0);
    expect(await locks(ago(31 * MINUTE))).toBe(1);
    expect(await locks(ago(4 * HOUR, 3 * HOUR, 2 * HOUR, HOUR))).toBe(0);
    expect(await locks(ago(25 * HOUR, 3 * HOUR, 2 * HOUR, HOUR))).toBe(1);
  });

  it('the tenth strike in 7 days mails once', async () => {
    const ago = (ms: number) => new Date(Date.now() + world.aheadMs - ms);
    const userId = await world.enrolledUser({
      strikeRing: [ago(8 * DAY), ...Array.from({ length: 8 }, (_, i) => ago(DAY - i))],
    });
    const strikeMails = async () => {
      await world.attempt(userId, 'mismatch');
      const mails = mailsOf(await world.guard(userId)).filter((m) => m.template === 'many_failures');
      for (const { mailId, template, params } of mails)
        mailRowSchema.parse({ _id: mailId, userId, template, params, createdAt: new Date() });
      return mails.map((m) => m.params['count']);
    };
    expect([await strikeMails(), await strikeMails()]).toEqual([[], [10]]);
    await world.attempt(userId, 'ok');
    expect(await strikeMails()).toEqual([10]);
  });

  it('50 strikes in a row shut the face until a new enrolment', async () => {
    const userId = await world.enrolledUser({ consecutiveStrikes: GUARD_LIMITS.strikesToDisable - 1 });
    await world.attempt(userId, 'mismatch');
    expect(await world.begin(userId)).toMatchObject({ code: 'face_disabled' });
    expect(await world.store.summary(userId)).toMatchObject({ state: 'active', disabledByStrikes: true });
    await world.attempt(userId, 'ok', [DONE, DONE, DONE], { purpose: 'enrol' });
    expect((await world.begin(userId)).kind).toBe('begun');
  });
});

describe('rule 6: the epoch rises with every change, which settles a live attempt', () => {
  const actorId = '00000000-0000-4000-8000-000000000001';
  const changes: [EpochChange, EventType, 'own' | 'officer'][] = [
    [{ kind: 'unlock', actorId }, 'unlocked', 'officer'],
    [{ kind: 'consent_given', version: 'v2' }, 'consent_given', 'own'],
    [{ kind: 'consent_withdrawn' }, 'consent_withdrawn', 'own'],
    [{ kind: 'unenrol' }, 'unenrolled', 'own'],
    [{ kind: 're_enrolment_required', by: 'recovery' }, 're_enrolment_required', 'own'],
    [{ kind: 're_enrolment_required', by: 'officer', actorId }, 're_enrolment_required', 'officer'],
    [{ kind: 'password_changed' }, 'password_changed', 'own'],
    [{ kind: 'disable', actorId }, 'disabled', 'officer'],
    [{ kind: 'enable', actorId }, 'enabled', 'officer'],
    [{ kind: 'roles_changed', added: ['security'], removed: [], actorId }, 'roles_changed', 'officer'],
    [{ kind: 'roles_changed', added: [], removed: ['security'], actorId }, 'roles_changed', 'officer'],
    [{ kind: 'erase' }, 'erasure_begun', 'own'],
  ];

  it.each(changes)('%j', async (change, type, by) => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE]);
    const result = await world.result(userId, r, 'ok');
    await world.store.change(userId, change, {}, randomUUID());
    const guard = await world.guard(userId);
    expect(guard).toMatchObject({ lockEpoch: 2, reservation: null, hasDue: false, dueAt: null });
    expect(guard.uncharged).toHaveLength(by === 'own' ? 1 : 0);
    expect(eventsOf(guard).map((e) => e.type)).toEqual([by === 'own' ? 'abandoned' : 'error', type]);
    expect(eventsOf(guard).at(-1)?.actorId).toBe(by === 'officer' ? actorId : undefined);
    // The result that was on its way finds nothing to grant.
    expect(await world.store.decide(result, 0.9)).toEqual({ kind: 'stale' });
  });

  it.each(changes)('an untaken success is void after %j', async (change) => {
    const userId = await world.enrolledUser();
    const { attemptId, sessionId } = await world.attempt(userId, 'ok');
    await world.store.change(userId, change, {}, randomUUID());
    expect(await world.store.redeem({ userId, attemptId, sessionId })).toEqual({ kind: 'refused' });
  });

  it.each([
    ['password_changed', 'password_changed', 'laptop'],
    ['unlock', 'face_unlocked', undefined],
    ['disable', 'account_disabled', undefined],
    ['enable', 'account_enabled', undefined],
  ] as const)(
    'B14: %s is mailed in the same update, once, and an officer’s device is not in it',
    async (kind, template, device) => {
      const userId = await world.enrolledUser();
      const opId = randomUUID();
      for (let i = 0; i < 2; i++) await world.store.change(userId, { kind }, { deviceModel: 'laptop' }, opId);
      const mails = mailsOf(await world.guard(userId)).filter((mail) => mail.template !== 'face_enrolled');
      expect(mails.map((mail) => [mail.template, mail.params['deviceModel']])).toEqual([[template, device]]);
    },
  );

  it('13.3: that a code took the place of the face is mailed in the update that demands a new face, once', async () => {
    const userId = await world.enrolledUser();
    const opId = randomUUID();
    const demand = { kind: 're_enrolment_required', by: 'recovery' } as const;
    for (let i = 0; i < 2; i++) await world.store.change(userId, demand, { deviceModel: 'laptop' }, opId);
    const mails = mailsOf(await world.guard(userId)).filter((mail) => mail.template !== 'face_enrolled');
    expect(mails.map((mail) => [mail.template, mail.params['deviceModel']])).toEqual([['recovery_used', 'laptop']]);
  });

  it('B14: staff who demand a new face, and roles by name, are mailed in the same update, once', async () => {
    const userId = await world.enrolledUser();
    const opId = randomUUID();
    const demand = { kind: 're_enrolment_required', by: 'officer', actorId } as const;
    for (let i = 0; i < 2; i++) await world.store.change(userId, demand, { deviceModel: 'the desk' }, opId);
    const roles = { kind: 'roles_changed', added: ['security', 'auditor'], removed: [], actorId } as const;
    await world.store.change(userId, roles, { deviceModel: 'the desk' }, randomUUID());
    const mails = mailsOf(await world.guard(userId)).filter((mail) => mail.template !== 'face_enrolled');
    expect(mails.map(({ template, params }) => ({ template, ...params }))).toEqual([
      { template: 'face_demanded', at: expect.any(String) as string },
      { template: 'roles_changed', at: expect.any(String) as string, added: 'security, auditor' },
    ]);
  });

  it('an operation id that came before changes nothing', async () => {
    const userId = await world.enrolledUser();
    const opId = randomUUID();
    const first = await world.store.change(userId, { kind: 'password_changed' }, {}, opId);
    const before = await world.guard(userId);
    expect(await world.store.change(userId, { kind: 'password_changed' }, {}, opId)).toEqual(first);
    expect(await world.guard(userId)).toEqual(before);
  });

  it('unlock ends the lock and its strikes', async () => {
    const userId = await world.lockedUser();
    await world.put(userId, { strikes: 2 });
    const changed = await world.store.change(userId, { kind: 'unlock', actorId }, {}, randomUUID());
    expect(changed).toMatchObject({ summary: { lockedUntil: null, lockedMinutes: 0, strikes: 0, lockEpoch: 3 } });
    expect((await world.begin(userId)).kind).toBe('begun');
  });

  it.each(['unenrol', 'consent_withdrawn'] as const)(
    '%s removes the template, tells its owner and leaves the face required',
    async (kind) => {
      const userId = await world.enrolledUser({ faceRequired: false });
      const { template } = await world.guard(userId);
      const changed = await world.store.change(userId, { kind }, { deviceModel: 'laptop' }, randomUUID());
      expect(changed).toMatchObject({
        removedTemplateId: template?.id,
        summary: { enrolled: false, everEnrolled: true, faceRequired: true },
      });
      const guard = await world.guard(userId);
      expect(mailsOf(guard).map((m) => [m.template, m.params['deviceModel']])).toEqual([['face_removed', 'laptop']]);
      const again = await world.store.change(userId, { kind }, {}, randomUUID());
      expect(again).toMatchObject({ removedTemplateId: null });
      expect(mailsOf(await world.guard(userId))).toHaveLength(1);
    },
  );

  it('removing a face that never was does not make one required', async () => {
    const userId = await world.newUser();
    await world.put(userId, { faceRequired: false });
    await world.store.change(userId, { kind: 'consent_withdrawn' }, {}, randomUUID());
    expect(await world.store.summary(userId)).toMatchObject({ faceRequired: false, everEnrolled: false });
  });

  it('neither enable nor disable undoes an erasure', async () => {
    const userId = await world.enrolledUser();
    await world.store.change(userId, { kind: 'erase' }, {}, randomUUID());
    await world.store.change(userId, { kind: 'disable', actorId }, {}, randomUUID());
    await world.store.change(userId, { kind: 'enable', actorId }, {}, randomUUID());
    expect(await world.guard(userId)).toMatchObject({ state: 'erasing', template: null });
  });

  it('preferences are kept and told, without ending an attempt', async () => {
    const userId = await world.enrolledUser();
    const r = await world.begun(userId);
    const preferences = { optOuts: ['smile'] satisfies Action[], extraTime: true, shortChallenges: true };
    await world.store.setPreferences(userId, preferences, {}, randomUUID());
    const guard = await world.guard(userId);
    expect(guard).toMatchObject({
      ...preferences,
      lockEpoch: 1,
      reservation: { attemptId: r.attemptId },
    });
    expect(eventsOf(guard)).toMatchObject([{ type: 'preferences_changed', detail: { shortChallenges: true } }]);
    expect(await world.store.summary(userId)).toMatchObject(preferences);
  });
});

describe('rule 7: the session that began takes the outcome once', () => {
  const verified = async () => {
    const userId = await world.enrolledUser();
    const { attemptId, sessionId } = await world.attempt(userId, 'ok');
    return { userId, attemptId, sessionId };
  };

  it('is granted, then repeated for a minute', async () => {
    const ref = await verified();
    expect(await world.store.redeem(ref)).toMatchObject({ kind: 'granted', first: true, attempt: { held: false } });
    world.pass(59 * SECOND);
    expect(await world.store.redeem(ref)).toMatchObject({ kind: 'granted', first: false });
    world.pass(2 * SECOND);
    expect(await world.store.redeem(ref)).toEqual({ kind: 'refused' });
  });

  it('is refused a minute after the decision', async () => {
    const ref = await verified();
    world.pass(61 * SECOND);
    expect(await world.store.redeem(ref)).toEqual({ kind: 'refused' });
  });

  it('is refused while the account is shut, whatever its epoch', async () => {
    const ref = await verified();
    await world.put(ref.userId, { state: 'disabled' });
    expect(await world.store.redeem(ref)).toEqual({ kind: 'refused' });
  });

  it('is refused to another session', async () => {
    const ref = await verified();
    expect(await world.store.redeem({ ...ref, sessionId: randomUUID() })).toEqual({ kind: 'refused' });
    expect(await world.store.redeem(ref)).toMatchObject({ kind: 'granted', first: true });
  });

  it('is refused after a lock', async () => {
    const ref = await verified();
    for (let i = 0; i < 3; i++) await world.attempt(ref.userId, 'mismatch');
    world.aheadMs -= 9 * SECOND;
    expect((await world.guard(ref.userId)).lockEpoch).toBe(2);
    expect(await world.store.redeem(ref)).toEqual({ kind: 'refused' });
    world.aheadMs += 9 * SECOND;
  });

  it.each(['mismatch', 'spoof', 'not_one_person', 'not_compared'] as const)(
    'nothing is granted for %s',
    async (judgement) => {
      const userId = await world.enrolledUser();
      const attempt = await world.attempt(userId, judgement);
      expect(await world.store.redeem({ userId, ...attempt })).toEqual({ kind: 'refused' });
    },
  );

  it.each([0, 1, 2])('nothing is granted while step %i was not done, whatever the judgement', async (failed) => {
    for (const bad of [WRONG, NO_FACE]) {
      const userId = await world.enrolledUser();
      const verdicts = [DONE, DONE, DONE].map((v, i) => (i === failed ? bad : v));
      const attempt = await world.attempt(userId, 'ok', verdicts);
      expect(attempt.outcome).not.toBe('verified');
      expect(await world.store.redeem({ userId, ...attempt })).toEqual({ kind: 'refused' });
    }
  });

  it('inside the hold a success is marked as held', async () => {
    const userId = await world.enrolledUser();
    const { template } = await world.guard(userId);
    if (!template) throw new Error('no template');
    await world.put(userId, { template: { ...template, heldUntil: new Date(Date.now() + world.aheadMs + HOUR) } });
    expect(await world.attempt(userId, 'ok')).toMatchObject({ outcome: 'verified', held: true });
    await world.drain(userId);
    world.pass(2 * HOUR);
    expect(await world.attempt(userId, 'ok')).toMatchObject({ outcome: 'verified', held: false });
  });
});

describe('rule 8: enrolment switches the pointer', () => {
  const enrol = (userId: string, judgement: MatchResult['judgement'], hold = false, verdicts = [DONE, DONE, DONE]) =>
    world.attempt(userId, judgement, verdicts, { purpose: 'enrol', hold });

  it('sets what it must and leaves strikes, ring and lock alone', async () => {
    const userId = await world.lockedUser();
    await world.put(userId, { strikes: 1, reEnrolBy: new Date() });
    const before = await world.guard(userId);
    expect(await enrol(userId, 'ok')).toMatchObject({ outcome: 'enrolled', charged: false });
    const guard = await world.guard(userId);
    expect(guard.template?.id).not.toBe(before.template?.id);
    expect(guard).toMatchObject({
      strikes: 1,
      strikeRing: before.strikeRing,
      lockedUntil: before.lockedUntil,
      consecutiveStrikes: 0,
      reEnrolBy: null,
      firstEnrolledAt: before.firstEnrolledAt,
      lockEpoch: before.lockEpoch + 1,
      template: { modelDigest: MODEL, heldUntil: null },
    });
    expect(mailsOf(guard).map((m) => m.template)).toEqual(['face_locked', 'face_enrolled']);
  });

  it.each([
    ['a password', 'pwd', true],
    ['what 0.1 did not say', undefined, true],
    ['a mailed code', 'recovery', false],
    ['an invitation', 'invitation', false],
    ['a face', 'face', false],
  ] as const)('a staff role holds a face that was bound from %s: %s, %s', async (_, boundFrom, isHeld) => {
    const template = { id: randomUUID(), modelDigest: MODEL, enrolledAt: new Date(), heldUntil: null };
    const userId = await world.enrolledUser({ template: boundFrom ? { ...template, boundFrom } : template });
    await world.store.change(userId, { kind: 'roles_changed', added: ['security'], removed: [] }, {}, randomUUID());
    const summary = await world.store.summary(userId);
    expect(summary).toMatchObject({ enrolled: true, templateId: template.id, boundFrom: boundFrom ?? null });
    const nowMs = Date.now() + world.aheadMs;
    const heldMs = (summary?.heldUntil?.getTime() ?? nowMs) - nowMs;
    expect(Math.round(heldMs / HOUR)).toBe(isHeld ? 24 : 0);
  });

  it('a first enrolment sets firstEnrolledAt; a hold lasts 24 hours', async () => {
    const userId = await world.enrolledUser({ firstEnrolledAt: null, template: null });
    await enrol(userId, 'ok', true);
    const guard = await world.guard(userId);
    expect(guard.firstEnrolledAt).toEqual(guard.template?.enrolledAt);
    expect(Number(guard.template?.heldUntil) - Number(guard.template?.enrolledAt)).toBe(24 * HOUR);
    expect(mailsOf(guard)[0]?.params['heldUntil']).toBe(guard.template?.heldUntil?.toISOString());
  });

  it.each([
    ['a wrong gesture', 'ok', [DONE, WRONG, DONE]],
    ['a poor frame', 'ok', [NO_FACE, DONE, DONE]],
    ['a spoof', 'spoof', [DONE, DONE, DONE]],
  ] as const)('%s enrols nothing, costs no strike and enters the ring', async (_what, judgement, verdicts) => {
    const userId = await world.enrolledUser();
    const before = await world.guard(userId);
    expect(await enrol(userId, judgement, false, [...verdicts])).toMatchObject({
      charged: false,
      attemptsRemaining: null,
    });
    const guard = await world.guard(userId);
    expect(guard).toMatchObject({ strikes: 0, abandoned: 0, template: before.template, lockEpoch: before.lockEpoch });
    expect(guard.uncharged).toHaveLength(1);
  });
});

describe('what burns a strike', () => {
  it('every second abandoned attempt since the last success', async () => {
    const userId = await world.enrolledUser();
    const cancel = async () => {
      await world.store.cancel({ userId, ...(await world.begun(userId)) });
      return (await world.guard(userId)).recent.at(-1);
    };
    expect(await cancel()).toMatchObject({ charged: false, attemptsRemaining: null });
    expect(await cancel()).toMatchObject({ charged: true, attemptsRemaining: 2, outcome: 'cancelled' });
    await world.attempt(userId, 'ok');
    expect(await cancel()).toMatchObject({ charged: false });
  });

  it('a failed step, whatever ends the attempt afterwards', async () => {
    const ends: ((userId: string, r: Reservation) => Promise<unknown>)[] = [
      (userId, r) => world.store.cancel({ userId, attemptId: r.attemptId, sessionId: r.sessionId }),
      (userId) => world.store.change(userId, { kind: 'password_changed' }, {}, randomUUID()),
      async (userId) => {
        world.pass(17 * SECOND);
        await world.store.settleOverdue(userId, { ...SEEN, transportEpoch: null });
      },
    ];
    for (const end of ends) {
      const userId = await world.enrolledUser();
      await end(userId, await world.captured(userId, [WRONG]));
      expect((await world.guard(userId)).recent.at(-1)).toMatchObject({
        charged: true,
        reason: 'wrong_action',
        outcome: 'not_verified',
      });
    }
  });

  it('never a poor first step, however often', async () => {
    const userId = await world.enrolledUser();
    for (let i = 0; i < 4; i++)
      expect(await world.attempt(userId, 'not_compared', [NO_FACE, DONE, DONE])).toMatchObject({
        outcome: 'retry',
        quality: 'no_face',
        charged: false,
      });
    expect(await world.guard(userId)).toMatchObject({ strikes: 0, abandoned: 0 });
  });

  it('a poor later step counts as abandoned', async () => {
    const userId = await world.enrolledUser();
    const poor = () => world.attempt(userId, 'not_compared', [DONE, DONE, NO_FACE]);
    expect(await poor()).toMatchObject({
      outcome: 'retry',
      quality: 'no_face',
      eventType: 'abandoned',
      charged: false,
    });
    expect(await poor()).toMatchObject({ outcome: 'retry', charged: true, attemptsRemaining: 2 });
  });

  it('no similarity counts while a step could not be judged', async () => {
    const userId = await world.enrolledUser();
    expect(await world.attempt(userId, 'mismatch', [DONE, NO_FACE, DONE])).toMatchObject({
      outcome: 'retry',
      charged: false,
    });
    expect(await world.attempt(userId, 'mismatch', [NO_FACE, DONE, DONE])).toMatchObject({ outcome: 'retry' });
    expect(await world.guard(userId)).toMatchObject({ strikes: 0 });
  });

  it('13.2: never a job that killed its worker twice', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE]);
    const result = { ...(await world.result(userId, r, 'not_compared')), stalledTwice: true };
    expect(await world.store.decide(result, null)).toMatchObject({
      attempt: { eventType: 'error', outcome: 'error', reason: 'stalled_twice', charged: false },
    });
    const guard = await world.guard(userId);
    expect(guard).toMatchObject({ abandoned: 0, uncharged: [] });
    expect(guard.freeEnds).toHaveLength(1);
  });

  it('13.2: never a job that a worker gave up, whatever its run; a failed step costs one all the same', async () => {
    const givenUp = async (verdicts: StepVerdict[]) => {
      const userId = await world.enrolledUser();
      const { attemptId, challengeId, purpose, lockEpoch } = await world.captured(userId, verdicts);
      const tuple = { userId, attemptId, challengeId, purpose, lockEpoch, run: 0 };
      const result = { ...tuple, kind: 'unjudged', reason: 'worker_failed' } as const;
      for (const other of [
        { challengeId: 'f'.repeat(32) },
        { attemptId: randomUUID() },
        { lockEpoch: 99 },
        { purpose: 'practice' as const },
      ])
        // prettier-ignore
        expect(await world.store.giveUp({ ...result, ...other })).toEqual({ kind: 'stale' });
      const ended = await world.store.giveUp(result);
      expect(await world.store.giveUp(result)).toEqual({ kind: 'stale' });
      return ended;
    };
    expect(await givenUp([DONE])).toMatchObject({ attempt: { outcome: 'error', reason: 'worker_failed', charged: false } }); // prettier-ignore
    expect(await givenUp([WRONG])).toMatchObject({ attempt: { outcome: 'not_verified', charged: true } });
  });

  it('core 10a: too few frames to look at for an attack are a matter of quality', async () => {
    const userId = await world.enrolledUser();
    const end = { outcome: 'retry', quality: 'too_few_frames', reason: 'quality', charged: false };
    expect(await world.attempt(userId, 'too_few_samples')).toMatchObject(end);
    expect(await world.guard(userId)).toMatchObject({ freeEnds: [], abandoned: 1 });
  });

  it('case 3: never a late upload, nor one that never came, however often', async () => {
    const userId = await world.enrolledUser();
    for (let i = 0; i < 8; i++) {
      const r = await world.begun(userId);
      world.pass((i % 2 ? 8 : 40) * SECOND);
      expect(await world.step(userId, r, 1)).toEqual({ kind: 'refused', code: 'attempt_over' });
      expect((await world.guard(userId)).recent.at(-1)).toMatchObject({ outcome: 'expired', charged: false });
      await world.drain(userId);
      world.pass(4 * MINUTE);
    }
    expect(await world.guard(userId)).toMatchObject({ strikes: 0, abandoned: 0, uncharged: [], lockedUntil: null });
  });

  it('13.2: free ends have a ring of their own, an outage enters none', async () => {
    const userId = await world.enrolledUser();
    const expire = async (seen = SEEN): Promise<void> => {
      await world.begun(userId);
      world.pass(17 * SECOND);
      await world.store.settleOverdue(userId, seen);
    };
    for (let i = 0; i < 4; i++) await expire({ ...SEEN, storeEpoch: 'another' });
    for (let i = 0; i < 3; i++) await expire();
    const refusal = await world.begin(userId);
    expect(refusal).toMatchObject({ kind: 'refused', code: 'too_many_attempts' });
    const { retryAfterSeconds } = refusal as { retryAfterSeconds: number };
    expect(retryAfterSeconds).toBeGreaterThan(500);
    world.pass(retryAfterSeconds * SECOND);
    expect((await world.begin(userId)).kind).toBe('begun');
  });

  it('no capture of an enrolment or a practice', async () => {
    const userId = await world.enrolledUser();
    for (const purpose of ['enrol', 'practice'] as const) {
      expect(await world.attempt(userId, 'spoof', [DONE, WRONG, DONE], { purpose })).toMatchObject({ charged: false });
      for (let i = 0; i < 3; i++) await world.store.cancel({ userId, ...(await world.begun(userId, { purpose })) });
    }
    const guard = await world.guard(userId);
    expect(guard).toMatchObject({ strikes: 0, abandoned: 0 });
    expect(guard.uncharged).toHaveLength(8);
  });
});

describe('13.2: the draw, not the strike, stops shopping for a challenge', () => {
  const DRAWN = ['blink', 'turn_left', 'smile'] satisfies Action[];
  const OTHERS = ['turn_right', 'turn_right', 'turn_right'] satisfies Action[];
  const cancelled = async (userId: string, steps: number, o: Partial<BeginInput> = {}): Promise<void> => {
    const r = await world.captured(userId, Array<StepVerdict>(steps).fill(DONE), o);
    await world.store.cancel({ userId, attemptId: r.attemptId, sessionId: r.sessionId });
  };

  it.each([
    [0, ['blink', 'turn_right', 'turn_right']],
    [1, ['blink', 'turn_left', 'turn_right', 'turn_right']],
    [2, ['blink', 'turn_left', 'smile', 'turn_right', 'turn_right']],
  ])(
    'after %i steps sent and left, the next begins with what was shown and ends with two new ones',
    async (sent, actions) => {
      const userId = await world.enrolledUser();
      await cancelled(userId, sent, { actions: DRAWN });
      const next = await world.begun(userId, { actions: OTHERS });
      expect(next).toMatchObject({ actions, verdict: actions.map(() => null) });
      // What had been shown stays, though the second attempt showed less of it.
      await world.store.cancel({ userId, attemptId: next.attemptId, sessionId: next.sessionId });
      const third = await world.begun(userId, { actions: DRAWN });
      expect(third.actions.slice(0, sent + 1)).toEqual(DRAWN.slice(0, sent + 1));
      expect(third.actions).toHaveLength(Math.max(3, sent + 3));
    },
  );

  it('never more than six steps, the last two new', async () => {
    const userId = await world.enrolledUser();
    await cancelled(userId, 2, { actions: DRAWN });
    await world.put(userId, { abandoned: 0 });
    await cancelled(userId, 4, { actions: OTHERS });
    const { actions } = await world.begun(userId, { actions: ['smile', 'smile', 'smile'] });
    expect(actions).toEqual(['blink', 'turn_left', 'smile', 'turn_right', 'smile', 'smile']);
  });

  const SIX = ['blink', 'smile', 'smile', 'blink', 'blink', 'smile'] satisfies Action[];
  const SIX_OTHERS = SIX.map((a) => (a === 'blink' ? 'smile' : 'blink'));
  it.each([0, 1, 2, 3, 4, 5])(
    'of a draw of six all that was shown stays, after %i steps too, and two are new at the end',
    async (sent) => {
      const userId = await world.enrolledUser();
      const left = await world.begun(userId, { actions: SIX });
      for (let step = 1; step <= sent; step++) {
        world.pass(SECOND);
        expect(await world.step(userId, left, step)).toMatchObject({ kind: 'accepted' });
      }
      await world.store.cancel({ userId, attemptId: left.attemptId, sessionId: left.sessionId });
      const shown = SIX.slice(0, sent + 1);
      const next = await world.begun(userId, { actions: SIX_OTHERS });
      const actions = [...shown, ...SIX_OTHERS.slice(0, Math.max(2, 6 - shown.length))];
      expect(next).toMatchObject({ actions, verdict: actions.map(() => null), shownBefore: shown.length });
      expect(Number(next.captureUntil) - Number(next.revealedAt[0])).toBe(actions.length * 30 * SECOND);
    },
  );

  it('never more than eight steps after a draw of six, and all eight are decided on', async () => {
    const userId = await world.enrolledUser();
    await cancelled(userId, 5, { actions: SIX });
    await world.put(userId, { abandoned: 0 });
    await cancelled(userId, 7, { actions: SIX_OTHERS });
    const r = await world.captured(userId, Array<StepVerdict>(8).fill(DONE), { actions: SIX });
    expect(r).toMatchObject({ next: 9, actions: [...SIX, 'blink', 'smile'] });
    expect(await world.decided(userId, r, 'ok')).toMatchObject({ outcome: 'verified' });
  });

  it('a longer attempt is decided as any other, and its decision ends the rule', async () => {
    for (const judgement of ['ok', 'mismatch'] as const) {
      const userId = await world.enrolledUser();
      await cancelled(userId, 2, { actions: DRAWN });
      const r = await world.captured(userId, [DONE, DONE, DONE], { actions: OTHERS });
      expect(r).toMatchObject({ next: 6, actions: [...DRAWN, 'turn_right', 'turn_right'] });
      expect(await world.decided(userId, r, judgement)).toMatchObject({ outcome: judgement === 'ok' ? 'verified' : 'not_verified' }); // prettier-ignore
      expect(await world.guard(userId)).toMatchObject({ shown: null });
      expect((await world.begun(userId, { actions: OTHERS })).actions).toEqual(OTHERS);
    }
  });

  const undecided: [string, (userId: string) => Promise<unknown>][] = [
    [
      'an expiry',
      async (u) => {
        await world.begun(u, { actions: DRAWN });
        world.pass(17 * SECOND);
        await world.store.settleOverdue(u, SEEN);
      },
    ],
    [
      'an outage',
      async (u) => {
        await world.begun(u, { actions: DRAWN });
        world.pass(17 * SECOND);
        await world.store.settleOverdue(u, { ...SEEN, transportEpoch: null });
      },
    ],
    [
      'an expiry that the next begin settles',
      async (u) => {
        await world.begun(u, { actions: DRAWN });
        world.pass(17 * SECOND);
      },
    ],
    [
      'a late step',
      async (u) => {
        const r = await world.begun(u, { actions: DRAWN });
        world.pass(8 * SECOND);
        await world.step(u, r, 1);
      },
    ],
    [
      'a change of the account',
      async (u) => {
        await world.begun(u, { actions: DRAWN });
        await world.store.change(u, { kind: 'password_changed' }, {}, randomUUID());
      },
    ],
    [
      "an officer's change",
      async (u) => {
        await world.begun(u, { actions: DRAWN });
        await world.store.change(u, { kind: 'unlock' }, {}, randomUUID());
      },
    ],
    [
      'a poor first step',
      async (u) => {
        const r = await world.captured(u, [NO_FACE], { actions: DRAWN });
        await world.store.cancel({ userId: u, attemptId: r.attemptId, sessionId: r.sessionId });
      },
    ],
  ];
  it.each(undecided)('%s keeps the draw for 15 minutes, of step-ups only', async (_what, end) => {
    const userId = await world.enrolledUser();
    await end(userId);
    await world.drain(userId);
    const practice = await world.begun(userId, { purpose: 'practice', actions: OTHERS });
    expect(practice.actions).toEqual(OTHERS);
    await world.store.cancel({ userId, attemptId: practice.attemptId, sessionId: practice.sessionId });
    await world.drain(userId);
    world.pass(14 * MINUTE);
    const next = await world.begun(userId, { actions: OTHERS });
    expect(next.actions[0]).toBe('blink');
    await world.store.cancel({ userId, attemptId: next.attemptId, sessionId: next.sessionId });
    await world.drain(userId);
    world.pass(15 * MINUTE);
    expect((await world.begun(userId, { actions: OTHERS })).actions).toEqual(OTHERS);
  });

  it('a gesture that was opted out of since is not asked for', async () => {
    const userId = await world.enrolledUser();
    await cancelled(userId, 1, { actions: DRAWN });
    await world.store.setPreferences(
      userId,
      { optOuts: ['blink'], extraTime: false, shortChallenges: false },
      {},
      randomUUID(),
    );
    expect((await world.begun(userId, { actions: OTHERS })).actions).toEqual(['turn_left', 'turn_right', 'turn_right']);
  });

  it('a guard of the version before knows neither field, and begins', async () => {
    const userId = await world.enrolledUser();
    await world.guards.updateOne({ _id: userId }, { $unset: { shown: '', freeEnds: '' } });
    expect((await world.begun(userId)).actions).toHaveLength(3);
    world.pass(17 * SECOND);
    await world.store.settleOverdue(userId, SEEN);
    expect((await world.guard(userId)).freeEnds).toHaveLength(1);
  });
});

describe('the outbox', () => {
  it('is found by its flag, read, and pulled entry by entry', async () => {
    const userId = await world.lockedUser();
    expect(await world.store.findWaiting(10_000)).toContain(userId);
    const entries = await world.store.readOutbox(userId);
    const ids = entries.map((e) => (e.kind === 'event' ? e.event.eventId : e.mailId));
    expect(entries.map((e) => e.kind)).toEqual(['event', 'event', 'event', 'event', 'mail']);
    await world.store.pull(userId, ids.slice(0, 4));
    expect(await world.store.readOutbox(userId)).toEqual(entries.slice(4));
    expect(await world.guard(userId)).toMatchObject({ hasOutbox: true, outboxSince: (entries[4] as { at: Date }).at });
    await world.store.pull(userId, ids);
    expect(await world.guard(userId)).toMatchObject({ hasOutbox: false, outboxSince: null });
    expect(await world.store.findWaiting(10_000)).not.toContain(userId);
  });

  it('takes an event once, and the order is that of the guard', async () => {
    const userId = await world.enrolledUser();
    const event = { eventId: randomUUID(), type: 'login_ok' as const, ipAddress: '192.0.2.1' };
    expect([await world.store.appendEvent(userId, event), await world.store.appendEvent(userId, event)]).toEqual([
      true,
      true,
    ]);
    expect(eventsOf(await world.guard(userId))).toMatchObject([{ ...event, userId }]);
  });

  it('past twice its cap drops only what is counted elsewhere', async () => {
    const userId = await world.enrolledUser({ outbox: Array.from({ length: 100 }, (_, i) => waitingEvent(i)) });
    const append = (type: EventType) => world.store.appendEvent(userId, { eventId: randomUUID(), type });
    expect([await append('refused'), await append('login_failed'), await append('recovery_used')]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('never bars a decision', async () => {
    const userId = await world.enrolledUser();
    const r = await world.captured(userId, [DONE, DONE, DONE]);
    await world.put(userId, { outbox: Array.from({ length: 60 }, (_, i) => waitingEvent(i)) });
    expect(await world.decided(userId, r, 'ok')).toMatchObject({ outcome: 'verified' });
  });

  it('an erased guard goes only when its outbox is empty', async () => {
    const userId = await world.enrolledUser();
    expect(await world.store.removeErased(userId)).toBe(false);
    await world.store.change(userId, { kind: 'erase' }, {}, randomUUID());
    expect(await world.store.removeErased(userId)).toBe(false);
    const entries = await world.store.readOutbox(userId);
    await world.store.pull(
      userId,
      entries.map((e) => (e.kind === 'event' ? e.event.eventId : e.mailId)),
    );
    expect(await world.store.removeErased(userId)).toBe(true);
    expect(await world.store.summary(userId)).toBeNull();
  });
});

function waitingEvent(i: number): GuardDocument['outbox'][number] {
  const timestamp = new Date(Date.now() + world.aheadMs + i);
  return { kind: 'event', event: { eventId: randomUUID(), userId: randomUUID(), type: 'consent_given', timestamp } };
}
const inputsOf = (r: Reservation) =>
  r.actions.map((action, i) => ({ step: i + 1, action, framesDigest: r.digest[i] ?? '' }));
