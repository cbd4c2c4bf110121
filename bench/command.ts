import { rmSync } from 'node:fs';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { temporaryFolder } from '#stack';
import { machineLine, writeSection } from './machine.js';

export interface Report {
  lines: string[];
  json: object;
  /** Whether every bar is reached. */
  met: boolean;
}

export interface Measurement {
  /** Of the section of docs/performance.md. */
  name: string;
  help: string;
  /** Rounds where none are named. */
  rounds: number;
  /** `dir` is a folder of its own, which goes afterwards; `header` says on which machine and when. */
  measure: (rounds: number, dir: string, header: string) => Promise<Report>;
}

/** The caller's mistake: told in one line. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** Options as `parseArgs` knows them, none of its own words for what is wrong. @throws UsageError */
export function optionsOf<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>>['values'] {
  try {
    return parseArgs(config).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message.split('. ')[0] : 'wrong arguments');
  }
}

export const say = (line: string): void => console.error(line);

/** The options that measurements in rounds have in common; the report on stdout, its last line one JSON object. */
export async function measured({ name, help, rounds, measure }: Measurement, args: string[]): Promise<boolean> {
  const values = optionsOf({
    args,
    options: {
      json: { type: 'boolean' },
      markdown: { type: 'boolean' },
      rounds: { type: 'string', default: String(rounds) },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    console.log(help);
    return true;
  }
  const count = Number(values.rounds);
  if (!Number.isInteger(count) || count < 1) throw new UsageError('--rounds is a whole number from 1 up');
  const header = machineLine();
  const dir = temporaryFolder('bench');
  try {
    const report = await measure(count, dir, header);
    if (!values.json) console.log(report.lines.join('\n'));
    if (values.markdown) say(`written: ${writeSection(name, report.lines)}`);
    console.log(JSON.stringify(report.json));
    return report.met;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
