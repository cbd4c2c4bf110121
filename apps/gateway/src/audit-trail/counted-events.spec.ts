import { type Counted, CountedEvents } from './counted-events.js';

describe('counted events', () => {
  let now: number;
  let out: Counted<string>[];
  let counted: CountedEvents<string>;
  beforeEach(() => {
    now = 0;
    out = [];
    counted = new CountedEvents((event) => out.push(event), () => now); // prettier-ignore
  });

  it('lets the first through at once and the rest of its minute as one', () => {
    for (let i = 0; i < 100; i++) counted.add('a', `${i}`);
    expect(out).toEqual([{ key: 'a', first: '0', count: 1 }]);
    now = 60_000;
    counted.sweep();
    expect(out.slice(1)).toEqual([{ key: 'a', first: '1', count: 99 }]);
  });

  it('never lets two of a key through in a minute, and loses none', () => {
    for (now = 0; now < 600_000; now += 700) {
      counted.add('a', 'x');
      counted.sweep();
    }
    counted.flush();
    const total = out.reduce((sum, { count }) => sum + count, 0);
    expect(total).toBe(Math.ceil(600_000 / 700));
    expect(out.length).toBeLessThanOrEqual(11);
  });

  it('counts keys apart', () => {
    counted.add('a', 'x');
    counted.add('b', 'y');
    expect(out).toHaveLength(2);
  });

  it('gives everything out before the process ends', () => {
    counted.add('a', 'x');
    counted.add('a', 'y');
    counted.flush();
    expect(out.map(({ count }) => count)).toEqual([1, 1]);
  });
});
