import type { Io } from './command.js';

/** Rows in columns as wide as their widest cell; the last column is as it is. */
export function table(rows: readonly (readonly string[])[], io: Io): void {
  // Not spread over the arguments of Math.max: a list may be longer than a call may have arguments.
  const widest = (of: (row: readonly string[]) => number): number =>
    rows.reduce((most, row) => Math.max(most, of(row)), 0);
  const last = Math.max(0, widest((row) => row.length) - 1);
  const widths = Array.from({ length: last }, (_, i) => widest((row) => row[i]?.length ?? 0));
  for (const row of rows) io.out(row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  '));
}
