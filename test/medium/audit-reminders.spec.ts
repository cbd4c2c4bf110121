import { randomUUID } from 'node:crypto';
import { newestOf } from '#sealing';
import { MailerService } from '../../apps/audit/src/notifications/mailer.service.js';
import { RemindersService } from '../../apps/audit/src/reminders/reminders.service.js';
import { addUser, type AuditUnderTest, startAudit } from './audit-harness.js';

jest.setTimeout(60_000);

const DAY_MS = 24 * 3_600_000;
const DAYS = 30;

describe('reminders to enrol again (real MongoDB, Redis and SMTP)', () => {
  let audits: AuditUnderTest[];
  beforeAll(async () => {
    const env = { RE_ENROLMENT_DAYS: String(DAYS) };
    const about = { database: 'audit_reminders', env };
    const first = await startAudit(about);
    audits = [first, await startAudit({ ...about, beside: true, env: { ...env, REDIS_URL: first.config.REDIS_URL, MAIL_KEY: newestOf(first.config.MAIL_KEY).bytes.toString('base64url') } })]; // prettier-ignore
  });
  afterAll(async () => {
    for (const audit of [...(audits ?? [])].reverse()) await audit.close();
  });

  const first = (): AuditUnderTest => audits[0] as AuditUnderTest;
  const guards = () => first().collection<{ _id: string }>('face_guards');

  /** As the gateway leaves it behind after an enrolment so many days ago. */
  async function enrol(userId: string, daysAgo: number, more: object = {}): Promise<void> {
    const [templateId, createdAt] = [randomUUID(), new Date(Date.now() - daysAgo * DAY_MS)];
    const createdDay = createdAt.toISOString().slice(0, 10);
    const row = { _id: templateId, userId, createdAt, createdDay };
    await first().collection<{ _id: string }>('face_templates').insertOne(row);
    const template = { id: templateId, modelDigest: 'a'.repeat(64), enrolledAt: createdAt, heldUntil: null };
    await guards().updateOne({ _id: userId }, { $set: { template, reEnrolBy: null, ...more } });
  }
  async function person(daysAgo: number, more: object = {}): Promise<{ userId: string; email: string }> {
    const email = `${randomUUID()}@example.test`;
    const userId = await addUser(first(), { email });
    await enrol(userId, daysAgo, more);
    return { userId, email };
  }
  /** Both processes look at everything at the same time, twice, so many days from now, and send what is due. */
  async function look(inDays = 0): Promise<void> {
    const now = new Date(Date.now() + inDays * DAY_MS);
    const both = <T>(work: (audit: AuditUnderTest) => Promise<T>) => Promise.all(audits.map(work));
    for (let round = 0; round < 2; round++) {
      await both((audit) => audit.app.get(RemindersService).remind(now));
      await both((audit) => audit.app.get(MailerService).sweep());
    }
  }
  const mailsTo = (email: string): string[] =>
    audits
      .flatMap(({ smtp }) => smtp.to(email))
      .map((mail) => /in (a day|\d+ days)/.exec(mail.text ?? '')?.[1] ?? '?')
      .sort();

  it('go out 14 days and 1 day before the end, once each, however many processes look how often', async () => {
    const { email } = await person(0);
    await look(DAYS - 14.5);
    expect(mailsTo(email)).toEqual([]);
    await look(DAYS - 13.5);
    await look(DAYS - 13);
    await look(DAYS - 5);
    expect(mailsTo(email)).toEqual(['14 days']);
    await look(DAYS - 0.5);
    await look(DAYS - 0.1);
    expect(mailsTo(email)).toEqual(['14 days', 'a day']);
    await look(DAYS + 1);
    expect(mailsTo(email)).toHaveLength(2);
  });

  it('of which the first is left out by whoever looks too late for it, and says how many days there are', async () => {
    const [late, last] = [await person(DAYS - 6.5), await person(DAYS - 0.5)];
    await look();
    expect(mailsTo(late.email)).toEqual(['7 days']);
    expect(mailsTo(last.email)).toEqual(['a day']);
  });

  it('stop with a new enrolment, and begin anew with its own end', async () => {
    const { userId, email } = await person(DAYS - 13.5);
    await look();
    expect(mailsTo(email)).toEqual(['14 days']);
    await enrol(userId, 0);
    await look(13);
    expect(mailsTo(email)).toHaveLength(1);
    await look(DAYS - 13.5);
    expect(mailsTo(email)).toEqual(['14 days', '14 days']);
  });

  it('are not for a face that is gone, too old, or demanded anew, nor for an account that is closed', async () => {
    const people = [
      await person(DAYS - 5, { template: null }),
      await person(DAYS + 1),
      await person(DAYS - 5, { reEnrolBy: new Date() }),
      await person(DAYS - 5, { state: 'disabled' }),
    ];
    await look();
    expect(people.flatMap(({ email }) => mailsTo(email))).toEqual([]);
  });
});
