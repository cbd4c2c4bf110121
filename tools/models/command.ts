import { type ParseArgsConfig, parseArgs } from 'node:util';
import { type Log } from './npm-package.js';

/** Runs a command of the build tools: `--help`, one progress line a stage, a fault as one line and exit code 1. */
export function runCommand(
  label: string,
  help: string,
  run: (log: Log, options: Record<string, string | boolean | undefined>) => Promise<number>,
  known: NonNullable<ParseArgsConfig['options']> = {},
): void {
  let options: Record<string, string | boolean | undefined>;
  try {
    options = parseArgs({ options: { ...known, help: { type: 'boolean', short: 'h' } } }).values;
  } catch (error) {
    process.stderr.write(`${label}: ${error instanceof Error ? error.message : 'wrong arguments'}\n\n${help}`);
    process.exitCode = 2;
    return;
  }
  if (options['help']) {
    process.stdout.write(help);
    return;
  }
  const log: Log = (line) => {
    process.stdout.write(`${label}: ${line}\n`);
  };
  run(log, options).then(
    (code) => {
      process.exitCode = code;
    },
    (fault: unknown) => {
      process.stderr.write(`${label}: ${fault instanceof Error ? fault.message : String(fault)}\n`);
      process.exitCode = 1;
    },
  );
}
