import { randomBytes, randomUUID } from 'node:crypto';
import { newSubject, type StoredEntry, type SubjectRow } from '#audit-log';
import type { GuardDocument } from '#guard';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { EventKeysService } from '../../apps/audit/src/log/event-keys.service.js';
import { LogWriter } from '../../apps/audit/src/log/log-writer.js';
import { MailerService } from '../../apps/audit/src/notifications/mailer.service.js';
import { OrphansService } from '../../apps/audit/src/orphans/orphans.service.js';
import { ErasureService } from '../../apps/audit/src/privacy/erasure.service.js';
import { RemindersService } from '../../apps/audit/src/reminders/reminders.service.js';
import { UsersRepository } from '../../apps/audit/src/users.repository.js';
import { addUser, type AuditUnderTest, startAudit } from './audit-harness.js';

const FOREIGN = [{ id: 'lost', bytes: randomBytes(32) }] as const;

describe('nobody holds up a neighbour (core 7; real MongoDB, Redis and SMTP)', () => {
  let audit: AuditUnderTest;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_neighbours' });
  }, 60_000);
  afterAll(() => audit.close());
  afterEach(() => jest.restoreAllMocks());

  const subjects = () => audit.collection<SubjectRow>('subjects');
  const rows = () => audit.collection<StoredEntry>('face_auth_events');
  const waiting = () => audit.collection<GuardDocument>('face_guards').countDocuments({ hasOutbox: true });
  /** His key lies under a KEK that nobody has, his events are there already. */
  async function poison(userId: string): Promise<void> {
    const { wrappedDek, kek } = newSubject(userId, FOREIGN);
    await subjects().updateOne({ _id: userId }, { $set: { wrappedDek, kek } as never }, { upsert: true });
  }
  const people = (count: number, events: number): Promise<string[]> =>
    Promise.all(Array.from({ length: count }, () => addUser(audit, { events })));

  /** As one that the guard made, with an outbox that waits: many of them at once. */
  async function many(count: number): Promise<string[]> {
    const guards = audit.collection<GuardDocument>('face_guards');
    const like = await guards.findOne({ _id: await addUser(audit, { events: 1 }) });
    const made = Array.from({ length: count }, () => {
      const _id = randomUUID();
      const outbox = like!.outbox.map((entry) =>
        entry.kind === 'event' ? { ...entry, event: { ...entry.event, userId: _id, eventId: randomUUID() } } : entry,
      );
      return { ...like!, _id, outbox };
    });
    await guards.insertMany(made);
    return made.map(({ _id }) => _id);
  }

  it.each([1, 100])(
    '%p of 200 whose keys do not open: one sweep stores the events of all',
    async (count) => {
      const all = await many(200);
      const bad = all.slice(0, count);
      await subjects().insertMany(bad.map((id) => newSubject(id, FOREIGN)));
      await audit.app.get(DrainService).sweep();
      expect(await waiting()).toBe(0);
      const [good, poisoned] = [await audit.entriesOf(all.at(-1)!), await audit.entriesOf(bad[0]!)];
      expect(good.map(({ type, payloadCommits }) => [type, payloadCommits.length]).sort()).toEqual([['login_ok', 2], ['registered', 0]]); // prettier-ignore
      expect(poisoned).toHaveLength(2);
      for (const entry of poisoned) expect(entry).toMatchObject({ payloadCommits: [], detail: { keyClosed: true } });
      expect(good.some(({ detail }) => detail?.keyClosed)).toBe(false);
      expect(audit.logs.join('')).toContain('event_key_closed');
      expect(await audit.verify()).toMatchObject({ ok: true });
    },
    240_000,
  );

  it.each([
    ['no text', { wrappedDek: 7 }],
    ['no ciphertext', { wrappedDek: '' }],
    ['a pseudonym that is none', { pseudonym: { $oid: 1 } }],
  ])('a row of subjects with %s holds up nobody', async (_, fields) => {
    const [bad, good] = (await people(2, 1)) as [string, string];
    await subjects().updateOne({ _id: bad }, [{ $set: { ...fields, pseudonym: { $literal: 'pseudonym' in fields ? fields.pseudonym : randomUUID() } } }]); // prettier-ignore
    await audit.app.get(DrainService).sweep();
    expect([await waiting(), (await audit.entriesOf(good)).length]).toEqual([0, 2]);
    await subjects().deleteOne({ _id: bad });
  });

  it('what one caller of the writer brings fails alone', async () => {
    const log = audit.app.get(LogWriter);
    const event = (o: object) => ({ eventId: randomUUID(), userId: null, type: 'login_failed' as const, timestamp: new Date(), ...o }); // prettier-ignore
    const good = event({});
    const outcomes = await Promise.allSettled([
      log.append([event({})]),
      log.append([event({ timestamp: new Date(NaN) })]),
      log.append([good]),
      log.append([event({ count: NaN })]),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
    expect(await rows().countDocuments({ eventId: good.eventId })).toBe(1);
  });

  it('an outbox of a process that cannot be stored holds up no other', async () => {
    const outboxes = audit.collection<{ _id: string; entries: unknown[]; hasOutbox: boolean }>('system_outboxes');
    const bad = new Set(Array.from({ length: 101 }, (_, i) => `a${i}`));
    const entry = (): object => ({ eventId: randomUUID(), userId: null, type: 'login_failed', timestamp: new Date() });
    await outboxes.insertMany([...bad, 'z'].map((_id) => ({ _id, entries: [entry()], hasOutbox: true })));
    const badIds = new Set((await outboxes.find({ _id: { $ne: 'z' } }).toArray()).map(({ entries }) => (entries[0] as { eventId: string }).eventId)); // prettier-ignore
    const log = audit.app.get(LogWriter);
    const append = log.append.bind(log);
    jest
      .spyOn(log, 'append')
      .mockImplementation((events) =>
        events.some(({ eventId }) => badIds.has(eventId))
          ? Promise.reject(new Error('will not go in'))
          : append(events),
      );
    await audit.app.get(DrainService).drainSystem();
    expect(await outboxes.findOne({ _id: 'z' })).toMatchObject({ entries: [], hasOutbox: false });
    jest.restoreAllMocks();
    await outboxes.deleteMany({});
  }, 60_000);

  it('600 keys that do not open stand before one that is to be wrapped anew', async () => {
    await subjects().deleteMany({});
    await subjects().insertMany(Array.from({ length: 600 }, (_, i) => newSubject(`0-${i}`, FOREIGN)));
    const good = newSubject('z', audit.config.EVENT_KEK);
    await subjects().insertOne({ ...good, kek: 'named-otherwise' });
    await audit.app.get(EventKeysService).rewrap();
    expect((await subjects().findOne({ _id: 'z' }))?.kek).toBe(good.kek);
    await subjects().deleteMany({});
  });

  it('30 erasures that fail, and rows that are none, hold up no other; one whose key does not open is erased', async () => {
    const ledger = audit.collection<{ _id: string }>('erasures');
    const row = (userId: unknown, more: object = {}) => ({ _id: randomUUID(), userId, requestedBy: userId, requestedAt: new Date(), state: 'requested', ...more }); // prettier-ignore
    await ledger.insertMany(Array.from({ length: 30 }, () => row(7)));
    await ledger.insertMany(
      Array.from({ length: 30 }, () => row(7, { state: 'completed', completedAt: new Date(0), repeatDue: true })),
    );
    const [bad, good] = (await people(2, 1)) as [string, string];
    await audit.app.get(DrainService).sweep();
    await poison(bad);
    const late = row(randomUUID(), { state: 'completed', completedAt: new Date(0), repeatDue: true });
    const wanted = [row(bad), row(good)];
    await ledger.insertMany([...wanted, late]);
    await audit.app.get(ErasureService).sweep();
    for (const { _id } of wanted) expect(await ledger.findOne({ _id })).toMatchObject({ state: 'completed' });
    expect(await ledger.findOne({ _id: late._id })).not.toHaveProperty('repeatDue');
    expect(await audit.verify()).toMatchObject({ ok: true });
    await ledger.deleteMany({});
  }, 60_000);

  it('a template row without a date holds up no reminder', async () => {
    const templates = audit.collection<{ _id: string; userId: string; createdDay: string; createdAt?: Date }>('face_templates'); // prettier-ignore
    const at = new Date(Date.now() - (audit.config.RE_ENROLMENT_DAYS - 1) * 86_400_000 + 3_600_000);
    const createdDay = at.toISOString().slice(0, 10);
    await templates.insertOne({ _id: '0', userId: randomUUID(), createdDay });
    const userId = randomUUID();
    await templates.insertOne({ _id: '1', userId, createdDay, createdAt: at });
    const asked = jest.spyOn(audit.guard, 'summary');
    await audit.app.get(RemindersService).remind(new Date());
    expect(asked).toHaveBeenCalledWith(userId);
    await templates.deleteMany({});
  });

  it('600 guards that have to wait, and one that cannot be removed, hold up no leftover behind them', async () => {
    const guards = audit.collection<{ _id: string; isNew: boolean; aloneSince?: Date; hasOutbox: boolean; reservation: null }>('face_guards'); // prettier-ignore
    await guards.deleteMany({});
    const alone = (_id: string) => ({ _id, isNew: true, hasOutbox: false, reservation: null });
    await guards.insertMany(Array.from({ length: 600 }, () => alone(randomUUID())));
    const old = [randomUUID(), randomUUID()] as const;
    await guards.insertMany(old.map((_id) => ({ ...alone(_id), aloneSince: new Date(0) })));
    const log = audit.app.get(LogWriter);
    jest.spyOn(log, 'append').mockRejectedValueOnce(new Error('will not go in'));
    await audit.app.get(OrphansService).sweepGuards();
    expect(await guards.countDocuments({ _id: { $in: [...old] } })).toBe(1);
    await guards.deleteMany({});
  });

  it('a mail whose key does not open goes out without device; an error on the way is noted and tried again', async () => {
    const userId = await addUser(audit, { email: 'poisoned@example.test' });
    await poison(userId);
    const mail = () => ({ _id: randomUUID(), userId, template: 'face_removed', params: { at: new Date().toISOString() }, sealedOrigin: randomBytes(60).toString('base64url'), createdAt: new Date() }); // prettier-ignore
    const mails = audit.collection<{ _id: string; leaseId?: string }>('mails');
    const [sent, interrupted] = [mail(), mail()];
    await mails.insertMany([sent, interrupted] as never);
    const mailer = audit.app.get(MailerService);
    await mailer.deliver(sent._id);
    expect(await mails.findOne({ _id: sent._id })).toMatchObject({ state: 'sent' });
    jest.spyOn(audit.app.get(UsersRepository), 'find').mockRejectedValueOnce(new Error('no primary'));
    await mailer.deliver(interrupted._id);
    const noted = await mails.findOne({ _id: interrupted._id });
    expect(noted).toMatchObject({ state: 'waiting', nextAttemptAt: expect.any(Date) as unknown });
    expect(noted).not.toHaveProperty('leaseId');
  });
});
