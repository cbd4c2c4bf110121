/** What one step of the demo did, and whether that is what it must do. */
export interface StepReport {
  lane: string;
  step: string;
  outcome: string;
  ok: boolean;
  ms: number;
  /** More than fits a line: the mail as received. */
  detail?: string;
}

export class StepFailed extends Error {
  override name = 'StepFailed';
}

/** Runs steps one after the other and keeps what came of them. A step that fails ends its lane. */
export class Lane {
  constructor(
    private readonly name: string,
    private readonly emit: (report: StepReport) => void,
  ) {}

  /**
   * @param work does the step and returns, in words, the outcome it must have; throws StepFailed with the outcome it
   *   had instead.
   */
  async step<T>(step: string, work: () => Promise<{ outcome: string; value: T; detail?: string }>): Promise<T> {
    const started = performance.now();
    const report = (outcome: string, ok: boolean, detail?: string): void => {
      const ms = Math.round(performance.now() - started);
      this.emit({ lane: this.name, step, outcome, ok, ms, ...(detail === undefined ? {} : { detail }) });
    };
    try {
      const { outcome, value, detail } = await work();
      report(outcome, true, detail);
      return value;
    } catch (error) {
      report(error instanceof Error ? error.message : String(error), false);
      throw error;
    }
  }
}

/** Shape of a failed expectation: what was seen. */
export function must(condition: unknown, seen: string): asserts condition {
  if (!condition) throw new StepFailed(seen);
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** The table at the demo's end. */
export function table(reports: readonly StepReport[]): string[] {
  const width = (column: (r: StepReport) => string): number => Math.max(...reports.map((r) => column(r).length));
  const lane = width((r) => r.lane);
  const step = width((r) => r.step);
  const outcome = width((r) => r.outcome);
  return reports.map(
    (r) =>
      `${r.ok ? '✔' : '✖'} ${r.lane.padEnd(lane)}  ${r.step.padEnd(step)}  ${r.outcome.padEnd(outcome)}  ${seconds(r.ms).padStart(7)}`,
  );
}
