import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { attempt } from './attempt.js';
import { calibrate } from './calibrate.js';
import type { Command, OptionValues } from './command.js';
import { MissingFilesError, UsageError } from './fault.js';
import { gestures } from './gestures.js';
import { match } from './match.js';
import { pad } from './pad.js';
import { quality } from './quality.js';
import { writeSection } from './report.js';

const COMMANDS: readonly Command[] = [match, calibrate, gestures, pad, quality, attempt];

const COMMON = {
  out: { type: 'string' },
  markdown: { type: 'string' },
  title: { type: 'string' },
  models: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

const COMMON_HELP = `
  --out FILE.json  the report; without it, it goes to stdout
  --markdown FILE  also writes the figures as a section of that file (--title TEXT names it; same title: replaced)
  --models FILE    another model manifest (MODEL_MANIFEST, or models/manifest.json)
  --help           this text

Exit 0: measured. 1: failed, or files are missing (all are named). 2: called wrongly, or a list has a wrong line.`;

const HELP = `npm run -s eval -- COMMAND [OPTIONS]   (COMMAND --help says more)

Measures the product's own pipeline and models on your data. Nothing leaves the machine.

${COMMANDS.map((c) => `  ${c.name.padEnd(12)} ${c.what}`).join('\n')}`;

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h') {
    console.log(HELP);
    return name === undefined ? 2 : 0;
  }
  const command = COMMANDS.find((c) => c.name === name);
  if (!command) throw new UsageError(`no command "${name}"\n\n${HELP}`);
  const values = parse(command, rest);
  if (values.help) {
    console.log(command.help + COMMON_HELP);
    return 0;
  }
  for (const option of ['out', 'markdown']) requireFolderOf(values[option], option);
  const { report, section, modelDigest, exitCode } = await command.run(values);
  const date = new Date().toISOString().slice(0, 10);
  const json = `${JSON.stringify({ command: name, date, models: modelDigest, ...report }, null, 2)}\n`;
  if (typeof values.out === 'string') writeFileSync(values.out, json);
  else process.stdout.write(json);
  if (typeof values.markdown === 'string') {
    const title = typeof values.title === 'string' ? values.title : name;
    writeSection(values.markdown, { title, command: `eval ${name}`, date, modelDigest }, section);
  }
  return exitCode ?? 0;
}

/** Told before an hour of measuring, not after it. */
function requireFolderOf(file: unknown, option: string): void {
  if (typeof file === 'string' && !existsSync(path.dirname(file)))
    throw new UsageError(`--${option} ${file}: there is no such folder`);
}

function parse(command: Command, args: string[]): OptionValues {
  try {
    return parseArgs({ args, options: { ...command.options, ...COMMON } }).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : 'wrong options'} (${command.name} --help)`);
  }
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    const expected = error instanceof UsageError || error instanceof MissingFilesError;
    console.error(`error: ${expected ? error.message : error instanceof Error ? error.stack : String(error)}`);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
