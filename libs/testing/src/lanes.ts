/** Results in order; `lanes` at a time. */
export async function inLanes<T>(lanes: number, n: number, one: (i: number) => Promise<T>): Promise<T[]> {
  const out: T[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < n) {
      const i = next++;
      out[i] = await one(i);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return out;
}
