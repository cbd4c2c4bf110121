import { givenEnvironment } from '#config';
import { CommandError, type CommandGroup, EXIT, type Io } from '../command.js';
import type { Verdict } from './check.js';
import { diagnose } from './diagnose.js';
import { wayIn } from './way-in.js';

const SIGNS: Record<Verdict, string> = { ok: 'ok  ', note: 'note', bad: 'BAD ' };

export const doctorCommands: CommandGroup = (program, io) => {
  program
    .command('doctor')
    .description('what of this set-up is not as it should be, and what to do about it')
    .addHelpText(
      'after',
      '\nReads the environment as the processes do (X or X_FILE) and looks at everything it names: MongoDB, Redis, SMTP,' +
        '\nmodels, key files, the processes themselves. Changes nothing. Exit code 1 if anything is bad; notes are none.',
    )
    .option('--url <url>', 'looks at a running gateway through the proxies before it instead, and at nothing else')
    .option('--json', 'print one JSON object')
    .action((o: { json?: boolean; url?: string }) => doctor(o, io));
};

async function doctor(o: { json?: boolean; url?: string }, io: Io): Promise<void> {
  if (o.url !== undefined && !/^https?:\/\//.test(URL.canParse(o.url) ? o.url : '')) {
    throw new CommandError('--url must be an http:// or https:// URL');
  }
  io.progress('looking');
  const findings = o.url === undefined ? await diagnose(givenEnvironment()) : await wayIn(o.url);
  const isWell = findings.every(({ verdict }) => verdict !== 'bad');
  if (!isWell) io.exit(EXIT.bad);
  if (o.json) return io.out(JSON.stringify({ ok: isWell, findings }));
  for (const { check, verdict, found, advice } of findings) {
    io.out(`${SIGNS[verdict]}  ${check}: ${found}`);
    if (advice !== undefined) io.out(`      → ${advice}`);
  }
  const count = findings.filter(({ verdict }) => verdict === 'bad').length;
  io.out(isWell ? 'all well' : `${count} not as ${count === 1 ? 'it' : 'they'} should be`);
}
