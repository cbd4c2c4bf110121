/** The figures of one row over the rounds of a run. */
export class Figures {
  private readonly values: number[] = [];

  add(value: number): void {
    this.values.push(value);
  }

  get median(): number {
    return this.quantile(0.5);
  }

  /** Nearest rank, q 0..1; NaN without values. */
  quantile(q: number): number {
    const sorted = [...this.values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] ?? NaN;
  }

  get count(): number {
    return this.values.length;
  }

  /** `median (lowest–highest)`. */
  toString(digits = 1): string {
    const text = (q: number): string => this.quantile(q).toFixed(digits);
    return `${text(0.5)} (${text(0)}–${text(1)})`;
  }
}

/** What a figure must reach. `null`: not measured in this run, so neither met nor missed. */
export interface Bar {
  what: string;
  value: number | null;
  limit: number;
  better: 'higher' | 'lower';
}

export const isMet = ({ value, limit, better }: Bar): boolean | null =>
  value === null || Number.isNaN(value) ? null : better === 'higher' ? value >= limit : value <= limit;

export function barLines(bars: readonly Bar[]): string[] {
  const word = (bar: Bar): string => ({ true: 'met', false: 'MISSED', null: 'not measured' })[`${isMet(bar)}`];
  return table(
    ['bar', 'asked', 'measured', ''],
    bars.map((bar) => [
      bar.what,
      `${bar.better === 'higher' ? '≥' : '≤'} ${bar.limit}`,
      bar.value === null || Number.isNaN(bar.value) ? '–' : bar.value.toFixed(bar.limit >= 20 ? 0 : 2),
      word(bar),
    ]),
  );
}

/** Markdown that also reads well on a terminal. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((cell, i) => Math.max(3, cell.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((w, i) => (cells[i] ?? '').padEnd(w)).join(' | ')} |`;
  return [line(head), `| ${widths.map((w) => '-'.repeat(w)).join(' | ')} |`, ...rows.map(line)];
}
