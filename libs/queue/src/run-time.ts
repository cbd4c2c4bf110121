const SLICE_MS = 50;

/**
 * Waits for `work`, but no longer than `ms` milliseconds of time in which this process ran. A time limit that only looks
 * at the clock fires first when the process was held up (another had the processor, a container had used up its share,
 * garbage was collected), although the answer has long lain in the socket. Here a pause of any length counts as one slice
 * of 50 ms, and sockets are read between two slices.
 *
 * @throws what `late` makes when the time is over. `work` goes on; its outcome is then ignored.
 */
export async function withinRunTime<T>(work: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    const wait = (leftMs: number): void => {
      const sliceMs = Math.min(leftMs, SLICE_MS);
      timer = setTimeout(() => (leftMs > sliceMs ? wait(leftMs - sliceMs) : reject(late())), sliceMs);
    };
    wait(ms);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}
