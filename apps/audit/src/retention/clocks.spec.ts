import { Clocks } from './clocks.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe('the clocks by which details of events are removed (core 5)', () => {
  let at: { database: number; wall: number; monotonic: number; latest: number | null };
  let clocks: Clocks;
  const passes = (ms: number): void => {
    at = { database: at.database + ms, wall: at.wall + ms, monotonic: at.monotonic + ms, latest: at.database };
  };
  const judge = (change: Partial<typeof at> = {}) => clocks.doubt((at = { ...at, ...change }));
  beforeEach(() => {
    at = { database: 400 * DAY, wall: 400 * DAY, monotonic: 0, latest: null };
    clocks = new Clocks();
  });

  it('are believed while they agree and run on, also after days away', () => {
    expect(judge()).toBeNull();
    passes(HOUR);
    expect(judge()).toBeNull();
    passes(9 * DAY);
    expect(judge({ database: at.database + 1_000 })).toBeNull();
    clocks = new Clocks();
    passes(90 * DAY);
    expect(judge()).toBeNull();
  });

  it.each([
    ['the database', 'database'],
    ['this machine', 'wall'],
  ] as const)(
    'that of %s set ahead or back by two hours or 181 days is not believed, until it is set right',
    (_, name) => {
      for (const off of [-181 * DAY, -2 * HOUR, 2 * HOUR, 181 * DAY]) {
        clocks = new Clocks();
        expect(judge()).toBeNull();
        passes(HOUR);
        const right = at;
        expect(judge({ [name]: at[name] + off })).toBe('clocks_differ');
        at = right;
        passes(2 * DAY);
        judge();
        passes(2 * DAY);
        expect(judge()).toBeNull();
      }
    },
  );

  it('both set ahead at once: a jump holds up removal for a day', () => {
    expect(judge()).toBeNull();
    passes(HOUR);
    expect(judge({ database: at.database + 181 * DAY, wall: at.wall + 181 * DAY })).toBe('clock_jumped');
    passes(23 * HOUR);
    expect(judge()).toBe('clock_jumped');
    passes(2 * HOUR);
    expect(judge()).toBeNull();
  });

  it('both set back before what another process has seen are not believed by one that has just begun', () => {
    expect(judge({ latest: at.database + 30 * DAY })).toBe('clock_set_back');
  });
});
