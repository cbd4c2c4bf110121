import { randomUUID } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { StoredMail } from '../../apps/audit/src/notifications/mail.schema.js';
import { MailerService } from '../../apps/audit/src/notifications/mailer.service.js';
import { type AuditUnderTest, eventually, startAudit } from './audit-harness.js';

/** Real: MongoDB, Redis, and a mail server on a TCP port that does what a recipient's name says. */

jest.setTimeout(120_000);

const MINUTE_MS = 60_000;

/** What others' mail servers do: `slow-40` answers the final dot after 40 s, and so on. */
class OddMailServer {
  greetingMs = 0;
  refusesSender = false;
  /** Recipients of each RCPT command, and of each message that arrived whole. */
  readonly asked: string[] = [];
  readonly arrived: string[] = [];
  private readonly sockets = new Set<Socket>();
  private readonly server: Server = createServer((socket) => this.serve(socket));

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket));
    const say = (line: string, afterMs = 0): void =>
      void setTimeout(() => !socket.destroyed && socket.write(`${line}\r\n`), afterMs);
    say('220 mx.test ESMTP', this.greetingMs);
    let [unread, recipient, isData] = ['', '', false];
    socket.on('data', (bytes) => {
      unread += bytes.toString('latin1');
      for (;;) {
        const end = isData ? '\r\n.\r\n' : '\r\n';
        const at = unread.indexOf(end);
        if (at < 0) return;
        const line = unread.slice(0, at);
        unread = unread.slice(at + end.length);
        if (isData) this.endOf(recipient, socket, say);
        else if (/^RCPT/i.test(line)) recipient = this.recipientOf(line, say);
        else this.other(line, socket, say);
        isData = !isData && /^DATA/i.test(line);
      }
    });
  }

  private other(line: string, socket: Socket, say: (line: string) => void): void {
    if (/^EHLO/i.test(line)) say('250-mx.test\r\n250 ENHANCEDSTATUSCODES');
    else if (/^MAIL/i.test(line)) say(this.refusesSender ? '550 5.7.1 sender refused' : '250 2.1.0 ok');
    else if (/^DATA/i.test(line)) say('354 go on');
    else if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
    else say('250 ok');
  }

  private recipientOf(line: string, say: (line: string) => void): string {
    const address = /<([^>]*)>/.exec(line)?.[1] ?? '';
    const isFirst = !this.asked.includes(address);
    this.asked.push(address);
    if (address.startsWith('no-such')) say(`550 5.1.1 <${address}>: user unknown`);
    else if (address.startsWith('old-style')) say('553 no such user here');
    else if (address.startsWith('rule')) say('554-5.7.1 Relay access denied\r\n554 5.7.1 ask your operator');
    else if (address.startsWith('grey') && isFirst) say('451 4.7.1 try again later');
    else say('250 2.1.5 ok');
    return address;
  }

  private endOf(recipient: string, socket: Socket, say: (line: string, afterMs?: number) => void): void {
    this.arrived.push(recipient);
    if (recipient.startsWith('hang-up')) socket.destroy();
    else if (recipient.startsWith('too-much')) say('552 5.3.4 message too big');
    else if (recipient.startsWith('no-room')) say('452 4.3.1 no room');
    else say('250 2.0.0 queued', Number(/^slow-(\d+)/.exec(recipient)?.[1] ?? 0) * 1_000);
  }
}

