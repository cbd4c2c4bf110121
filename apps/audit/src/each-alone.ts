const PAGE = 100;
/** So many that fail in one round are asked to be left out; with more the next round begins anew. */
const EXCEPT_MAX = 10_000;

/**
 * Does each of what waits once, whatever becomes of the others: one that fails is told of and left out for the rest of
 * the round, so that however many stand first in the database's order hold up nobody behind them.
 */
export async function eachAlone(o: {
  /** At most `limit` ids that wait, none of those given. */
  find: (limit: number, except: readonly string[]) => Promise<string[]>;
  work: (id: string) => Promise<void>;
  failed: (id: string, err: unknown) => void;
  parallel?: number;
}): Promise<void> {
  const { find, work, failed, parallel = 1 } = o;
  const done = new Set<string>();
  const except: string[] = [];
  for (;;) {
    const page = await find(PAGE, except);
    // What waits again after it was done has its turn in the next round.
    for (const id of page) if (done.has(id)) except.push(id);
    const left = page.filter((id) => !done.has(id));
    const lane = async (): Promise<void> => {
      for (let id = left.shift(); id !== undefined; id = left.shift()) {
        const one = id;
        done.add(one);
        await work(one).catch((err: unknown) => {
          except.push(one);
          failed(one, err);
        });
      }
    };
    await Promise.all(Array.from({ length: parallel }, lane));
    if (page.length < PAGE || except.length > EXCEPT_MAX) return;
  }
}
