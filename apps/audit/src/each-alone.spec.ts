import { eachAlone } from './each-alone.js';

/** Waits in the order of a database that always gives the same ones first. */
class Waiting {
  readonly done: string[] = [];
  readonly failed: string[] = [];
  private readonly left: Set<string>;

  constructor(
    ids: readonly string[],
    private readonly isBad: (id: string) => boolean,
  ) {
    this.left = new Set(ids);
  }

  round(parallel = 4): Promise<void> {
    return eachAlone({
      find: (limit, except) => Promise.resolve([...this.left].filter((id) => !except.includes(id)).slice(0, limit)),
      work: (id) => {
        if (this.isBad(id)) return Promise.reject(new Error('does not open'));
        this.done.push(id);
        this.left.delete(id);
        return Promise.resolve();
      },
      failed: (id) => void this.failed.push(id),
      parallel,
    });
  }
}
const ids = (name: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${name}${i}`);

describe('what waits, each alone (core 7)', () => {
  it.each([1, 100, 350])('%p that fail and stand first hold up nobody behind them', async (count) => {
    const [bad, good] = [ids('bad', count), ids('good', 200)];
    const waiting = new Waiting([...bad, ...good], (id) => id.startsWith('bad'));
    await waiting.round();
    expect(waiting.done.sort()).toEqual([...good].sort());
    expect(waiting.failed.sort()).toEqual([...bad].sort());
  });

  it('ends though what was done waits again at once, and does it once a round', async () => {
    const worked: string[] = [];
    const [first, ...others] = ids('u', 150);
    const left = new Set([first!, ...others]);
    await eachAlone({
      find: (limit, except) => Promise.resolve([...left].filter((id) => !except.includes(id)).slice(0, limit)),
      work: (id) => {
        worked.push(id);
        if (id !== first) left.delete(id);
        return Promise.resolve();
      },
      failed: () => undefined,
    });
    expect(worked.sort()).toEqual([first, ...others].sort());
  });
});
