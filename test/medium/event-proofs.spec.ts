import { randomBytes, randomUUID } from 'node:crypto';
import { EventProofs } from '#audit-log';
import { type GuardDocument, newChallengeId } from '#guard';
import { MIGRATIONS } from '../../apps/cli/src/database/migrations.js';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { type AuditUnderTest, startAudit } from './audit-harness.js';

const EVENT_MAC_KEY = `k1:${randomBytes(32).toString('base64url')}`;
const now = new Date();

describe('core 5: what only writes in the database is told apart from what our processes write (real MongoDB)', () => {
  let audit: AuditUnderTest;
  let userId: string;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_proofs', env: { EVENT_MAC_KEY } });
  }, 60_000);
  afterAll(() => audit.close());
  beforeEach(async () => {
    userId = randomUUID();
    await audit.guard.create(userId, { faceRequired: true, event: { eventId: randomUUID(), type: 'registered' } });
  });

  const guards = () => audit.collection<GuardDocument>('face_guards');
  const drained = async (): Promise<string[]> => {
    await audit.app.get(DrainService).drainUser(userId);
    return (await audit.entriesOf(userId)).map(({ type }) => type);
  };
  const push = (event: object) =>
    guards().updateOne({ _id: userId }, {
      $push: { outbox: { kind: 'event', event: { eventId: randomUUID(), userId, timestamp: now, ...event } } },
      $set: { hasOutbox: true },
    } as never);

  it('stores what was made by hand as malformed, with an alert, and what a process made as it is', async () => {
    await push({ type: 'success', sealed: { parts: [], tags: [] } });
    await audit.guard.change(
      userId,
      { kind: 'consent_given', version: 'v1' },
      { ipAddress: '192.0.2.1' },
      randomUUID(),
    );
    await audit.guard.setPreferences(
      userId,
      { optOuts: [], extraTime: true, shortChallenges: false },
      {},
      randomUUID(),
    );
    await audit.guard.appendEvent(userId, { eventId: randomUUID(), type: 'logout', detail: { by: 'x' } });
    expect(await drained()).toEqual(['registered', 'malformed', 'consent_given', 'preferences_changed', 'logout']);
    expect(audit.logs.join('')).toContain('event_malformed');
    expect(await audit.verify()).toMatchObject({ ok: true });
  });

  /** Everything that the state machine of the guard may leave, by its own updates. */
  it('an attempt ends as the guard decides; one that is made a success by hand in another outbox does not', async () => {
    await audit.guard.change(userId, { kind: 'consent_given', version: 'v1' }, {}, randomUUID());
    const input = {
      userId,
      attemptId: randomUUID(),
      challengeId: newChallengeId(),
      sessionId: randomUUID(),
      purpose: 'enrol' as const,
      actions: ['blink' as const, 'turn_left' as const, 'smile' as const],
      transportEpoch: 'a',
      storeEpoch: 'b',
      currentConsentVersion: 'v1',
      currentModelDigest: 'a'.repeat(64),
      templateId: randomUUID(),
      hold: false,
      boundFrom: 'pwd' as const,
      origin: { ipAddress: '192.0.2.7', deviceModel: 'Pixel 9' },
    };
    expect(await audit.guard.begin(input)).toMatchObject({ kind: 'begun' });
    await audit.guard.cancel(input);
    const { outbox } = (await guards().findOne({ _id: userId })) as unknown as GuardDocument;
    const ended = outbox.flatMap((entry) => (entry.kind === 'event' ? [entry.event] : [])).at(-1);
    expect(await drained()).toEqual(['registered', 'consent_given', 'cancelled']);
    // An enrolment is never a success, and the proof says so; nor does it count for another person.
    await push({ ...ended, type: 'success' });
    const first = userId;
    userId = randomUUID();
    await audit.guard.create(userId, { faceRequired: true, event: { eventId: randomUUID(), type: 'registered' } });
    await push({ ...ended, userId, eventId: randomUUID() });
    expect(await drained()).toEqual(['registered', 'malformed']);
    userId = first;
    // Under an id that the log knows nothing is stored a second time.
    expect(await drained()).toEqual(['registered', 'consent_given', 'cancelled']);
  });

  it('a similarity that the person’s key does not open is no similarity', async () => {
    const eventId = randomUUID();
    await audit.guard.appendEvent(userId, { eventId, type: 'failed', similarity: 0.25 });
    await guards().updateOne(
      { _id: userId, 'outbox.event.eventId': eventId },
      {
        $set: { 'outbox.$.event.sealed.parts': [{ part: 'similarity', data: randomBytes(40).toString('base64url') }] },
      },
    );
    expect(await drained()).toEqual(['registered', 'malformed']);
  });

  it('what waits since before the key is vouched for by `migrate`, and says so in the log', async () => {
    const [mark] = MIGRATIONS.filter(({ version }) => version === 7);
    const bytes = Buffer.from(EVENT_MAC_KEY.split(':')[1] ?? '', 'base64url');
    await push({ type: 'login_ok' });
    const outboxes = audit.collection<{ _id: string; entries: object[]; hasOutbox: boolean }>('system_outboxes');
    const failed = { eventId: randomUUID(), userId, type: 'login_failed', timestamp: now };
    await outboxes.insertOne({ _id: 'older', entries: [failed, { not: 'an event' }], hasOutbox: true });
    for (let i = 0; i < 2; i++) await mark?.run(audit.db, { proofs: new EventProofs([{ id: 'k1', bytes }]) });
    await push({ type: 'success' });
    await audit.app.get(DrainService).drainSystem();
    await audit.app.get(DrainService).drainUser(userId);
    const entries = await audit.entriesOf(userId);
    expect(entries.map(({ type, detail }) => ({ type, ...detail })).sort((a, b) => (a.type < b.type ? -1 : 1))).toEqual(
      [
        { type: 'login_failed', beforeProof: true },
        { type: 'login_ok', beforeProof: true },
        { type: 'malformed' },
        { type: 'registered' },
      ],
    );
  });
});
