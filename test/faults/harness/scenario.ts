import type { Services } from '#stack';

/** What one scenario found: a row of docs/reliability.md. */
export interface Finding {
  /** `T21`, or `T21 twice` where a test has several rows. */
  id: string;
  scenario: string;
  /** How often what was done, in words and numbers. */
  injected: string;
  found: string;
  ok: boolean;
  /** Trials in which a failure would have shown, where none may be: zero of n says at most 3/n at 95 %. */
  trials?: number;
}

/** A row that could not be made here, and why. */
export interface Skipped {
  id: string;
  scenario: string;
  why: string;
}

export type Row = Finding | Skipped;

export interface Context {
  /** Servers that all scenarios share. Whoever breaks one starts his own. */
  services: Services;
  /** A folder of this scenario's own. */
  dir: string;
  /** Fewer rounds, for a look: such a run writes no row. */
  quick: boolean;
  /** A line of progress. */
  say: (line: string) => void;
  /** Makes a row (or several), written at once. If that breaks off, it is a row that failed; the next is still made. */
  row: (id: string, make: () => Promise<Row | Row[]>) => Promise<void>;
  /** Done at the end of the scenario, however it ends (Ctrl-C, too), the last one first. May be done twice. */
  atEnd: (undo: () => unknown) => void;
}

export interface Scenario {
  id: string;
  title: string;
  /** About how long on two quiet cores, full and quick. */
  seconds: readonly [full: number, quick: number];
  run(context: Context): Promise<void>;
}

export const isSkipped = (row: Row): row is Skipped => 'why' in row;
