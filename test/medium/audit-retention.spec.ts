import { randomBytes, randomUUID } from 'node:crypto';
import type { LogEntry, StoredEntry } from '#audit-log';
import type { OutboxEvent, PayloadPart } from '#contracts';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { Checkpointer } from '../../apps/audit/src/log/checkpointer.js';
import { EntriesRepository } from '../../apps/audit/src/log/entries.repository.js';
import { LogWriter } from '../../apps/audit/src/log/log-writer.js';
import { RetentionService } from '../../apps/audit/src/retention/retention.service.js';
import { TurnsRepository } from '../../apps/audit/src/turns.repository.js';
import { addUser, type AuditUnderTest, startAudit } from './audit-harness.js';

const DAY = 24 * 3_600_000;
const inDays = (days: number): Date => new Date(Date.now() + days * DAY);

describe('details of events past their time (real MongoDB)', () => {
  let audit: AuditUnderTest;
  let retention: RetentionService;
  let userId: string;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_retention' });
    retention = audit.app.get(RetentionService);
    userId = await addUser(audit, { events: 3 });
    await audit.app.get(DrainService).drainUser(userId);
    await audit.app.get(LogWriter).append([later(20), later(20), { ...later(300), type: 'malformed' }, later(20)]);
  }, 60_000);
  afterAll(() => audit.close());
  afterEach(() => jest.restoreAllMocks());

  const later = (days: number): OutboxEvent => ({
    eventId: randomUUID(),
    userId: null,
    type: 'login_failed',
    timestamp: inDays(days),
    sealed: {
      parts: (['address', 'origin'] as const).map((part) => ({ part, data: randomBytes(40).toString('base64url') })),
      tags: [`a${'x'.repeat(22)}`, `n${'x'.repeat(22)}`],
    },
  });
  const rows = () => audit.collection<StoredEntry>('face_auth_events');
  const withPart = (part: PayloadPart): Promise<number[]> => rows().distinct('seq', { 'payload.part': part });
  const prunes = async (): Promise<LogEntry[]> => {
    const found = await rows().find({ type: 'pruned' }).toArray();
    return found.map((row) => JSON.parse(row.entry) as LogEntry).sort((a, b) => a.seq - b.seq);
  };
  const ask = (filter: object): Promise<unknown> =>
    audit.ask({ secret: audit.config.AUDIT_SHARED_SECRET, limit: 20, withSimilarity: false, ...filter });
  const sorted = (numbers: number[]): number[] => [...numbers].sort((a, b) => a - b);

  it('drops the address after 30 days, in an entry that names what went, and nothing younger', async () => {
    await retention.prune(inDays(29));
    expect(await prunes()).toEqual([]);
    await retention.prune(inDays(31));
    expect(await prunes()).toMatchObject([
      { reason: 'retention', subjectPseudonym: null, range: { from: 0, to: 3, parts: ['address'] } },
    ]);
    expect(sorted(await withPart('address'))).toEqual([4, 5, 6, 7]);
    expect(sorted(await withPart('origin'))).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(await audit.verify()).toMatchObject({ ok: true, erasedParts: 3 });
    // What is left says which network it was; the address itself is not found any more.
    expect(await ask({ userId, type: 'login_ok' })).toMatchObject({ events: Array.from({ length: 3 }, () => ({ ipAddress: '192.0.2.0/24', deviceModel: 'Pixel 9 canary' })) }); // prettier-ignore
    expect(await ask({ address: '192.0.2.77' })).toMatchObject({ events: [] });
    const byNetwork = (await ask({ address: '192.0.2.0/24' })) as { events: unknown[] };
    expect(byNetwork.events).toHaveLength(3);
  });

  it('does it once, however often and however many try', async () => {
    await Promise.all([retention.prune(inDays(31)), retention.prune(inDays(31))]);
    expect(await prunes()).toHaveLength(1);
  });

  it('is held up by no event whose time nobody vouches for', async () => {
    await retention.prune(inDays(52));
    expect((await prunes()).at(-1)).toMatchObject({ range: { from: 4, to: 7, parts: ['address'] } });
    expect(await withPart('address')).toEqual([]);
  });

  it('killed between the entry and the removal: the log verifies, and the next sweep goes on', async () => {
    jest.spyOn(audit.app.get(EntriesRepository), 'removeParts').mockRejectedValueOnce(new Error('killed'));
    await expect(retention.prune(inDays(366))).rejects.toThrow('killed');
    const entries = (await prunes()).length;
    expect(await withPart('origin')).toHaveLength(7);
    expect(await audit.verify()).toMatchObject({ ok: true });
    await retention.prune(inDays(366));
    // Those of the future that were the youngest are kept.
    expect(sorted(await withPart('origin'))).toEqual([4, 5, 6, 7]);
    expect(await prunes()).toHaveLength(entries);
    expect(await audit.verify()).toMatchObject({ ok: true, erasedParts: 10 });
    expect(await ask({ userId, type: 'login_ok' })).not.toMatchObject({ events: [{ ipAddress: expect.anything() as unknown }] }); // prettier-ignore
  });

  it('a part that is missing without such an entry is tampering', async () => {
    await rows().updateOne({ seq: 5 }, { $set: { payload: [] } });
    expect(await audit.verify()).toMatchObject({ ok: false, first: { seq: 5, kind: 'payload_missing' } });
  });

  it('core 5: judges by the clock of the database, refuses jumps of its own, and removes nothing that it cannot sign', async () => {
    const turns = jest.spyOn(audit.app.get(TurnsRepository), 'take').mockResolvedValue(true);
    const prune = jest.spyOn(retention, 'prune').mockResolvedValue();
    await retention.sweep();
    expect(Math.abs(prune.mock.calls[0]![0].getTime() - Date.now())).toBeLessThan(60_000);
    const real = Date.now();
    for (const off of [181 * DAY, -181 * DAY]) {
      const wall = jest.spyOn(Date, 'now').mockImplementation(() => real + off);
      await retention.sweep();
      wall.mockRestore();
    }
    expect(prune).toHaveBeenCalledTimes(1);
    expect(audit.logs.join('')).toContain('clocks_differ');
    // What the database said to another process before.
    const clock = audit.collection<{ _id: string; latest: Date }>('audit_retention');
    const before = await clock.findOne({ _id: 'clock' });
    await clock.updateOne({ _id: 'clock' }, { $set: { latest: inDays(2) } });
    await retention.sweep();
    expect(audit.logs.join('')).toContain('clock_set_back');
    await clock.updateOne({ _id: 'clock' }, { $set: { latest: before!.latest } });
    await retention.sweep();
    expect(prune).toHaveBeenCalledTimes(2);
    turns.mockRestore();
    prune.mockRestore();

    await audit.app.get(LogWriter).append([later(400)]);
    const had = await withPart('address');
    jest.spyOn(audit.app.get(Checkpointer), 'advance').mockResolvedValue(0);
    await expect(retention.prune(inDays(450))).rejects.toThrow('signed');
    expect(await withPart('address')).toEqual(had);
  });
});
