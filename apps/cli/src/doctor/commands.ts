import { givenEnvironment } from '#config';
import { type CommandGroup, EXIT, type Io } from '../command.js';
import type { Verdict } from './check.js';
import { diagnose } from './diagnose.js';

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
    .option('--json', 'print one JSON object')
    .action((o: { json?: boolean }) => doctor(o, io));
};

async function doctor(o: { json?: boolean }, io: Io): Promise<void> {
  io.progress('looking');
  const findings = await diagnose(givenEnvironment());
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
