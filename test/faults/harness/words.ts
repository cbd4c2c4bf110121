import type { Attempted } from './people.js';

/** How attempts ended, for their clients. */
export function tally(statuses: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([status, n]) => `${n} ${status}`)
    .join(', ');
}

export const endings = (attempts: readonly Attempted[]): string => tally(attempts.map(({ status }) => status));

export const firstOf = (problems: readonly string[]): string =>
  problems.length > 0 ? `; ${problems.length} problems, the first: ${problems[0]}` : '';

/** The value below which that share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