describe('audit and mail servers of all kinds (RFC 5321)', () => {
  const server = new OddMailServer();
  let audit: AuditUnderTest;
  let mailer: MailerService;
  beforeAll(async () => {
    await server.listen();
    audit = await startAudit({ database: 'audit_smtp', env: { SMTP_URL: `smtp://127.0.0.1:${server.port}` } });
    mailer = audit.app.get(MailerService);
  });
  afterAll(async () => {
    await audit?.close();
    await server.close();
  });

  const rows = () => audit.collection<StoredMail>('mails');
  const rowOf = (_id: string): Promise<StoredMail | null> => rows().findOne({ _id });
  const makeDue = (_id: string) => rows().updateOne({ _id }, { $unset: { nextAttemptAt: '', leaseUntil: '' } });
  async function insert(to: string): Promise<string> {
    const _id = randomUUID();
    const row = { _id, userId: randomUUID(), to, template: 'face_removed' as const, params: {}, createdAt: new Date() };
    await rows().insertOne(row);
    return _id;
  }
  const copies = (to: string): number => server.arrived.filter((recipient) => recipient === to).length;
  const tries = (to: string): number => server.asked.filter((recipient) => recipient === to).length;
  const minutesAway = (row: StoredMail | null): number => (Number(row?.nextAttemptAt ?? 0) - Date.now()) / MINUTE_MS;

  it('case 2: waits for a greeting that comes late', async () => {
    server.greetingMs = 7_000;
    const mailId = await insert('patient@example.test');
    await mailer.deliver(mailId);
    server.greetingMs = 0;
    expect(await rowOf(mailId)).toMatchObject({ state: 'sent', attempts: 1 });
  });

  it('case 2: one copy where the last answer is late; meanwhile nobody else takes it, and others do not wait', async () => {
    const [late, other] = ['slow-40@example.test', 'quick@example.test'];
    const lateId = await insert(late);
    const delivery = mailer.sweep();
    await eventually(() => expect(copies(late)).toBe(1));
    const lease = (await rowOf(lateId))?.leaseUntil;
    const otherId = await insert(other);
    await mailer.sweep();
    expect(await rowOf(otherId)).toMatchObject({ state: 'sent' });
    // The sweep that began it does not stay with it either.
    await delivery;
    expect(await rowOf(lateId)).toMatchObject({ state: 'waiting', attempts: 1 });
    await new Promise((resolve) => setTimeout(resolve, 22_000));
    expect(Number((await rowOf(lateId))?.leaseUntil)).toBeGreaterThan(Number(lease) + 20_000);
    await mailer.sweep();
    for (let i = 0; i < 20 && (await rowOf(lateId))?.state !== 'sent'; i++)
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await rowOf(lateId)).toMatchObject({ state: 'sent', attempts: 1 });
    expect(copies(late)).toBe(1);
  });

  it('case 2: a message that went out whole and was not answered is not repeated for half an hour', async () => {
    const mailId = await insert('hang-up@example.test');
    await mailer.deliver(mailId);
    const row = await rowOf(mailId);
    expect(row).toMatchObject({ state: 'waiting', attempts: 1 });
    expect(minutesAway(row)).toBeGreaterThan(29);
    await mailer.sweep();
    expect(copies('hang-up@example.test')).toBe(1);
  });

  it.each([
    ['no-such@example.test', '550 5.1.1', 0],
    ['old-style@example.test', '553', 0],
    ['too-much@example.test', '552 5.3.4', 1],
  ])('case 12: %s is refused for good (%s): one try, noted for the operator', async (to, reply, whole) => {
    const mailId = await insert(to);
    await mailer.deliver(mailId);
    expect(await rowOf(mailId)).toMatchObject({ state: 'dead', attempts: 1, reply });
    await mailer.deliver(mailId);
    await mailer.sweep();
    expect([tries(to), copies(to)]).toEqual([1, whole]);
    const said = audit.logs.filter((line) => line.includes(mailId)).join('');
    expect(said).toContain('"reason":"refused"');
    expect(said).not.toContain('@example.test');
  });

  it('case 12: a rule of the server is asked a few times, far apart', async () => {
    const to = 'rule@example.test';
    const mailId = await insert(to);
    for (const minutes of [15, 30, 60]) {
      await mailer.deliver(mailId);
      const row = await rowOf(mailId);
      expect(row).toMatchObject({ state: 'waiting' });
      expect(minutesAway(row)).toBeGreaterThan(minutes - 1);
      await makeDue(mailId);
    }
    await mailer.deliver(mailId);
    expect(await rowOf(mailId)).toMatchObject({ state: 'dead', attempts: 4, reply: '554 5.7.1' });
    expect(tries(to)).toBe(4);
  });

  it.each(['grey@example.test', 'no-room@example.test'])('case 12: 4yz to %s is tried again soon', async (to) => {
    const mailId = await insert(to);
    await mailer.deliver(mailId);
    const row = await rowOf(mailId);
    expect(row).toMatchObject({ state: 'waiting', attempts: 1 });
    expect(minutesAway(row)).toBeLessThan(1);
    await makeDue(mailId);
    await mailer.deliver(mailId);
    expect((await rowOf(mailId))?.state).toBe(to.startsWith('grey') ? 'sent' : 'waiting');
  });

  it('case 12: 5yz to us and not to a recipient keeps the mail', async () => {
    server.refusesSender = true;
    const mailId = await insert('somebody@example.test');
    await mailer.deliver(mailId);
    server.refusesSender = false;
    expect(await rowOf(mailId)).toMatchObject({ state: 'waiting', attempts: 1 });
    await makeDue(mailId);
    await mailer.deliver(mailId);
    expect(await rowOf(mailId)).toMatchObject({ state: 'sent' });
  });
});
