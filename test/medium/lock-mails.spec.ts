import net from 'node:net';
import { JobQueue } from '#queue';
import type { StoredMail } from '../../apps/audit/src/notifications/mail.schema.js';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { MailerService } from '../../apps/audit/src/notifications/mailer.service.js';
import { type AuditUnderTest, eventually, startAudit } from './audit-harness.js';
import { GuardWorld, DAY, MINUTE, SECOND } from './guard-world.js';

jest.setTimeout(180_000);

const DATABASE = 'lock_mails';
const CYCLES = 48;

/** T14. The guard on a clock that is moved; mails by the real audit service and SMTP. */
describe('T14: somebody who locks a face again and again', () => {
  let audit: AuditUnderTest;
  let world: GuardWorld;
  beforeAll(async () => {
    audit = await startAudit({ database: DATABASE });
    world = await GuardWorld.open({ database: DATABASE });
  }, 60_000);
  afterAll(async () => {
    await world?.close();
    await audit?.close();
  });

  const mails = () => audit.collection<StoredMail>('mails');
  const account = async (email: string): Promise<string> => {
    const userId = await world.enrolledUser();
    await audit.collection<{ _id: string; email: string }>('users').insertOne({ _id: userId, email });
    return userId;
  };
  const lock = async (userId: string): Promise<void> => {
    await world.put(userId, { strikes: 2 });
    expect(await world.attempt(userId, 'mismatch')).toMatchObject({ outcome: 'locked' });
    await audit.app.get(DrainService).drainUser(userId);
  };
  const most = (times: number[], withinMs: number): number =>
    Math.max(...times.map((from) => times.filter((t) => t >= from && t < from + withinMs).length));

  it(`${CYCLES} locks in a row: at most one mail in 30 minutes and four a day, every lock an event, none lost while SMTP is down`, async () => {
    const email = 'bombed@example.test';
    const userId = await account(email);
    await audit.smtp.stop();
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      await lock(userId);
      // As soon as the lock is over.
      world.pass(30 * MINUTE + SECOND);
    }
    const events = await audit.entriesOf(userId);
    expect(events.filter(({ type }) => type === 'locked')).toHaveLength(CYCLES);
    const written = await mails().find({ userId, template: 'face_locked' }).toArray();
    const times = written.map(({ createdAt }) => createdAt.getTime());
    expect(most(times, 30 * MINUTE)).toBe(1);
    expect(most(times, DAY)).toBe(4);
    // The next day brings mails again: the limit is no silence.
    world.pass(DAY);
    await lock(userId);
    expect(await mails().countDocuments({ userId, template: 'face_locked' })).toBe(times.length + 1);

    const mailer = audit.app.get(MailerService);
    const all = await mails().find({ userId }).toArray();
    await mailer.sweep();
    expect(await mails().countDocuments({ userId, state: 'sent' })).toBe(0);
    await eventually(async () => expect(await audit.app.get(JobQueue).depth('audit')).toBe(0));
    await audit.smtp.start();
    await mails().updateMany({ userId }, { $unset: { nextAttemptAt: '' } });
    await mailer.sweep();
    const ids = audit.smtp.to(email).map(({ messageId }) => messageId);
    expect(ids.sort()).toEqual(all.map(({ _id }) => `<${_id}@countersign>`).sort());
  });

  it('the lock does not wait for a mail server that says nothing', async () => {
    const userId = await account('patient@example.test');
    const sockets = new Set<net.Socket>();
    await audit.smtp.stop();
    const silent = net.createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => silent.listen(audit.smtp.port, '127.0.0.1', resolve));
    try {
      // The nudge sends it at once, and there it is stuck.
      await lock(userId);
      while (sockets.size === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      const other = await account('other@example.test');
      await lock(other);
      expect(await world.begin(other)).toMatchObject({ code: 'face_locked', minutes: 30 });
      expect(await mails().findOne({ userId })).toMatchObject({ attempts: 1, leaseUntil: expect.any(Date) as Date });
      for (const socket of sockets) socket.destroy();
      await eventually(async () => expect(await mails().findOne({ userId })).not.toHaveProperty('leaseUntil'));
      expect(await mails().findOne({ userId })).toMatchObject({ state: 'waiting' });
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => silent.close(resolve));
    }
  });
});
