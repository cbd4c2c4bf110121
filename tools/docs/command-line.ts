import type { Command } from 'commander';
import type { Io } from '../../apps/cli/src/command.js';
import { cliProgram } from '../../apps/cli/src/program.js';

const INTRODUCTION = `# The operator's command line

Written by \`npm run docs:build\` from the commands' own help; a test holds the two equal.

\`npm run -s countersign -- COMMAND\` on a checkout, \`node dist/apps/cli/src/main.js COMMAND\` elsewhere. Exit codes: 0 all
is well, 1 what was looked at is not as it should be, 2 wrong usage or something could not be reached.`;

const COLUMNS = 110;
const SILENT: Io = { out: () => {}, progress: () => {}, secret: () => Promise.resolve(''), exit: () => {} };

/** docs/cli.md: the help of every command. */
export function commandLineDocument(): string {
  const sections = leavesOf(cliProgram(SILENT), []).map(({ words, command }) => {
    command.configureHelp({ helpWidth: COLUMNS });
    return `## countersign ${words.join(' ')}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\``;
  });
  return `${[INTRODUCTION, ...sections].join('\n\n')}\n`;
}

function leavesOf(command: Command, above: string[]): { words: string[]; command: Command }[] {
  return command.commands.flatMap((child) => {
    const words = [...above, child.name()];
    return child.commands.length === 0 ? [{ words, command: child }] : leavesOf(child, words);
  });
}

/** With the texts that follow the help, which `helpInformation` leaves out. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text.trim();
}
