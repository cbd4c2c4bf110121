import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { StoredEntry } from '#audit-log';
import type { OutboxEvent } from '#contracts';
import { newestOf } from '#sealing';
import { repositoryRoot } from '#stack';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { CHECKPOINT_ENTRIES } from '../../apps/audit/src/log/checkpointer.js';
import { CheckpointSink } from '../../apps/audit/src/log/checkpoint-sink.js';
import { LogWriter } from '../../apps/audit/src/log/log-writer.js';
import { addUser, auditCommand, type AuditUnderTest, eventually, startAudit } from './audit-harness.js';

const PRODUCERS = 8;
const EVENTS_EACH = 1_000;
const KILL_EVERY_MS = 4_000;

const sealed = (): OutboxEvent['sealed'] => ({ parts: [{ part: 'address', data: randomBytes(48).toString('base64url') }], tags: [] }); // prettier-ignore
const event = (o: Partial<OutboxEvent> = {}): OutboxEvent => ({
  eventId: randomUUID(), userId: null, type: 'login_failed', timestamp: new Date(), sealed: sealed(), ...o,
}); // prettier-ignore

describe('the log (real MongoDB)', () => {
  let audit: AuditUnderTest;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_log' });
  }, 60_000);
  afterAll(() => audit.close());
  afterEach(() => jest.restoreAllMocks());

  const rows = () => audit.collection<StoredEntry>('face_auth_events');

  it('signs every 256 entries and the rest when asked, in the database and outside it', async () => {
    const log = audit.app.get(LogWriter);
    await log.append(Array.from({ length: CHECKPOINT_ENTRIES + 10 }, () => event()));
    expect(await audit.collection('audit_checkpoints').countDocuments()).toBe(1);
    expect(await audit.verify()).toMatchObject({ ok: true, entries: 266, covered: 266, checkpoints: 2 });
    expect(fs.readFileSync(audit.config.AUDIT_CHECKPOINT_FILE, 'utf8').trim().split('\n')).toHaveLength(2);
  });

  it('goes on while checkpoints cannot be published, says so, and publishes them afterwards', async () => {
    const write = jest.spyOn(audit.app.get(CheckpointSink), 'write').mockRejectedValue(new Error('ENOSPC'));
    await audit.app.get(LogWriter).append(Array.from({ length: 300 }, () => event()));
    expect(audit.logs.some((line) => line.includes('checkpoint_sink_failed'))).toBe(true);
    write.mockRestore();
    expect(await audit.verify()).toMatchObject({ ok: true, entries: 566, covered: 566 });
    expect(await audit.collection('audit_checkpoints').countDocuments({ published: false })).toBe(0);
  });

  it('names what was changed in the database', async () => {
    const seqs = { $in: [300, 301] };
    const before = await rows().find({ seq: seqs }).toArray();
    const first = async (): Promise<unknown> => (await audit.verify()).first;
    const restore = async (): Promise<void> => {
      await rows().deleteMany({ seq: seqs });
      await rows().insertMany(before);
    };
    await rows().updateOne({ seq: 300 }, [{ $set: { entry: { $replaceOne: { input: '$entry', find: 'login_failed', replacement: 'login_ok' } } } }]); // prettier-ignore
    expect(await first()).toMatchObject({ seq: 300, kind: 'altered' });
    await restore();
    await rows().deleteOne({ seq: 301 });
    expect(await first()).toMatchObject({ seq: 301, kind: 'missing' });
    await restore();
    await rows().updateOne({ seq: 300 }, { $set: { payload: [] } });
    expect(await first()).toMatchObject({ seq: 300, kind: 'payload_missing' });
    await restore();
    await rows().updateOne({ seq: 301 }, { $set: { type: 'success' } });
    expect(await first()).toMatchObject({ seq: 301, kind: 'not_indexed_as_it_is' });
    await restore();
    expect(await first()).toBeNull();
  });

  it('is verified, proved and exported by the command line, with exit codes that say how it went', async () => {
    await audit.verify();
    const file = path.join(path.dirname(audit.config.AUDIT_CHECKPOINT_FILE), 'export.jsonl');
    const cli = (...args: string[]) => auditCommand(audit, args);
    expect(cli('verify')).toMatchObject({
      status: 0,
      text: expect.stringMatching(/566 entries[\s\S]*566 entries covered\nok/) as string,
    });
    expect(cli('fsck', '--json')).toMatchObject({ status: 0, text: expect.stringContaining('"ok":true') as string });
    expect(cli('prove', '300')).toMatchObject({
      status: 0,
      text: expect.stringContaining('ok: entry 300 is in it') as string,
    });
    expect(cli('checkpoint', '--from', '256')).toMatchObject({
      status: 0,
      text: expect.stringContaining('/audit\n566\n') as string,
    });
    expect(cli('export', '--out', file)).toMatchObject({
      status: 0,
      text: expect.stringContaining('566 entries') as string,
    });
    expect(cli('verify', '--export', file)).toMatchObject({ status: 0 });
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('"seq":77,', '"seq":78,'));
    expect(cli('verify', '--export', file)).toMatchObject({
      status: 1,
      text: expect.stringContaining('first bad entry 77') as string,
    });
    expect(cli('prove', 'x')).toMatchObject({ status: 2, text: expect.stringContaining('whole number') as string });
    expect(cli('nonsense').status).toBe(2);
    expect(cli('verify', '--export', '/nowhere').status).toBe(2);
    expect(cli('--help')).toMatchObject({ status: 0, text: expect.stringContaining('fsck') as string });
  }, 60_000);

  it('holds no address, device or similarity in clear, from the outbox on, and reads them back', async () => {
    const userId = await addUser(audit);
    const personal = { deviceModel: 'canary', ipAddress: '192.0.2.1', similarity: 0.125 };
    await audit.guard.appendEvent(userId, { eventId: randomUUID(), type: 'failed', ...personal });
    const dump = async () => JSON.stringify([await audit.guard.readOutbox(userId), await rows().find({}).toArray()]);
    expect(await dump()).not.toMatch(/canary|192\.0\.2|0\.125/);
    await audit.app.get(DrainService).drainUser(userId);
    expect(await dump()).not.toMatch(/canary|192\.0\.2|0\.125/);
    const ask = (withSimilarity: boolean) => audit.ask({ secret: audit.config.AUDIT_SHARED_SECRET, limit: 10, userId, withSimilarity }); // prettier-ignore
    const seen = { userId, ipAddress: '192.0.2.1', deviceModel: 'canary' };
    expect(await ask(true)).toMatchObject({ events: [{ ...seen, similarity: 0.125 }, { eventType: 'registered' }] });
    expect(JSON.stringify(await ask(false))).not.toContain('similarity');
  });
});

