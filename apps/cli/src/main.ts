import readline from 'node:readline';
import { Writable } from 'node:stream';
import { CommanderError } from 'commander';
import { CommandError, EXIT, type ExitCode, type Io } from './command.js';
import { cliProgram } from './program.js';

const PROGRESS_MS = 10_000;

async function main(argv: string[]): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const io = terminal((given) => (code = given > code ? given : code));
  const program = cliProgram(io);
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    // Commander has said what was wrong; help and version are asked for and no fault.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.failed;
    throw error;
  }
  return code;
}

function terminal(exit: Io['exit']): Io {
  const { isTTY } = process.stderr;
  let last = performance.now();
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    progress: (line) => {
      if (isTTY) process.stderr.write(`\r\x1b[K${line}`);
      else if (performance.now() - last > PROGRESS_MS) {
        last = performance.now();
        process.stderr.write(`${line}\n`);
      }
    },
    secret,
    exit,
  };
}

function secret(question: string): Promise<string> {
  const { isTTY } = process.stdin;
  if (isTTY) process.stderr.write(question);
  // An output that swallows what readline would echo.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = readline.createInterface({ input: process.stdin, output, terminal: isTTY });
  return new Promise((resolve) => {
    let given = '';
    lines.once('line', (line) => {
      given = line;
      lines.close();
    });
    lines.once('close', () => {
      if (isTTY) process.stderr.write('\n');
      resolve(given);
    });
  });
}

const clearLine = (): void => void (process.stderr.isTTY && process.stderr.write('\r\x1b[K'));

main(process.argv.slice(2)).then(
  (code) => {
    clearLine();
    process.exitCode = code;
  },
  (error: unknown) => {
    clearLine();
    const said = error instanceof Error && (error instanceof CommandError || error.name === 'ConfigError');
    process.stderr.write(
      `countersign: ${said ? error.message : `failed (${error instanceof Error ? error.name : 'unknown'})`}\n`,
    );
    process.exitCode = EXIT.failed;
  },
);
