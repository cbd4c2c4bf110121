import type { WireEvent } from '#contracts';
import { csvOf } from './csv.js';

const event = (o: Partial<WireEvent>): WireEvent => ({
  eventId: 'e',
  userId: null,
  eventType: 'failed',
  timestamp: '2026-11-23T12:00:00.000Z',
  ...o,
});

async function text(pages: WireEvent[][], withSimilarity = false): Promise<string> {
  const page = (i: number) => ({
    status: 'ok' as const,
    events: pages[i] ?? [],
    nextCursor: i + 1 < pages.length ? String(i + 1) : null,
  });
  let all = '';
  for await (const chunk of csvOf(page(0), (cursor) => Promise.resolve(page(Number(cursor))), withSimilarity))
    all += chunk;
  return all;
}

describe('events as CSV', () => {
  it('is a header and a line an event, of all pages', async () => {
    const lines = (await text([[event({ userId: 'a' }), event({ userId: 'b' })], [], [event({ userId: 'c' })]])).split(
      '\r\n',
    );
    expect(lines[0]).toMatch(/^timestamp,eventType,userId,/);
    expect(lines.slice(1).map((one) => one.split(',')[2])).toEqual(['a', 'b', 'c', undefined]);
    expect(await text([[]])).toBe(`${lines[0]}\r\n`);
  });

  it('quotes what would break a line, and makes no formula of a name that a client sent', async () => {
    for (const [deviceModel, cell] of [
      ['a "b", c', '"a ""b"", c"'],
      ['two\nlines', '"two\nlines"'],
      ['=HYPERLINK("x")', '"\'=HYPERLINK(""x"")"'],
      ['@SUM', "'@SUM"],
      ['+1', "'+1"],
      ['-1', "'-1"],
    ] as const) {
      expect(await text([[event({ deviceModel })]])).toContain(`,${cell},`);
    }
  });

  it('has a column for the similarity only for who may read it, and leaves a negative one a number', async () => {
    const pages = [[event({ similarity: -0.25 })]];
    expect(await text(pages)).not.toMatch(/similarity|0\.25/);
    expect(await text(pages, true)).toMatch(/,similarity\r\n.*,-0\.25\r\n$/);
  });
});