describe('T35: many producers, and a writer that is killed and replaced', () => {
  let audit: AuditUnderTest;
  let writer: ChildProcess | null = null;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_writer' });
  }, 60_000);
  afterAll(async () => {
    writer?.kill('SIGKILL');
    await audit.close();
  });

  /** The built process, with the keys of the one in this process. */
  function startWriter(): ChildProcess {
    // No proofs are asked of events here.
    const { MAIL_KEY, EVENT_KEK, CHECKPOINT_KEY, EVENT_MAC_KEY: _none, ...config } = audit.config;
    const text = Object.entries(config).filter(([, value]) => value !== undefined).map(([k, v]) => [k, String(v)]); // prettier-ignore
    const keys = { MAIL_KEY: newestOf(MAIL_KEY).bytes, EVENT_KEK: newestOf(EVENT_KEK).bytes, CHECKPOINT_KEY };
    return spawn(process.execPath, [path.join(repositoryRoot(), 'dist/apps/audit/src/main.js')], {
      env: {
        PATH: process.env.PATH,
        ...(Object.fromEntries(text) as Record<string, string>),
        ...Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, key.toString('base64url')])),
        AUDIT_PORT: String(30_000 + (randomBytes(2).readUInt16BE() % 20_000)),
        HEALTH_PORT: '0',
        LOG_LEVEL: 'error',
      },
      stdio: 'ignore',
    });
  }

  it(`${PRODUCERS} × ${EVENTS_EACH} events: no gap, no fork, none twice, none lost`, async () => {
    // Half of them through guards, half through outboxes of processes; the guard's own cap is not what is tested.
    const { guard } = audit;
    const outboxes = audit.collection<{ _id: string; entries: OutboxEvent[]; hasOutbox: boolean }>('system_outboxes');
    const sent: string[] = [];
    const users = await Promise.all(Array.from({ length: PRODUCERS / 2 }, () => addUser(audit)));
    const produce = async (push: (eventId: string) => Promise<unknown>): Promise<void> => {
      for (let i = 0; i < EVENTS_EACH; i++) {
        const eventId = randomUUID();
        await push(eventId);
        sent.push(eventId);
      }
    };
    let producing = true;
    const producers = Promise.all([
      ...users.map((userId) => produce((eventId) => guard.appendEvent(userId, { eventId, type: 'logout' }))),
      ...users.map((_, i) =>
        produce((eventId) =>
          outboxes.updateOne({ _id: `p${i}` }, { $push: { entries: event({ eventId }) }, $set: { hasOutbox: true } }, { upsert: true }),
        ),
      ),
    ]).finally(() => (producing = false)); // prettier-ignore
    let kills = 0;
    while (producing) {
      // Two at a time now and then: the old one is killed after the new one has begun.
      const before = writer;
      writer = startWriter();
      await Promise.race([producers, new Promise((resolve) => setTimeout(resolve, KILL_EVERY_MS))]);
      if (before?.kill('SIGKILL')) kills += 1;
    }
    await producers;
    writer?.kill('SIGKILL');
    writer = startWriter();
    const wanted = sent.length + users.length;
    await eventually(async () => expect(await rows().countDocuments()).toBe(wanted), 40_000);
    writer.kill('SIGTERM');

    const stored = await rows()
      .find({}, { projection: { seq: 1, eventId: 1, prevHash: 1 } })
      .toArray();
    expect(stored.map((row) => row.seq).sort((a, b) => a - b)).toEqual(Array.from({ length: wanted }, (_, i) => i));
    expect(new Set(stored.map((row) => row.prevHash)).size).toBe(wanted);
    const ids = new Set(stored.map((row) => row.eventId));
    expect(ids.size).toBe(wanted);
    expect(sent.filter((id) => !ids.has(id))).toEqual([]);
    await eventually(async () => expect(await audit.verify()).toMatchObject({ ok: true, entries: wanted }), 15_000);
    process.stderr.write(
      `T35: ${wanted} events of ${PRODUCERS} producers, ${kills} writers killed: none lost, none twice\n`,
    );
  }, 400_000);

  const rows = () => audit.collection<StoredEntry>('face_auth_events');
});
