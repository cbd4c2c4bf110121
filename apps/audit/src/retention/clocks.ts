/** Clocks that differ by more are not both right. */
const OFF_MAX_MS = 3_600_000;
/** After a jump nothing is removed for so long: time for whoever reads alerts to set the clock right. */
const HOLD_MS = 24 * 3_600_000;

/** What the three clocks say at one time, in ms. */
export interface Reading {
  /** The database's, by which ages are judged. */
  database: number;
  /** This machine's. */
  wall: number;
  /** One that only runs on. */
  monotonic: number;
  /** The latest that the database has said to any audit process; null before the first. */
  latest: number | null;
}
export type ClockDoubt = 'clocks_differ' | 'clock_jumped' | 'clock_set_back';

/**
 * Whether the database's clock may judge what is old: a wrong one would take away for ever what is not. One that differs
 * from this machine's, stands before what it has said, or has run on faster than time passes is not believed.
 */
export class Clocks {
  private before: Reading | null = null;
  private heldUntil = -Infinity;

  /** Null: they may be believed. */
  doubt(now: Reading): ClockDoubt | null {
    const { before } = this;
    this.before = now;
    if (Math.abs(now.database - now.wall) > OFF_MAX_MS) return 'clocks_differ';
    if (now.latest !== null && now.database < now.latest - OFF_MAX_MS) return 'clock_set_back';
    const passed = before && now.monotonic - before.monotonic;
    if (before && Math.abs(now.database - before.database - passed!) > OFF_MAX_MS)
      this.heldUntil = now.monotonic + HOLD_MS;
    return now.monotonic < this.heldUntil ? 'clock_jumped' : null;
  }
}
