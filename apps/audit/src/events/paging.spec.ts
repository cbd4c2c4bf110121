import fc from 'fast-check';
import {
  dayOf,
  decodeCursor,
  encodeCursor,
  type PageRow,
  type Position,
  readPage,
  type Window,
  windowOf,
} from './paging.js';

const newestFirst = (a: PageRow, b: PageRow): number =>
  b.timestamp.getTime() - a.timestamp.getTime() || Number(a.eventId < b.eventId) - Number(a.eventId > b.eventId);

/** The rules of a bucket, over an array. */
function sourceOf(rows: PageRow[]) {
  return {
    reads: 0,
    days: async (first: string, last: string | null) =>
      [...new Set(rows.map((row) => dayOf(row.timestamp)))]
        .filter((day) => day >= first && (last === null || day <= last))
        .sort()
        .reverse(),
    async read(day: string, o: { window: Window; after: Position | null; limit: number }) {
      this.reads += 1;
      return rows
        .filter((row) => dayOf(row.timestamp) === day)
        .filter((row) => row.timestamp >= o.window.from && (!o.window.to || row.timestamp <= o.window.to))
        .filter((row) => !o.after || newestFirst(o.after, row) < 0)
        .sort(newestFirst)
        .slice(0, o.limit);
    },
  };
}

async function readAll(rows: PageRow[], window: Window, limit: number): Promise<PageRow[]> {
  const got: PageRow[] = [];
  let after: Position | null = null;
  do {
    const page: { rows: PageRow[]; next: Position | null } = await readPage(sourceOf(rows), window, after, limit);
    expect(page.rows.length).toBeLessThanOrEqual(limit);
    got.push(...page.rows);
    // As the client does it: the place travels as text.
    after = page.next && (decodeCursor(encodeCursor(page.next, window))?.position ?? null);
  } while (after);
  return got;
}

describe('paging', () => {
  it('returns every event of the window exactly once, newest first, whatever the page size', async () => {
    const base = Date.UTC(2026, 0, 1);
    // Few distinct times, days apart and equal to the millisecond: where pages are lost if they are.
    const time = fc.oneof(
      fc.constantFrom(0, 1, 86_399_999, 86_400_000, 172_800_000),
      fc.integer({ min: 0, max: 40 * 86_400_000 }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(time, { maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        time,
        fc.option(time),
        async (times, limit, from, to) => {
          const rows = times.map((ms, i) => ({
            timestamp: new Date(base + ms),
            eventId: `e${String(i).padStart(3, '0')}`,
          }));
          const window = { from: new Date(base + from), to: to === null ? null : new Date(base + to) };
          const expected = rows.filter((r) => r.timestamp >= window.from && (!window.to || r.timestamp <= window.to));
          expect(await readAll(rows, window, limit)).toEqual(expected.sort(newestFirst));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('looks at no more days than a request may, and goes on from there', async () => {
    const rows = Array.from({ length: 900 }, (_, i) => ({
      timestamp: new Date(Date.UTC(2020, 0, 1 + i)),
      eventId: `e${i}`,
    }));
    const all = sourceOf(rows);
    // As with a filter that hardly anything passes: the days are there, their rows are not.
    const source = {
      ...all,
      read: async (...args: Parameters<typeof all.read>) =>
        (await all.read(...args)).filter((row) => row.eventId === 'e0'),
    };
    const window = { from: new Date(0), to: null };
    const first = await readPage(source, window, null, 10);
    expect(first.rows).toEqual([]);
    const second = await readPage(source, window, first.next, 10);
    const third = await readPage(source, window, second.next, 10);
    expect(all.reads).toBeLessThanOrEqual(910);
    expect(third).toEqual({ rows: [rows[0]], next: null });
  });

  it('takes 31 days when no beginning is given', () => {
    const now = new Date('2026-11-23T12:00:00Z');
    expect(windowOf({}, now)).toEqual({ from: new Date('2026-10-23T12:00:00Z'), to: null });
    expect(windowOf({ to: '2026-02-01T00:00:00Z' }, now).from).toEqual(new Date('2026-01-01T00:00:00Z'));
  });

  it('refuses every cursor it has not made', () => {
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const bad of [
      '', '%', 'e30', encode([1, 'a']), encode(['1', 'a', 1]), encode([1, { $gt: '' }, 1]),
      encode([9e15, 'a', 1]), encode([1, 'a', -9e15]), encode([1, 'x'.repeat(65), 1]), encode([1.5, 'a', 0]), encode(null),
    ]) {
      expect(decodeCursor(bad)).toBeNull();
    } // prettier-ignore
  });
});
