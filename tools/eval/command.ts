import type { ParseArgsConfig } from 'node:util';
import type { Section } from './report.js';

export type OptionValues = Record<string, string | boolean | undefined> & { models?: string };

export interface CommandResult {
  /** Goes to --out, or to stdout. */
  report: object;
  section: Section;
  modelDigest: string;
  /** 0 unless the command itself says otherwise. */
  exitCode?: number;
}

export interface Command {
  name: string;
  what: string;
  help: string;
  options: NonNullable<ParseArgsConfig['options']>;
  run(values: OptionValues): Promise<CommandResult>;
}
