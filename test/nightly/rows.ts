import { appendFileSync } from 'node:fs';

/** A line of the report of `npm run nightly`. */
export interface NightlyRow {
  id: string;
  what: string;
  n: number;
  found: string;
  bar: string;
}

/** Told before it is asserted: a row that fails is in the report, too. */
export function tellRow(row: NightlyRow): void {
  const file = process.env.NIGHTLY_ROWS;
  if (file) appendFileSync(file, `${JSON.stringify(row)}\n`);
}

/** Smaller for a look. */
export const sized = (n: number): number => Math.max(4, Math.round(n * Number(process.env.NIGHTLY_SHARE ?? '1')));

/** So many at a time; more would make the machine the measurement. */
export const LANES = 12;
