import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import type { AddressInfo, Server } from 'node:net';
import type { StoredCheckpoint, StoredEntry } from '#audit-log';
import { Checkpointer } from '../../apps/audit/src/log/checkpointer.js';
import { LogWriter } from '../../apps/audit/src/log/log-writer.js';
import { cliProgram } from '../../apps/cli/src/program.js';
import { type AuditUnderTest, startAudit } from './audit-harness.js';

describe('core 4: audit compares what it published with the database, and signs nothing else (real MongoDB)', () => {
  let audit: AuditUnderTest;
  let log: LogWriter;
  let checkpointer: Checkpointer;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_era' });
    [log, checkpointer] = [audit.app.get(LogWriter), audit.app.get(Checkpointer)];
  }, 60_000);
  afterAll(() => audit.close());

  const entries = () => audit.collection<StoredEntry>('face_auth_events');
  const checkpoints = () => audit.collection<StoredCheckpoint>('audit_checkpoints');
  const append = (count: number): Promise<void> =>
    log.append(Array.from({ length: count }, () => ({ eventId: randomUUID(), userId: null, type: 'login_failed' as const, timestamp: new Date() }))); // prettier-ignore
  const read = async () => ({ rows: await entries().find({}).toArray(), signed: await checkpoints().find({}).toArray() }); // prettier-ignore
  type State = Awaited<ReturnType<typeof read>>;
  /** The database has this and nothing else, and the process has begun anew. */
  async function begin({ rows, signed }: State): Promise<void> {
    await entries().deleteMany({});
    await checkpoints().deleteMany({});
    if (rows.length > 0) await entries().insertMany(rows);
    if (signed.length > 0) await checkpoints().insertMany(signed);
    Object.assign(log, { head: null });
    Object.assign(checkpointer, { tree: null, refusal: null });
    await log.checkpoint();
  }
  const published = (): string => fs.readFileSync(audit.config.AUDIT_CHECKPOINT_FILE, 'utf8');
  const ready = async (): Promise<{ status: number; text: string }> => {
    const { port } = (audit.app.getHttpServer() as Server).address() as AddressInfo;
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`);
    return { status: answer.status, text: await answer.text() };
  };

  let early: State;
  let late: State;
  it('goes on from what it published', async () => {
    await append(300);
    await log.checkpoint();
    early = await read();
    await append(40);
    await log.checkpoint();
    late = await read();
    await begin(late);
    expect([checkpointer.refusal, (await ready()).status]).toEqual([null, 200]);
  }, 60_000);

  it.each<[string, string, (state: State) => State]>([
    ['emptied but for five entries', 'log_does_not_continue', ({ rows }) => ({ rows: rows.slice(0, 5), signed: [] })],
    ['put back to an earlier state', 'log_does_not_continue', () => early],
    ['without its last entry', 'log_shorter_than_signed', ({ rows, signed }) => ({ rows: rows.slice(0, -1), signed })],
    ['without entries', 'log_shorter_than_signed', ({ signed }) => ({ rows: [], signed })],
    [
      'with another last entry',
      'log_does_not_continue',
      ({ rows, signed }) => ({ rows: [...rows.slice(0, -1), { ...rows.at(-1)!, entry: '{}' }], signed }),
    ],
    [
      'without checkpoints and with another entry',
      'log_does_not_continue',
      ({ rows }) => ({ rows: rows.map((row, i) => (i === 60 ? { ...row, entry: '{}' } : row)), signed: [] }),
    ],
    [
      'with a checkpoint of a stranger',
      'checkpoint_untrusted',
      ({ rows, signed }) => ({
        rows,
        signed: [...signed, { ...signed.at(-1)!, _id: 341, note: 'x\n341\nx\n\n— x x\n' }],
      }),
    ],
  ])(
    'a log %s is stored and not signed, readiness says so, and what was there before is signed on',
    async (_, refusal, change) => {
      const before = published();
      await begin(change(late));
      expect(checkpointer.refusal).toBe(refusal);
      const signed = await checkpoints().countDocuments();
      await append(1);
      await log.checkpoint();
      expect([await checkpoints().countDocuments(), published()]).toEqual([signed, before]);
      expect(await ready()).toMatchObject({ status: 503, text: expect.stringContaining('"log":{"state":"') as string });
      await expect(log.cover()).rejects.toThrow('signed');
      expect(audit.logs.join('')).toContain(refusal);
      await begin(late);
      expect([checkpointer.refusal, (await ready()).status]).toEqual([null, 200]);
    },
    60_000,
  );

  it('after a restore an era is opened by whoever can write beside the file, by naming its last line, and verify says so', async () => {
    const file = audit.config.AUDIT_CHECKPOINT_FILE;
    await begin(early);
    const note = 'x\n1\nx\n';
    fs.writeFileSync(`${file}.era`, JSON.stringify({ note, reason: 'of another line' }));
    await log.checkpoint();
    expect(checkpointer.refusal).toBe('log_does_not_continue');

    const said: string[] = [];
    const io = { out: (line: string) => void said.push(line), progress: () => undefined, secret: () => Promise.resolve(''), exit: () => undefined }; // prettier-ignore
    const open = (...args: string[]) => cliProgram(io).parseAsync(['audit', 'era', 'open', '--checkpoints', file, ...args], { from: 'user' }); // prettier-ignore
    await expect(open('--reason', ' ')).rejects.toThrow('--reason');
    await open('--reason', 'restored from the backup of Monday');
    expect(said.join()).toContain('of size 340');
    await log.checkpoint();
    expect([checkpointer.refusal, fs.existsSync(`${file}.era`)]).toEqual([null, false]);
    await append(10);
    expect(await audit.verify()).toMatchObject({
      ok: true,
      entries: 311,
      covered: 311,
      eras: [{ seq: 300, size: 340, reason: 'restored from the backup of Monday', sizes: [340] }],
    });
    Object.assign(checkpointer, { tree: null });
    await log.checkpoint();
    expect(checkpointer.refusal).toBeNull();
  }, 60_000);
});
