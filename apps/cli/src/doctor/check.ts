export type Verdict = 'ok' | 'note' | 'bad';

/** What was looked at, what was found, and what to do about it. */
export interface Finding {
  check: string;
  verdict: Verdict;
  found: string;
  advice?: string;
}

export const ok = (check: string, found: string): Finding => ({ check, verdict: 'ok', found });
export const bad = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: 'bad',
  found,
  advice,
});
/** Fit for development, or not to be found out from here. */
export const note = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: 'note',
  found,
  advice,
});

/** Clocks that differ by more make windows, holds and codes end at the wrong time. */
export const CLOCK_MAX_MS = 2_000;

export function clock(check: string, theirs: Date, ours: number, resolutionMs = 0): Finding {
  const offMs = Math.abs(theirs.getTime() - ours);
  const off = `${(offMs / 1_000).toFixed(1)} s from this machine's`;
  if (offMs <= CLOCK_MAX_MS + resolutionMs) return ok(check, off);
  return bad(check, off, 'let both machines take their time from NTP (chronyd, systemd-timesyncd)');
}

export function isAtLeast(version: string, floor: readonly number[]): boolean {
  const parts = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  for (const [i, least] of floor.entries()) {
    const part = parts[i] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}
