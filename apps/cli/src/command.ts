import type { Command } from 'commander';

/** A folder of commands adds itself to the program. */
export type CommandGroup = (program: Command, io: Io) => void;

/** Where a command talks to: results on standard output, progress on standard error. */
export interface Io {
  out(line: string): void;
  /** A line that the next one replaces on a terminal; elsewhere at most one in ten seconds. */
  progress(line: string): void;
  /** A line that is not echoed, from the terminal or from standard input. */
  secret(question: string): Promise<string>;
  /** Ends the command with this code when it is done; the highest given counts. */
  exit(code: ExitCode): void;
}

/** 0: all is well. 1: what was looked at is not as it should be. 2: wrong usage, or something could not be reached. */
export const EXIT = { ok: 0, bad: 1, failed: 2 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What the caller got wrong or what is not there, said in a line; exit code 2. */
export class CommandError extends Error {}
