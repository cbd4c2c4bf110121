import type { Mutation } from './guard-mutations.js';

const levels = (name: string, tests: string, ...edits: [string, string][]): Mutation => ({
  name: `levels: ${name}`,
  file: 'libs/contracts/src/levels.ts',
  edits,
  spec: 'libs/contracts/src/levels.spec.ts',
  tests,
});

const binding = (name: string, tests: string, ...edits: [string, string][]): Mutation => ({
  name: `boundFrom: ${name}`,
  file: 'apps/gateway/src/capture/binding.ts',
  edits,
  spec: 'apps/gateway/src/capture/binding.spec.ts',
  tests,
});
const role = (name: string, tests: string, ...edits: [string, string][]): Mutation => ({
  name: `boundFrom: ${name}`,
  file: 'libs/guard/src/change.ts',
  edits,
  spec: 'test/medium/guard.spec.ts',
  tests,
});

const linkClass = (kind: string, from: 'grant' | 'defence'): Mutation => ({
  name: `link classes: ${kind} is a ${from}`,
  file: 'libs/contracts/src/links.ts',
  edits: [[`${kind}: { class: '${from}'`, `${kind}: { class: '${from === 'grant' ? 'defence' : 'grant'}'`]],
  spec: 'libs/contracts/src/links.spec.ts',
  tests: 'is a grant, what stops something a defence',
});
const renewal = (name: string, file: string, tests: string, ...edits: [string, string][]): Mutation => ({
  name: `link classes: ${name}`,
  file,
  edits,
  spec: 'test/medium/credential-renewal.spec.ts',
  tests,
});

/** What a session and a face are worth, and what is left of what old credentials began. */
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
  binding('a password alone holds a first face', 'a first face', [
    "boundFrom: 'pwd', hold: isProved",
    "boundFrom: 'pwd', hold: false",
  ]),
  binding('a proof ends after 30 minutes', 'a first face', ['now - at <= PROOF_MS', 'true']),
  binding('a code after a face is held', 'a later face', [
    "isRecovery ? 'recovery' : 'pwd', hold: true",
    "isRecovery ? 'recovery' : 'pwd', hold: false",
  ]),
  binding('an invitation replaces no face', 'a later face', [
    'if (everHadFactor) {',
    'if (everHadFactor && record.provedAt === null) {',
  ]),
  binding('a face from a password makes no better one', 'a later face', [
    "(former ?? 'pwd') === 'pwd' ? 'pwd' : 'face'",
    "'face'",
  ]),
  binding('an unknown face makes no better one', 'a later face', ["(former ?? 'pwd')", 'former']),
  role('a role holds a face from a password', 'a staff role holds a face', [
    "eq(ifNull(field('template.boundFrom'), 'pwd'), 'pwd')",
    'eq(1, 2)',
  ]),
  role('a role holds a face of which nothing is known', 'a staff role holds a face', [
    "eq(ifNull(field('template.boundFrom'), 'pwd'), 'pwd')",
    "eq(field('template.boundFrom'), 'pwd')",
  ]),
  linkClass('reset_password', 'grant'),
  linkClass('invite', 'grant'),
  linkClass('cancel_new_email', 'defence'),
  linkClass('not_me', 'defence'),
  renewal('a renewal raises the epoch of the credentials', 'libs/accounts/src/user.repository.ts', 'after not_me', [
    '      credentialEpoch,\n      staying,\n',
    '      staying,\n',
  ]),
  renewal('a renewal stops a change of address', 'libs/accounts/src/user.repository.ts', 'A2: password_reset stops', [
    '      newEmail: null,\n      hasNewEmail: false,\n      erasure:',
    '      erasure:',
  ]),
  renewal('only the last session stays', 'libs/accounts/src/user.ts', 'even if Redis was not told', [
    'user.staying.epoch === user.sessionEpoch &&',
    '',
  ]),
];
