import type { Io } from './command.js';

/** Rows in columns as wide as their widest cell; the last column is as it is. */
export function table(rows: readonly (readonly string[])[], io: Io): void {
  const last = Math.max(0, ...rows.map((row) => row.length)) - 1;
  const widths = Array.from({ length: last }, (_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  for (const row of rows) io.out(row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  '));
}
