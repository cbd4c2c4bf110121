import { Command } from 'commander';
import { auditCommands } from './audit/commands.js';
import { clientCommands } from './clients/commands.js';
import { databaseCommands } from './database/commands.js';
import { doctorCommands } from './doctor/commands.js';
import { initCommands } from './init/commands.js';
import { keyCommands } from './keys/commands.js';
import { userCommands } from './users/commands.js';
import type { CommandGroup, Io } from './command.js';

/** One folder a group. */
const GROUPS: readonly CommandGroup[] = [
  auditCommands,
  clientCommands,
  databaseCommands,
  doctorCommands,
  initCommands,
  keyCommands,
  userCommands,
];

/**
 * The command line with all its commands; what they print goes to `io`.
 *
 * Usage errors are thrown as CommanderError instead of ending the process.
 */
export function cliProgram(io: Io): Command {
  const program = new Command('countersign')
    .description(
      "The operator's command line. Exit codes: 0 well, 1 not as it should be, 2 wrong usage or unreachable.",
    )
    .showHelpAfterError('(--help says more)')
    // Before the commands are added: they take it over.
    .exitOverride();
  for (const group of GROUPS) group(program, io);
  return program;
}
