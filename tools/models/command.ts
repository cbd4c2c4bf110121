import { type Log } from './npm-package.js';

/** Runs a command of the build tools: `--help`, one progress line a stage, a fault as one line and exit code 1. */
export function runCommand(
  label: string,
  help: string,
  run: (log: Log, flags: ReadonlySet<string>) => Promise<number>,
  known: readonly string[] = [],
): void {
  const args = process.argv.slice(2);
  const unknown = args.filter((arg) => !known.includes(arg) && arg !== '--help' && arg !== '-h');
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(help);
    return;
  }
  if (unknown.length > 0) {
    process.stderr.write(`${label}: unknown argument ${unknown.join(' ')}\n\n${help}`);
    process.exitCode = 2;
    return;
  }
  const log: Log = (line) => {
    process.stdout.write(`${label}: ${line}\n`);
  };
  run(log, new Set(args)).then(
    (code) => {
      process.exitCode = code;
    },
    (fault: unknown) => {
      process.stderr.write(`${label}: ${fault instanceof Error ? fault.message : String(fault)}\n`);
      process.exitCode = 1;
    },
  );
}
