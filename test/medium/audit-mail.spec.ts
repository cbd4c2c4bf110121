import { randomUUID } from 'node:crypto';
import type { ParsedMail } from 'mailparser';
import { type MailRow, mailSecretAad } from '#contracts';
import { JobQueue } from '#queue';
import { newestOf, sealText } from '#sealing';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import type { StoredMail } from '../../apps/audit/src/notifications/mail.schema.js';
import { MailerService } from '../../apps/audit/src/notifications/mailer.service.js';
import { addUser, type AuditUnderTest, eventually, pushRaw, startAudit } from './audit-harness.js';

describe('audit mail (real MongoDB, Redis and SMTP)', () => {
  let audit: AuditUnderTest;
  let mailer: MailerService;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_mail' });
    mailer = audit.app.get(MailerService);
  }, 60_000);
  afterAll(() => audit.close());

  const rows = () => audit.collection<StoredMail>('mails');
  const rowOf = (_id: string): Promise<StoredMail | null> => rows().findOne({ _id });
  /** As a gateway inserts it: the contract's fields and no other. */
  async function insert(row: Partial<MailRow> & Pick<MailRow, 'userId' | 'template'>): Promise<string> {
    const mail = { _id: randomUUID(), params: {}, createdAt: new Date(), ...row };
    await rows().insertOne(mail);
    return mail._id;
  }
  const seal = (mailId: string, secret: string): string =>
    sealText(newestOf(audit.config.MAIL_KEY).bytes, mailSecretAad(mailId), secret);
  const makeDue = (_id: string) => rows().updateOne({ _id }, { $unset: { nextAttemptAt: '', leaseUntil: '' } });
  const only = (mails: ParsedMail[]): ParsedMail => {
    expect(mails).toHaveLength(1);
    return mails[0] as ParsedMail;
  };

  it("sends the lock mail once, however often it is drained and nudged, to the user's current address", async () => {
    const email = 'locked@example.test';
    const userId = await addUser(audit, { email });
    const mailId = `lock-${userId}-3`;
    const entry = {
      kind: 'mail',
      mailId,
      template: 'face_locked',
      params: { deviceModel: 'Pixel <9>', at: '2026-11-23T14:05:30.000Z', lockMinutes: 30, lockedUntil: '2026-11-23T14:35:30.000Z' },
      at: new Date(),
    }; // prettier-ignore
    const drains = audit.app.get(DrainService);
    await pushRaw(audit, userId, entry);
    await Promise.all([drains.drainUser(userId), drains.drainUser(userId)]);
    const queue = audit.app.get(JobQueue);
    await Promise.all(Array.from({ length: 10 }, () => queue.enqueue('audit.mail', { mailId }, randomUUID())));
    await Promise.all([mailer.deliver(mailId), mailer.sweep(), mailer.sweep()]);
    await eventually(async () => expect(await rowOf(mailId)).toMatchObject({ state: 'sent', attempts: 1 }));
    // A drain that was killed before it pulled comes again after the mail has gone out.
    await pushRaw(audit, userId, entry);
    await drains.drainUser(userId);
    await mailer.sweep();
    await eventually(async () => expect(await queue.depth('audit')).toBe(0));

    const mail = only(audit.smtp.to(email));
    expect(mail.messageId).toBe(`<${mailId}@countersign>`);
    expect(mail.subject).toBe('Face recognition is locked for your account');
    expect(mail.headers.get('auto-submitted')).toBe('auto-generated');
    expect(mail.text).toMatch(/Pixel <9>[\s\S]*2026-11-23 14:05 UTC[\s\S]*30 minutes[\s\S]*2026-11-23 14:35 UTC/);
    expect(mail.html).toContain('Pixel &#60;9&#62;');
  });

  it.each([
    ['de', 'Die Gesichtserkennung Ihres Kontos ist gesperrt'],
    ['de-CH', 'Die Gesichtserkennung Ihres Kontos ist gesperrt'],
    ['fr', 'Face recognition is locked for your account'],
  ])("writes in the account's language, in English where it has none of ours: %s", async (locale, subject) => {
    const email = `${locale}@example.test`;
    const userId = await addUser(audit, { email });
    await audit.collection<{ _id: string }>('users').updateOne({ _id: userId }, { $set: { locale } });
    await mailer.deliver(await insert({ userId, template: 'face_locked' }));
    expect(only(audit.smtp.to(email)).subject).toBe(subject);
  });

  it.each([
    'user@example.xn--p1ai',
    'ada=x@example.test',
    'user%x@example.test',
    '!ada#1/dept@example.test',
    "o'brien{a}|~^`$&*?@example.test",
    // Longer than RFC 5321 has it, but 0.1 took it.
    `${'c'.repeat(70)}@example.test`,
  ])('case 10: a mail reaches %s, as an account or by its row', async (email) => {
    await mailer.deliver(await insert({ userId: await addUser(audit, { email }), template: 'face_locked' }));
    await mailer.deliver(await insert({ userId: randomUUID(), to: email, template: 'face_removed' }));
    expect(audit.smtp.to(email)).toHaveLength(2);
  });

  it('case 10: an IDN is mailed to by its A-labels, which the reader shows as they are spelt', async () => {
    await mailer.deliver(await insert({ userId: randomUUID(), to: 'ada@xn--bcher-kva.example', template: 'face_removed' })); // prettier-ignore
    const mail = only(audit.smtp.to('ada@bücher.example'));
    expect(mail.headerLines.find(({ key }) => key === 'to')?.line).toBe('To: ada@xn--bcher-kva.example');
  });

  it('keeps a mail while the server is down or says no, and sends it later with the same Message-ID', async () => {
    const to = 'patient@example.test';
    const mailId = await insert({ userId: randomUUID(), to, template: 'face_removed' });
    await audit.smtp.stop();
    await mailer.deliver(mailId);
    expect(await rowOf(mailId)).toMatchObject({ state: 'waiting', attempts: 1 });
    // Not due yet: neither a nudge nor a sweep goes against the backoff.
    await mailer.deliver(mailId);
    await mailer.sweep();
    expect(await rowOf(mailId)).toMatchObject({ attempts: 1 });

    await audit.smtp.start();
    audit.smtp.refuse = 1;
    await makeDue(mailId);
    await mailer.sweep();
    expect(await rowOf(mailId)).toMatchObject({ state: 'waiting', attempts: 2 });
    expect(audit.smtp.to(to)).toEqual([]);
    await makeDue(mailId);
    await mailer.sweep();
    expect(await rowOf(mailId)).toMatchObject({ state: 'sent', attempts: 3, sentAt: expect.any(Date) as Date });
    const mail = only(audit.smtp.to(to));
    expect(mail.messageId).toBe(`<${mailId}@countersign>`);
    expect(only(audit.smtp.refused).messageId).toBe(mail.messageId);
  });

  it('sends it again after a process died with it in hand, once its lease is over', async () => {
    const to = 'orphaned@example.test';
    const mailId = await insert({ userId: randomUUID(), to, template: 'face_removed' });
    await rows().updateOne(
      { _id: mailId },
      { $set: { state: 'waiting', leaseId: 'dead', leaseUntil: new Date(Date.now() + 60_000) } },
    );
    await mailer.sweep();
    expect(audit.smtp.to(to)).toEqual([]);
    await rows().updateOne({ _id: mailId }, { $set: { leaseUntil: new Date(Date.now() - 1_000) } });
    await mailer.sweep();
    only(audit.smtp.to(to));
  });

  it('gives up after a day, and keeps nothing secret of what it gave up', async () => {
    const createdAt = new Date(Date.now() - 25 * 3_600_000);
    const _id = randomUUID();
    const row = { _id, userId: randomUUID(), to: 'gone@example.test', createdAt, sealedSecret: seal(_id, 'x') };
    await insert({ ...row, template: 'email_verify' });
    await audit.smtp.stop();
    await mailer.sweep();
    await audit.smtp.start();
    const left = await rowOf(_id);
    expect(left).toMatchObject({ state: 'dead', expireAt: expect.any(Date) as Date });
    expect(left).not.toHaveProperty('sealedSecret');
    expect(left).not.toHaveProperty('to');
    await mailer.deliver(_id);
    expect(audit.smtp.to('gone@example.test')).toEqual([]);
  });

  it('opens a secret only into its mail: neither row nor log has it, or the address, afterwards', async () => {
    const [_id, token, to] = [randomUUID(), 'canary-t0k3n', 'secretive@example.test'];
    await insert({ _id, userId: randomUUID(), to, template: 'email_verify', sealedSecret: seal(_id, token) });
    await audit.smtp.stop();
    await mailer.deliver(_id);
    await audit.smtp.start();
    await makeDue(_id);
    await mailer.deliver(_id);
    expect(only(audit.smtp.to(to)).text).toContain(`https://auth.countersign.test/verify-email?token=${token}`);
    expect(JSON.stringify(await rowOf(_id))).not.toMatch(/canary|secretive|sealedSecret/);
    const logs = audit.logs.join('');
    expect(logs).toContain(_id);
    expect(logs).not.toMatch(/canary-t0k3n|@example\.test/);
  });

  it('does not send a secret that was moved to another row, a code that has expired, or a row that is none', async () => {
    const [mine, theirs] = [randomUUID(), randomUUID()];
    const userId = await addUser(audit, { email: 'refused@example.test' });
    await insert({ _id: mine, userId, template: 'recovery_code', sealedSecret: seal(theirs, 'ABCD2345') });
    await insert({ _id: theirs, userId, template: 'recovery_code' });
    const late = randomUUID();
    const createdAt = new Date(Date.now() - 11 * 60_000);
    await insert({ _id: late, userId, template: 'recovery_code', createdAt, sealedSecret: seal(late, 'ABCD2345') });
    const odd = await insert({ userId, template: 'nonsense' as never });
    const header = await insert({ userId, template: 'face_removed', to: 'a@example.test\r\nBcc: b@example.test' });
    for (const id of [mine, theirs, late, odd, header]) {
      await mailer.deliver(id);
      expect(await rowOf(id)).toMatchObject({ state: 'dead' });
    }
    expect(
      audit.smtp.mails
        .flatMap((mail) => mail.to ?? [])
        .some((to) => /\b(?<!\.)(refused|[ab])@example\.test/.test([to].flat()[0]?.text ?? '')),
    ).toBe(false);
  });

  it('waits for a user who is not there yet', async () => {
    const userId = randomUUID();
    const mailId = await insert({ userId, template: 'face_enrolled' });
    await mailer.deliver(mailId);
    expect(await rowOf(mailId)).toMatchObject({ state: 'waiting' });
    await audit
      .collection<{ _id: string; email: string }>('users')
      .insertOne({ _id: userId, email: 'late@example.test' });
    await makeDue(mailId);
    await mailer.deliver(mailId);
    only(audit.smtp.to('late@example.test'));
  });

  it('finds by itself what nobody nudged, within seconds of the start', async () => {
    const userId = await addUser(audit, { email: 'swept@example.test', events: 1 });
    await insert({ userId, template: 'recovery_used' });
    const second = await startAudit({ database: 'audit_mail_second', sweepMs: 100 });
    try {
      const other = await addUser(second, { email: 'swept@example.test', events: 1 });
      await second.collection<MailRow>('mails').insertOne({
        _id: 'unnudged', userId: other, template: 'recovery_used', params: {}, createdAt: new Date(),
      }); // prettier-ignore
      await eventually(() => {
        only(second.smtp.to('swept@example.test'));
      });
      await eventually(async () => expect(await second.entriesOf(other)).toHaveLength(2));
    } finally {
      await second.close();
    }
  });
});
