/** One condition of the guard taken away, and the tests that must notice. */
export interface Mutation {
  name: string;
  /** Of libs/guard/src. */
  file: string;
  /** Each text stands there exactly once. */
  edits: readonly (readonly [from: string, to: string])[];
  /** Of test/medium, without `.spec.ts`. */
  spec: string;
  /** Of the names of its tests. */
  tests: string;
}

const NEVER = 'eq(1, 2)';
const ALWAYS = 'eq(1, 1)';

const mutation =
  (file: string, spec: string) =>
  (name: string, tests: string, ...edits: [string, string][]): Mutation => ({ name, file, edits, spec, tests });
const begin = mutation('begin.ts', 'guard');
const step = mutation('step.ts', 'guard');
const decide = mutation('decide.ts', 'guard');
const settle = mutation('settle.ts', 'guard');

const RACED = 'come about after the reading';

export const GUARD_MUTATIONS: readonly Mutation[] = [
  begin('begin: the account is not active', `a disabled account, ${RACED}`, ["ne(field('state'), 'active')", NEVER]),
  begin('begin: 50 strikes in a row', `50 strikes in a row, ${RACED}`, [
    "gte(field('consecutiveStrikes'), s.limits.strikesToDisable)",
    NEVER,
  ]),
  begin('begin: the lock', `the lock, ${RACED}`, ["[locked, refuse('face_locked'", `[${NEVER}, refuse('face_locked'`]),
  begin('begin: no consent', `no consent, ${RACED}`, [
    "[isNull(field('consentVersion')), refuse('consent_required')]",
    `[${NEVER}, refuse('consent_required')]`,
  ]),
  begin('begin: an old consent', `an old consent, ${RACED}`, [
    "ne(field('consentVersion'), input.currentConsentVersion)",
    NEVER,
  ]),
  begin('begin: no template', `no template, ${RACED}`, ["[isNull(field('template')), refuse(", `[${NEVER}, refuse(`]),
  begin('begin: a template of another model', `a template of another model, ${RACED}`, [
    "ne(field('template.modelDigest'), input.currentModelDigest)",
    NEVER,
  ]),
  begin('begin: a demand to enrol again', `a demand to enrol again, ${RACED}`, [
    "and(present(field('reEnrolBy')), lte(field('reEnrolBy'), add(now, TURN_MS)))",
    NEVER,
  ]),
  begin('begin: the age of the template', `a template of 180 days, ${RACED}`, [
    "lte(add(field('template.enrolledAt'), s.limits.reEnrolDays * DAY), now)",
    NEVER,
  ]),
  begin('begin: an attempt in progress', 'another attempt, begun after the reading', [
    "        live,\n        refuse('attempt_in_progress'",
    `        ${NEVER},\n        refuse('attempt_in_progress'`,
  ]),
  begin('begin: 10 uncharged in 10 minutes', `10 uncharged attempts in 10 minutes, ${RACED}`, [
    "full('w.tenMinutes', s.limits.unchargedPer10Min),\n        refuse",
    `${NEVER},\n        refuse`,
  ]),
  begin('begin: 30 uncharged a day', `30 uncharged attempts in a day, ${RACED}`, [
    "full('w.day', s.limits.unchargedPerDay),\n        refuse",
    `${NEVER},\n        refuse`,
  ]),
  begin('begin: the outbox at its cap', `an outbox at its cap, ${RACED}`, [
    "gte(size(field('outbox')), s.limits.outboxMax)",
    NEVER,
  ]),
  begin('begin: the outbox that waits', `an outbox that waits for 15 minutes, ${RACED}`, [
    "lt(field('outboxSince'), subtract(now, OUTBOX_LAG_MS))",
    NEVER,
  ]),

  step('step: its window ends', 'rule 3', ["gt(firstByte, add(revealed, reservation('windowMs')))", NEVER]),
  step('step: its window begins', 'refuses a step 300 ms after its reveal', [
    'lt(firstByte, add(revealed, s.capture.windowMinMs))',
    NEVER,
  ]),
  step(
    'step: received once',
    'refuses a step that came already',
    ["[gt(reservation('next'), input.step), ", `[${NEVER}, `],
    ["not(gt(reservation('next'), input.step))", ALWAYS],
  ),
  step('step: in its order', 'rule 3', ["lt(reservation('next'), input.step)", NEVER]),
  step("step: a verdict belongs to the step's frames", 'rule 3', [
    "eq(at(reservation('digest'), r.step - 1), r.framesDigest)",
    ALWAYS,
  ]),
  step('step: the first verdict wins', 'the first verdict of a step wins', [
    "isNull(at(reservation('verdict'), step - 1))",
    ALWAYS,
  ]),

  decide('decide: of this epoch', 'rule 5', [
    "eq(field('lockEpoch'), r.lockEpoch),\n    eq(reservation('attemptId')",
    "eq(reservation('attemptId')",
  ], ["eq(reservation('lockEpoch'), r.lockEpoch)", ALWAYS]), // prettier-ignore
  decide('decide: of this run', 'rule 5', ["eq(reservation('run'), r.run)", ALWAYS]),
  decide('decide: of this challenge', 'rule 5', ["eq(reservation('challengeId'), r.challengeId)", ALWAYS]),
  decide('decide: of the actions asked for', 'rule 5', [
    "    eq(\n      reservation('actions'),",
    '    or(\n      true,',
  ]),
  decide('decide: of the frames received', 'rule 5', ["    eq(\n      reservation('digest'),", '    or(\n      true,']),
  decide('decide: of the template named', 'rule 5', ["eq(field('template.id'), r.templateId ?? '')", ALWAYS]),
  decide('decide: every step has its verdict', 'a result is stale while a step or a verdict is missing', [
    "eq(size(only(ifNull(reservation('verdict'), []), (v) => present(v('kind')))), CHALLENGE_STEPS)",
    ALWAYS,
  ]),
  decide('cancel: not after the last step', 'cancel after the last step', [
    "isNull(reservation('decideUntil')));\n\nexport const cancel",
    `${ALWAYS});\n\nexport const cancel`,
  ]),
  decide('redeem: by the session that began', 'is refused to another session', [
    "eq(a('attemptId'), i.attemptId),\n      eq(a('sessionId'), i.sessionId)",
    "eq(a('attemptId'), i.attemptId)",
  ]),
  decide('redeem: within a minute', 'is refused a minute after the decision', [
    "gte(ifNull(a('redeemedAt'), a('endedAt')), since)",
    ALWAYS,
  ]),
  decide('redeem: of this epoch', 'an untaken success is void after', [
    "eq(a('lockEpoch'), field('lockEpoch'))",
    ALWAYS,
  ]),
  decide('redeem: only what was verified', 'rule 7', ["eq(a('outcome'), 'verified')", ALWAYS]),
  decide('redeem: first once', 'is granted, then repeated for a minute', ["isNull(a('redeemedAt'))", ALWAYS]),
  decide('enrol: firstEnrolledAt is set once', 'rule 8', ["ifNull(field('firstEnrolledAt'), now)", 'now']),
  decide('enrol: the pointer moves only on success', 'rule 8', [
    "template: cond(enrolled, template, field('template'))",
    'template',
  ]),

  settle('strike: a failed face', 'the third strike locks', [
    "or(is('failed'), and(",
    "or(and(is('failed'), false), and(",
  ]),
  settle('strike: every second abandoned attempt', 'every second abandoned attempt', [
    "eq(mod(add(field('abandoned'), 1), 2), 0)",
    NEVER,
  ]),
  settle('strike: no enrolment, no practice', 'no capture of an enrolment or a practice', [
    "'w.strike': and(\n        verify,",
    "'w.strike': and(\n        true,",
  ]),
  settle('lock: at the third strike', 'the third strike locks', [
    'gte(strikesAfter, limits.strikesToLock)',
    'gte(strikesAfter, 1 + limits.strikesToLock)',
  ]),
  settle('lock: the epoch rises', 'is refused after a lock', ["cond(w('lock'), 1, 0)),\n    }),", '0),\n    }),']),
  settle('mail: one in 30 minutes', 'at most one lock mail in 30 minutes', [
    "lt(size(within('lockMails', 30 * MINUTE)), limits.lockMailPer30Min)",
    ALWAYS,
  ]),
  settle('mail: four a day', 'at most one lock mail in 30 minutes and four a day', [
    "lt(size(within('lockMails', DAY)), limits.lockMailPerDay)",
    ALWAYS,
  ]),
  settle('similarity: only where it counts', 'a similarity is kept where it counts', [
    "cond(isIn(w('end.class'), ['success', 'failed']), cause.similarity, [])",
    'cause.similarity',
  ]),

  mutation('change.ts', 'guard')('change: the epoch rises', 'rule 6', [
    "lockEpoch: add(field('lockEpoch'), 1) }",
    "lockEpoch: add(field('lockEpoch'), 0) }",
  ]),
  mutation('store.ts', 'guard')('change: once for each operation id', 'an operation id that came before', [
    '() => notDone(opId)',
    `() => ${ALWAYS}`,
  ]),
  mutation('store.ts', 'guard')('event: once for each id', 'takes an event once', [
    'and(notDone(event.eventId), room)',
    'room',
  ]),
  mutation('expressions.ts', 'guard-strings')('values are literals', 'stored as it was sent', [
    '{ $literal: operand }',
    'operand',
  ]),
  mutation('pipeline.ts', 'guard-strings')('an id is a string', 'an operator in place of an id', [
    '_id: { $eq: userId }',
    '_id: userId',
  ]),
];
