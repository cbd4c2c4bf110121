import type { Mutation } from './guard-mutations.js';

const levels = (name: string, tests: string, ...edits: [string, string][]): Mutation => ({
  name: `levels: ${name}`,
  file: 'libs/contracts/src/levels.ts',
  edits,
  spec: 'libs/contracts/src/levels.spec.ts',
  tests,
});

/** What a session and a face are worth. */
export const AUTHORITY_MUTATIONS: readonly Mutation[] = [
  levels('a face of the future raises nothing', 'a face of tomorrow', ['at <= now + CLOCK_SKEW_MS', 'true']),
  levels('two clocks may differ by a minute', 'by a clock that is a minute ahead', [
    'at <= now + CLOCK_SKEW_MS',
    'at <= now',
  ]),
  levels('a code is no second factor', 'a mailed code, which is no second factor', [
    "at: recovery, amr: ['pwd']",
    "at: recovery, amr: ['pwd', 'mfa']",
  ]),
  levels('a face is no code', 'a face, which does not stand in for a code', [
    'wasShown(recovery, now) ?',
    'wasShown(recovery ?? face, now) ?',
  ]),
  levels("a level's time is that of its own method", 'both, the code after the face', [
    'at: recovery',
    'at: face ?? recovery',
  ]),
  levels('a code is not a face', 'a mailed code, which is no second factor', [
    'wasShown(face, now) ?',
    'wasShown(face ?? recovery, now) ?',
  ]),
];
