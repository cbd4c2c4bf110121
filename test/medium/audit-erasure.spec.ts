import { uuidOf } from '#sealing';
import { randomUUID } from 'node:crypto';
import type { LogEntry, StoredEntry } from '#audit-log';
import type { ErasureRow } from '#contracts';
import { JobQueue } from '#queue';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { MailerService } from '../../apps/audit/src/notifications/mailer.service.js';
import { ERASURE_STEPS, ErasureSteps } from '../../apps/audit/src/privacy/erasure-steps.js';
import { ErasureService } from '../../apps/audit/src/privacy/erasure.service.js';
import { addUser, type AuditUnderTest, eventually, pushRaw, startAudit } from './audit-harness.js';

const COLLECTIONS = [
  'users', 'face_guards', 'face_templates', 'consents', 'face_attempts', 'mails', 'face_auth_events', 'erasures', 'subjects',
] as const; // prettier-ignore

const LAST_MAIL = 'Your data has been erased';

describe('erasure (real MongoDB, Redis and SMTP)', () => {
  let audit: AuditUnderTest;
  let erasures: ErasureService;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_erasure' });
    erasures = audit.app.get(ErasureService);
  }, 60_000);
  afterAll(() => audit.close());
  afterEach(() => jest.restoreAllMocks());

  interface Subject {
    userId: string;
    email: string;
    erasureId: string;
  }

  /** A user with a template, a consent, an attempt, mails, stored events and some that still wait in the outbox. */
  async function requestErasure(): Promise<Subject> {
    const email = `${randomUUID()}@canary.test`;
    const userId = await addUser(audit, { events: 3, email });
    await audit.app.get(DrainService).drainUser(userId);
    for (const name of ['face_templates', 'consents', 'face_attempts', 'link_tokens', 'not_me_tokens']) {
      await audit.collection<Record<string, unknown>>(name).insertMany([
        { _id: randomUUID() as never, userId, note: 'canary' },
        { _id: randomUUID() as never, userId: 'somebody else' },
      ]);
    }
    await audit.collection<{ _id: string }>('recovery_codes').insertOne({ _id: userId });
    await audit.guard.appendEvent(userId, { eventId: randomUUID(), type: 'logout', ipAddress: '192.0.2.77' });
    const mail = {
      kind: 'mail',
      mailId: `lock-${userId}-1`,
      template: 'face_locked',
      params: { deviceModel: 'canary' },
      at: new Date(),
    };
    await pushRaw(audit, userId, mail);
    const erasureId = randomUUID();
    await audit
      .collection<ErasureRow>('erasures')
      .insertOne({ _id: erasureId, userId, requestedBy: userId, requestedAt: new Date(), state: 'requested' });
    return { userId, email, erasureId };
  }

  async function expectErased({ userId, email, erasureId }: Subject): Promise<void> {
    await eventually(() => expect(subjectsOf(email)).toContain(LAST_MAIL));
    await eventually(async () => expect(await audit.collection('mails').countDocuments({ userId })).toBe(0));
    for (const name of ['users', 'face_guards', 'recovery_codes']) {
      expect(await audit.collection<{ _id: string }>(name).findOne({ _id: userId })).toBeNull();
    }
    for (const name of ['face_templates', 'consents', 'face_attempts', 'link_tokens', 'not_me_tokens']) {
      expect(await audit.collection(name).countDocuments({ userId })).toBe(0);
    }
    const { subjectPseudonym } = await completionOf(erasureId);
    const events = await audit.entriesOf(subjectPseudonym);
    // registered, 3 × login_ok, logout, and what the guard and we say of the erasure.
    expect(events.length).toBeGreaterThanOrEqual(6);
    expect(events.filter((event) => event.type === 'erasure_completed')).toHaveLength(1);
    // Nothing leads from the person to his pseudonym any more, no key opens what was his, and no payload is left.
    expect(await audit.collection('subjects').findOne({ pseudonym: subjectPseudonym })).toBeNull();
    const subject = await audit.collection<{ _id: string }>('subjects').findOne({ _id: userId });
    expect(subject ?? { _id: userId, erased: true }).toEqual({ _id: userId, erased: true });
    const rows = await audit.collection<StoredEntry>('face_auth_events').find({ subject: subjectPseudonym }).toArray();
    expect(rows.flatMap((row) => row.payload)).toEqual([]);
    expect(rows.map((row) => row.entry).join()).not.toContain(userId);
    expect(await audit.collection<ErasureRow>('erasures').findOne({ _id: erasureId })).toMatchObject({
      state: 'completed',
      completedAt: expect.any(Date) as Date,
    });
    for (const name of COLLECTIONS) {
      const dump = JSON.stringify(await audit.collection(name).find({}).toArray());
      expect(dump).not.toContain(email);
      expect(dump).not.toContain('192.0.2.77');
      expect(dump).not.toContain('canary');
    }
  }

  async function completionOf(erasureId: string): Promise<LogEntry & { subjectPseudonym: string }> {
    const eventId = uuidOf(`erasure_completed:${erasureId}`);
    const row = await audit.collection<StoredEntry>('face_auth_events').findOne({ eventId });
    return JSON.parse(row?.entry ?? '{}') as LogEntry & { subjectPseudonym: string };
  }

  const subjectsOf = (email: string) => audit.smtp.to(email).map((mail) => mail.subject);
  /** A lock mail that was due before the erasure may have gone out; the last mail goes once, and nothing after it. */
  const expectOneLastMail = ({ email }: Subject): void => {
    expect(subjectsOf(email).filter((subject) => subject === LAST_MAIL)).toHaveLength(1);
    expect(subjectsOf(email).at(-1)).toBe(LAST_MAIL);
  };

  it('runs on a nudge, says so once to the address it then forgets, and leaves others alone', async () => {
    const bystander = await addUser(audit, { email: 'bystander@example.test' });
    const subject = await requestErasure();
    await audit.app.get(JobQueue).enqueue('audit.erase', { erasureId: subject.erasureId }, randomUUID());
    await expectErased(subject);
    await Promise.all(Array.from({ length: 3 }, () => erasures.run(subject.erasureId)));
    await erasures.sweep();
    await audit.app.get(MailerService).sweep();
    await expectErased(subject);
    expectOneLastMail(subject);
    expect(await audit.guard.summary(bystander)).not.toBeNull();
    expect(await audit.collection('consents').countDocuments({ userId: 'somebody else' })).toBe(1);
  });

  it('is done once by many who try at the same time', async () => {
    const subject = await requestErasure();
    await Promise.all(Array.from({ length: 6 }, () => erasures.run(subject.erasureId)));
    await audit.app.get(MailerService).sweep();
    await expectErased(subject);
    expectOneLastMail(subject);
  });

  describe.each(ERASURE_STEPS)('interrupted at step %s', (step) => {
    it.each(['before', 'after'] as const)('%s it, completes on the next sweep', async (when) => {
      const subject = await requestErasure();
      const steps = audit.app.get(ErasureSteps);
      const work = steps[step].bind(steps);
      jest.spyOn(steps, step).mockImplementationOnce(async (row) => {
        if (when === 'after') await work(row);
        throw new Error('killed');
      });
      await expect(erasures.run(subject.erasureId)).rejects.toThrow('killed');
      await erasures.sweep();
      await audit.app.get(MailerService).sweep();
      await expectErased(subject);
      expectOneLastMail(subject);
    });
  });

  it('goes on where a killed process held it, once its lease is over', async () => {
    const subject = await requestErasure();
    const ledger = audit.collection<ErasureRow & { leaseId: string; leaseUntil: Date }>('erasures');
    const held = (leaseUntil: Date) =>
      ledger.updateOne({ _id: subject.erasureId }, { $set: { state: 'running', leaseId: 'dead', leaseUntil } });
    await held(new Date(Date.now() + 60_000));
    await erasures.sweep();
    expect(await ledger.findOne({ _id: subject.erasureId })).toMatchObject({ state: 'running', leaseId: 'dead' });
    await held(new Date(Date.now() - 1_000));
    await erasures.sweep();
    await audit.app.get(MailerService).sweep();
    await expectErased(subject);
  });

  it('takes along what is written to the guard while it runs, and later what came too late', async () => {
    const subject = await requestErasure();
    const remove = audit.guard.removeErased.bind(audit.guard);
    jest.spyOn(audit.guard, 'removeErased').mockImplementationOnce(async (userId) => {
      await audit.guard.appendEvent(userId, { eventId: randomUUID(), type: 'login_failed', ipAddress: '192.0.2.77' });
      return remove(userId);
    });
    await erasures.run(subject.erasureId);
    await audit.app.get(MailerService).sweep();
    await expectErased(subject);

    await audit.collection<Record<string, unknown>>('consents').insertOne({ userId: subject.userId, note: 'canary' });
    await erasures.sweep();
    expect(await audit.collection('consents').countDocuments({ userId: subject.userId })).toBe(1);
    await audit
      .collection<ErasureRow>('erasures')
      .updateOne({ _id: subject.erasureId }, { $set: { completedAt: new Date(Date.now() - 16 * 60_000) } });
    await erasures.sweep();
    await expectErased(subject);
  });

  it('leaves a log that verifies, whatever was erased and interrupted above', async () => {
    const report = await audit.verify();
    expect(report).toMatchObject({ ok: true, problems: [] });
    expect(report.erasedParts).toBeGreaterThan(20);
    expect(report.covered).toBe(report.entries);
  });
});
