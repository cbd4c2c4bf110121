import { z } from 'zod';

/** A frame's time by its client's clock, milliseconds since whatever that clock counts from. */
export const frameTimeSchema = z.number().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER);

/**
 * The times of a step's frames, milliseconds since the first, from what the client's clock said: it may count from
 * anywhere, and be rounded so that frames in a row have one time (browsers round to as much as 100 ms). Such frames are
 * spread evenly up to the next time, the last of them at the mean distance. Rises strictly.
 *
 * Null where nothing can be made of the times: they fall, or there are several frames and one time.
 */
export function frameTimes(given: readonly number[]): number[] | null {
  const times = given.map((time) => time - (given[0] ?? 0));
  for (let first = 0; first < times.length;) {
    const time = times[first] ?? 0;
    let next = first + 1;
    while (next < times.length && times[next] === time) next++;
    const until = times[next];
    if (until !== undefined && until < time) return null;
    const stepMs = until === undefined ? time / Math.max(1, first) : (until - time) / (next - first);
    if (next - first > 1 && stepMs === 0) return null;
    for (let i = first + 1; i < next; i++) times[i] = time + (i - first) * stepMs;
    first = next;
  }
  return times;
}
