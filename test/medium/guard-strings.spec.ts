import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { eventsOf, GuardWorld, mailsOf } from './guard-world.js';

/** What comes from outside stays text: no operator, no variable, no path, against a real server. */
let world: GuardWorld;
beforeAll(async () => {
  world = await GuardWorld.open();
});
afterAll(() => world.close());

const HOSTILE = [
  '$$ROOT',
  '$$NOPE',
  '$$NOW',
  '$strikes',
  '$x',
  '$',
  '',
  '{"$ne":null}',
  '__proto__',
  'constructor',
  'a.b',
  '\u0000',
];
const text = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ maxLength: 40 }));

it('a device name is stored as it was sent, in events and mails', async () => {
  const userId = await world.enrolledUser();
  await fc.assert(
    fc.asyncProperty(text, text, async (deviceModel, ipAddress) => {
      await world.drain(userId);
      await world.put(userId, { strikes: 2, lockedUntil: null, lockMails: [], uncharged: [], reservation: null });
      await world.attempt(userId, 'mismatch', undefined, {
        sessionId: deviceModel,
        origin: { deviceModel, ipAddress },
      });
      const guard = await world.guard(userId);
      for (const event of eventsOf(guard))
        expect(event).toMatchObject({ deviceModel, ipAddress, sessionId: deviceModel });
      expect(mailsOf(guard).map((m) => [m.params['deviceModel'], m.params['ipAddress']])).toContainEqual([
        deviceModel,
        ipAddress,
      ]);
    }),
    { numRuns: 40, examples: HOSTILE.map((t): [string, string] => [t, t]) },
  );
}, 120_000);

it('origin, event and preference text of a change is stored as it was sent', async () => {
  const userId = await world.newUser();
  for (const hostile of HOSTILE) {
    await world.drain(userId);
    await world.store.change(
      userId,
      { kind: 'consent_given', version: hostile },
      { deviceModel: hostile },
      randomUUID(),
    );
    await world.store.appendEvent(userId, {
      eventId: randomUUID(),
      type: 'login_ok',
      deviceModel: hostile,
      ipAddress: hostile,
    });
    const guard = await world.guard(userId);
    expect(guard.consentVersion).toBe(hostile);
    expect(eventsOf(guard)).toMatchObject([{ deviceModel: hostile }, { deviceModel: hostile, ipAddress: hostile }]);
    expect(await world.begin(userId, { currentConsentVersion: hostile })).toMatchObject({ code: 'enrolment_required' });
  }
});

it('an operator in place of an id finds nobody and changes nothing', async () => {
  const userId = await world.enrolledUser();
  const r = await world.begun(userId);
  const before = await world.guard(userId);
  for (const operator of [{ $ne: null }, { $gt: '' }, { $regex: '.*' }, { $where: '1' }, ['x'], null, undefined, 7]) {
    const id = operator as unknown as string;
    const outcomes = [
      await world.store.begin(world.beginInput(id)),
      await world.store.begin(world.beginInput(userId, { sessionId: id })),
      await world.step(id, r, 1),
      await world.step(userId, r, 1, { attemptId: id }),
      await world.step(userId, r, 1, { sessionId: id }),
      await world.store.cancel({ userId, attemptId: id, sessionId: r.sessionId }),
      await world.store.cancel({ userId, attemptId: r.attemptId, sessionId: id }),
      await world.store.redeem({ userId: id, attemptId: r.attemptId, sessionId: r.sessionId }),
      await world.store.change(id, { kind: 'unenrol' }, {}, randomUUID()),
    ];
    expect(new Set(outcomes.map((o) => o.kind))).toEqual(new Set(['refused', 'not_found']));
    expect(await world.store.summary(id)).toBeNull();
  }
  expect(await world.guard(userId)).toEqual({ ...before, last: expect.anything() as unknown });
});
