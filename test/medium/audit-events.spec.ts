import { randomUUID } from 'node:crypto';
import { createEventSealer, SearchTags } from '#audit-log';
import { type ListEventsAnswer, listEventsAnswerSchema, type WireEvent } from '#contracts';
import { JobQueue } from '#queue';
import { DrainService } from '../../apps/audit/src/events/drain.service.js';
import { LogWriter } from '../../apps/audit/src/log/log-writer.js';
import { SubjectsRepository } from '../../apps/audit/src/log/subjects.repository.js';
import { addUser, type AuditUnderTest, eventually, pushRaw, startAudit } from './audit-harness.js';

describe('audit events (real MongoDB, Redis and TCP)', () => {
  let audit: AuditUnderTest;
  let drains: DrainService;
  beforeAll(async () => {
    audit = await startAudit({ database: 'audit_events' });
    drains = audit.app.get(DrainService);
  }, 60_000);
  afterAll(() => audit.close());
  afterEach(() => jest.restoreAllMocks());

  const stored = (userId: string | null) => audit.entriesOf(userId);
  const idsOf = (events: { eventId: string }[]): string[] => events.map((e) => e.eventId).sort();
  const outboxIds = async (userId: string): Promise<string[]> =>
    (await audit.guard.readOutbox(userId)).map((e) => (e.kind === 'event' ? e.event.eventId : e.mailId)).sort();

  it('stores each event once when it crashes between storing and pulling', async () => {
    const userId = await addUser(audit, { events: 5 });
    const ids = await outboxIds(userId);
    expect(ids).toHaveLength(6);
    jest.spyOn(audit.guard, 'pull').mockRejectedValueOnce(new Error('killed'));
    await expect(drains.drainUser(userId)).rejects.toThrow('killed');
    expect(idsOf(await stored(userId))).toEqual(ids);
    expect(await outboxIds(userId)).toEqual(ids);
    expect(await audit.guard.findWaiting(100)).toContain(userId);

    await drains.sweep();
    expect(idsOf(await stored(userId))).toEqual(ids);
    expect(await outboxIds(userId)).toEqual([]);
    expect(await audit.guard.findWaiting(100)).not.toContain(userId);
  });

  it('pulls nothing that could not be stored, and the failure of one user does not hold up another', async () => {
    const [bad, good] = [await addUser(audit, { events: 1 }), await addUser(audit, { events: 1 })];
    const ids = await outboxIds(bad);
    const log = audit.app.get(LogWriter);
    const append = log.append.bind(log);
    jest.spyOn(log, 'append').mockImplementation(async (events) => {
      if (events.some((event) => event.userId === bad)) throw new Error('no primary');
      return append(events);
    });
    await drains.sweep();
    expect(await outboxIds(bad)).toEqual(ids);
    expect(await stored(good)).toHaveLength(2);
    jest.restoreAllMocks();
    await drains.sweep();
    expect(idsOf(await stored(bad))).toEqual(ids);
  });

  it('stores each event once under parallel drains, while more is written', async () => {
    const userId = await addUser(audit, { events: 20 });
    const late = Array.from({ length: 10 }, () => randomUUID());
    await Promise.all([
      ...Array.from({ length: 8 }, () => drains.drainUser(userId)),
      ...late.map((eventId) => audit.guard.appendEvent(userId, { eventId, type: 'logout' })),
    ]);
    await drains.sweep();
    const ids = idsOf(await stored(userId));
    expect(ids).toHaveLength(31);
    expect(new Set(ids).size).toBe(31);
    expect(ids).toEqual(expect.arrayContaining(late));
    expect(await outboxIds(userId)).toEqual([]);
  });

  it('drains on a nudge', async () => {
    const userId = await addUser(audit, { events: 1 });
    await audit.app.get(JobQueue).enqueue('audit.drain', { userId }, randomUUID());
    await eventually(async () => expect(await stored(userId)).toHaveLength(2));
  });

  it('stores a poison entry as malformed and pulls it, with or without an id, so that it bars nobody', async () => {
    const userId = await addUser(audit);
    const eventId = randomUUID();
    const after = { eventId: randomUUID(), userId, type: 'logout', timestamp: new Date() };
    await pushRaw(
      audit,
      userId,
      { kind: 'event', event: { eventId, userId, type: 'nonsense', timestamp: 'yesterday', password: 'canary' } },
      { kind: 'event', event: { note: 'no id' } },
      { kind: 'mail', mailId: 'poison-mail', template: 'nonsense', params: {}, at: new Date() },
      null,
      { kind: 'event', event: after },
    );
    await drains.drainUser(userId);
    const events = await stored(userId);
    expect(events.map((e) => e.type).sort()).toEqual(
      [...Array<string>(4).fill('malformed'), 'registered', 'logout'].sort(),
    );
    expect(events.find((e) => e.eventId === eventId)).toMatchObject({ type: 'malformed' });
    expect(JSON.stringify(events)).not.toContain('canary');
    expect(await audit.guard.readOutbox(userId)).toEqual([]);
    expect(await audit.guard.findWaiting(100)).not.toContain(userId);
  });

  it('drains the outboxes of processes; the flag falls only when nothing is left', async () => {
    const outboxes = audit.collection<{ _id: string; entries: unknown[]; hasOutbox: boolean }>('system_outboxes');
    const entry = (): object => ({
      eventId: randomUUID(),
      userId: null,
      type: 'login_failed',
      timestamp: new Date(),
      count: 3,
    });
    await outboxes.insertOne({ _id: 'gateway-1', entries: [entry(), { odd: true }, entry()], hasOutbox: true });
    const append = jest.spyOn(audit.app.get(LogWriter), 'append');
    append.mockImplementationOnce(async (events) => {
      // A gateway writes between our reading and our pulling.
      await outboxes.updateOne({ _id: 'gateway-1' }, { $push: { entries: entry() }, $set: { hasOutbox: true } });
      append.mockRestore();
      await audit.app.get(LogWriter).append(events);
    });
    await drains.drainSystem();
    expect(await outboxes.findOne({ _id: 'gateway-1' })).toMatchObject({ entries: [{ count: 3 }], hasOutbox: true });
    await Promise.all([drains.drainSystem(), drains.drainSystem()]);
    expect(await outboxes.findOne({ _id: 'gateway-1' })).toEqual({ _id: 'gateway-1', entries: [], hasOutbox: false });
    const events = await stored(null);
    expect(events.map((e) => e.type).sort()).toEqual(['login_failed', 'login_failed', 'login_failed', 'malformed']);
  });

  it('is alive and ready, and says so over HTTP on the loopback interface', async () => {
    for (const path of ['live', 'ready']) {
      const answer = await fetch(`${await audit.app.getUrl()}/health/${path}`);
      expect([answer.status, await answer.json()]).toEqual([200, expect.objectContaining({ status: 'ok' })]);
      expect((await fetch(`${await audit.app.getUrl()}/health/${path}`, { method: 'HEAD' })).status).toBe(200);
    }
    jest.spyOn(audit.app.get(JobQueue), 'tryWrite').mockRejectedValue(new Error('down'));
    expect((await fetch(`${await audit.app.getUrl()}/health/ready`)).status).toBe(503);
  });

  describe('queries', () => {
    const owner = randomUUID();
    const start = Date.UTC(2026, 2, 1);
    /** 260 events on 40 days, several to the same millisecond, a day without any in between. */
    const events = Array.from({ length: 260 }, (_, i) => ({
      eventId: randomUUID(),
      userId: i % 3 === 0 ? owner : randomUUID(),
      type: i % 5 === 0 ? ('locked' as const) : ('failed' as const),
      timestamp: new Date(start + Math.floor(i / 4) * 15 * 3_600_000 + (i > 130 ? 3 * 86_400_000 : 0)),
    }));
    beforeAll(async () => {
      const sealer = createEventSealer(audit.app.get(SubjectsRepository).keys, new SearchTags(audit.config.EVENT_KEK));
      const sealed = events.map(async (e, i) => {
        const seal = await sealer.of(e.userId);
        const personal = { similarity: 0.5, deviceModel: `Pixel ${i % 3}`, ipAddress: `192.0.2.${i % 7}` };
        return { ...e, sealed: seal.event(e.eventId, personal, { types: [e.type] }) };
      });
      await audit.app.get(LogWriter).append(await Promise.all(sealed));
    });

    const ask = async (query: object): Promise<ListEventsAnswer> =>
      listEventsAnswerSchema.parse(
        await audit.ask({ secret: audit.config.AUDIT_SHARED_SECRET, limit: 50, withSimilarity: false, ...query }),
      );
    async function all(query: object): Promise<WireEvent[]> {
      const got: WireEvent[] = [];
      for (let cursor: string | undefined; ;) {
        const answer = await ask({ ...query, ...(cursor ? { cursor } : {}) });
        if (answer.status !== 'ok') throw new Error(answer.code);
        got.push(...answer.events);
        if (answer.nextCursor === null) return got;
        cursor = answer.nextCursor;
      }
    }
    const iso = (ms: number): string => new Date(ms).toISOString();
    const wide = { from: iso(start), to: iso(start + 90 * 86_400_000) };
    const inOrder = (list: WireEvent[]): string[] => list.map((e) => `${e.timestamp} ${e.eventId}`);

    it.each([7, 50, 200])('pages of %d return every event exactly once, newest first', async (limit) => {
      const got = await all({ ...wide, limit });
      expect(idsOf(got)).toEqual(idsOf(events));
      expect(inOrder(got)).toEqual(inOrder(got).sort().reverse());
    });

    it('filters by user, type and time, both ends included', async () => {
      const from = events[40]?.timestamp.getTime() ?? 0;
      const to = events[200]?.timestamp.getTime() ?? 0;
      const within = events.filter((e) => e.timestamp.getTime() >= from && e.timestamp.getTime() <= to);
      const range = { from: iso(from), to: iso(to), limit: 9 };
      expect(idsOf(await all(range))).toEqual(idsOf(within));
      expect(idsOf(await all({ ...range, type: 'locked' }))).toEqual(idsOf(within.filter((e) => e.type === 'locked')));
      const mine = await all({ ...range, userId: owner });
      expect(idsOf(mine)).toEqual(idsOf(within.filter((e) => e.userId === owner)));
      expect(inOrder(mine)).toEqual(inOrder(mine).sort().reverse());
      expect(idsOf(await all({ ...range, userId: owner, type: 'locked' }))).toEqual(
        idsOf(within.filter((e) => e.userId === owner && e.type === 'locked')),
      );
      expect(await all({ from: iso(to + 1), to: iso(from - 1) })).toEqual([]);
    });

    it('shows the last 31 days when no beginning is given', async () => {
      const recent = await all({});
      expect(recent.length).toBeGreaterThan(0);
      expect(idsOf(recent).some((id) => events.some((e) => e.eventId === id))).toBe(false);
      const to = iso(start + 20 * 86_400_000);
      expect(idsOf(await all({ to }))).toEqual(idsOf(events.filter((e) => e.timestamp.toISOString() <= to)));
    });

    it('finds events by device, address and network, of everybody or of one', async () => {
      const found = async (query: object): Promise<string[]> => idsOf(await all({ ...wide, ...query }));
      const where = (test: (i: number) => boolean): string[] => idsOf(events.filter((_, i) => test(i)));
      expect(await found({ device: 'pixel 1' })).toEqual(where((i) => i % 3 === 1));
      expect(await found({ address: '192.0.2.5' })).toEqual(where((i) => i % 7 === 5));
      expect(await found({ address: '192.0.2.0/24' })).toEqual(where(() => true));
      expect(await found({ address: '192.0.2.5', device: 'Pixel 0', userId: owner, type: 'locked' })).toEqual(
        where((i) => i % 7 === 5 && i % 3 === 0 && i % 5 === 0),
      );
      expect(await found({ device: '$$ROOT' })).toEqual([]);
    });

    it('shows the similarity only when asked for it', async () => {
      expect((await all(wide)).every((e) => !('similarity' in e))).toBe(true);
      expect((await all({ ...wide, withSimilarity: true })).every((e) => e.similarity === 0.5)).toBe(true);
      expect((await all({ ...wide, userId: owner })).every((e) => !('similarity' in e))).toBe(true);
    });

    it('refuses a wrong or missing secret before anything else, and a query that is none', async () => {
      const refused = { status: 'refused', code: 'unauthorised' };
      const good = { limit: 10, withSimilarity: false };
      for (const secret of ['', 'x', `${audit.config.AUDIT_SHARED_SECRET}x`, undefined, null, 7, { $ne: '' }, ['a']]) {
        expect(await audit.ask({ ...good, secret })).toEqual(refused);
        expect(await audit.ask({ bad: true, secret })).toEqual(refused);
      }
      for (const bad of [
        { limit: 0 }, { limit: 201 }, { limit: '5' }, { type: 'x' }, { type: { $ne: 'x' } }, { userId: { $gt: '' } },
        { from: 'yesterday' }, { unknown: 1 }, { cursor: 'e30' }, { withSimilarity: 'yes' },
      ]) {
        expect(await ask({ ...good, ...bad })).toEqual({ status: 'refused', code: 'invalid_query' });
      } // prettier-ignore
    });

    it('shows a row that has been tampered with as malformed instead of failing its page', async () => {
      const eventId = randomUUID();
      const timestamp = new Date(start - 5 * 86_400_000);
      await audit.app.get(LogWriter).append([{ eventId, userId: null, type: 'failed', timestamp }]);
      await audit
        .collection<Record<string, unknown>>('face_auth_events')
        .updateOne({ eventId }, [{ $set: { entry: { $concat: ['$entry', ' '] } } }]);
      const got = await all({ from: iso(start - 6 * 86_400_000), to: iso(start - 4 * 86_400_000) });
      expect(got).toEqual([{ eventId, userId: null, eventType: 'malformed', timestamp: timestamp.toISOString() }]);
    });
  });
});
