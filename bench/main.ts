import { benchAttempt } from './attempt.js';
import { benchAudit } from './audit.js';
import { benchGuard } from './guard.js';
import { UsageError } from './command.js';
import { benchHostile } from './hostile.js';
import { benchInference } from './inference.js';
import { benchJudge } from './judge.js';
import { benchPictures } from './pictures.js';

/** `npm run -s bench -- NAME`: each measurement prints its figures and fails if it misses its bar. */
const BENCHES: Record<string, (args: string[]) => Promise<boolean>> = {
  attempt: benchAttempt,
  audit: benchAudit,
  guard: benchGuard,
  hostile: benchHostile,
  inference: benchInference,
  judge: benchJudge,
  pictures: benchPictures,
};

const [name = '', ...args] = process.argv.slice(2);
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
const USAGE = `npm run -s bench -- NAME, where NAME is one of: ${Object.keys(BENCHES).join(', ')} (NAME --help says more)`;
if (name === '--help' || name === '-h') {
  console.log(USAGE);
} else if (!bench) {
  console.error(`error: ${name === '' ? 'which bench?' : `no bench "${name}"`} ${USAGE}`);
  process.exitCode = 2;
} else {
  bench(args).then(
    (met) => (process.exitCode = met ? 0 : 1),
    (error: unknown) => {
      console.error(error instanceof UsageError ? `error: ${error.message} (${name} --help says more)` : error);
      process.exitCode = 2;
    },
  );
}
