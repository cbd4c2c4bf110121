const CELLS = 30;

/** One line: a bar, how many of how many. */
export function bar(done: number, total: number, unit: string): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.round(share * CELLS);
  return `[${'#'.repeat(full)}${'.'.repeat(CELLS - full)}] ${done} of ${total} ${unit}, ${Math.floor(share * 100)} %`;
}
