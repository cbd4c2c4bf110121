import { runGate } from './gate.js';

const HELP = `npm run check

Format, lint, types, import borders and dead code: each a step of its own, all run and all report. Exits 1 if any failed.`;

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    console.log(HELP);
    return 0;
  }
  return (await runGate()).failed ? 1 : 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
