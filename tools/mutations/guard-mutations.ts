/** One condition taken away, and the tests that must notice. */
export interface Mutation {
  name: string;
  /** A path in the repository. */
  file: string;
  /** Each text stands there exactly once. */
  edits: readonly (readonly [from: string, to: string])[];
  /** A path in the repository: of test/medium, on real servers, or beside the source. */
  spec: string;
  /** Of the names of its tests. */
  tests: string;
}

const NEVER = 'eq(1, 2)';
const ALWAYS = 'eq(1, 1)';

const mutation =
  (file: string, spec: string) =>
  (name: string, tests: string, ...edits: [string, string][]): Mutation => ({
    name,
    file: `libs/guard/src/${file}`,
    edits,
    spec: `test/medium/${spec}.spec.ts`,
    tests,
  });
const begin = mutation('begin.ts', 'guard');
const step = mutation('step.ts', 'guard');
const decide = mutation('decide.ts', 'guard');
const settle = mutation('settle.ts', 'guard');
const orphans = mutation('new-guards.ts', 'audit-orphans');

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
  begin('begin: 3 free ends in 10 minutes', `3 free ends in 10 minutes, ${RACED}`, [
    "full('w.freeTenMinutes', s.limits.freePer10Min),\n        refuse",
    `${NEVER},\n        refuse`,
  ]),
  begin('begin: 10 free ends a day', `10 free ends in a day, ${RACED}`, [
    "full('w.freeDay', s.limits.freePerDay),\n        refuse",
    `${NEVER},\n        refuse`,
  ]),
  begin('begin: what was shown is kept for 15 minutes', 'keeps the draw for 15 minutes', [
    "gt(ifNull(field('shown.at'), new Date(0)), since)",
    ALWAYS,
  ]),
  begin('begin: what was shown is kept for step-ups', 'keeps the draw for 15 minutes', [
    "input.purpose === 'verify' ? stillShown(input.actions, s) : []",
    'stillShown(input.actions, s)',
  ]),
  begin('begin: all of a long first draw stays', 'of a draw of six all that was shown stays', [
    'firstOf(wanted, shownStepsMax(drawn.length))',
    'firstOf(wanted, 4)',
  ]),
  begin('begin: two are new at the end', 'and two are new at the end', [
    "max(CHALLENGE_NEW_STEPS, subtract(drawn.length, size(w('shown'))))",
    "max(1, subtract(drawn.length, size(w('shown'))))",
  ]),
  begin('begin: the time grows with the steps', 'it ends', ["multiply(size(w('actions')), cond(", 'multiply(3, cond(']),
  begin('begin: what was opted out of is not asked for', 'opted out of since', [
    "not(isIn(action(), field('optOuts')))",
    ALWAYS,
  ]),
  begin('begin: the outbox at its cap', `an outbox at its cap, ${RACED}`, [
    "gte(size(only(field('outbox'), counts)), s.limits.outboxMax)",
    NEVER,
  ]),
  begin('begin: the outbox that waits', `an outbox that waits for 15 minutes, ${RACED}`, [
    "lt(field('outboxSince'), subtract(now, OUTBOX_LAG_MS))",
    NEVER,
  ]),
  begin('begin: another session is not told which attempt', 'another attempt, begun after the reading', [
    "cond(eq(reservation('sessionId'), input.sessionId), reservation('attemptId'), null)",
    "reservation('attemptId')",
  ]),
  begin('begin: a begin that came before begins nothing again', 'that came before begins nothing again', [
    "[w('repeated'), refuse(",
    `[${NEVER}, refuse(`,
  ]),
  begin('begin: a decision that is queued again is not cut short', 'queued again after the reading', [
    'gt(now, lastRunEnds)',
    ALWAYS,
  ]),
  begin('begin: a refusal by the lock is told once a minute', 'leave one counted event a session and minute', [
    "or(eq(size(w('mine')), 0),",
    `or(${ALWAYS},`,
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
  step('step: its body is late', 'a body of more than 10 s', ['input.firstByteAgoMs > s.capture.bodyMs', 'false']),
  step('step: a verdict of this attempt', "a step's result with another attemptId", [
    "eq(reservation('attemptId'), r.attemptId)",
    ALWAYS,
  ]),
  step('step: a verdict of this challenge', "a step's result with another challengeId", [
    "eq(reservation('challengeId'), r.challengeId)",
    ALWAYS,
  ]),
  step('step: a verdict of this purpose', "a step's result with another purpose", [
    "eq(reservation('purpose'), r.purpose)",
    ALWAYS,
  ]),
  step(
    'step: a verdict of this epoch',
    "a step's result with another lockEpoch",
    ["eq(field('lockEpoch'), r.lockEpoch)", ALWAYS],
    ["eq(reservation('lockEpoch'), r.lockEpoch)", ALWAYS],
  ),
  step('step: a verdict of the action asked for', "a step's result with another action", [
    "eq(at(reservation('actions'), r.step - 1), r.action)",
    ALWAYS,
  ]),
  mutation('pipeline.ts', 'guard')('step: by the session that began', 'an attempt is unknown to another session', [
    "and(eq(reservation('attemptId'), attemptId), eq(reservation('sessionId'), sessionId))",
    "eq(reservation('attemptId'), attemptId)",
  ]),

  decide('decide: of this epoch', 'rule 5', [
    "eq(field('lockEpoch'), r.lockEpoch),\n  eq(reservation('attemptId')",
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
    "eq(size(only(ifNull(reservation('verdict'), []), (v) => present(v('kind')))), r.inputs.length)",
    ALWAYS,
  ]),
  decide('decide: of this attempt', 'another attemptId is stale', [
    "eq(reservation('attemptId'), r.attemptId)",
    ALWAYS,
  ]),
  decide('decide: of this purpose', 'another purpose and no template is stale', [
    "eq(reservation('purpose'), r.purpose)",
    ALWAYS,
  ]),
  decide('decide: its steps are numbered', 'another step numbers is stale', ['inOrder && rightKind', 'rightKind']),
  decide('decide: of the kind of its purpose', 'an enrolment result decides no step-up', [
    'inOrder && rightKind',
    'inOrder',
  ]),
  decide('decide: of the model of the template', 'another modelDigest is stale', [
    "eq(field('template.modelDigest'), r.modelDigest)",
    ALWAYS,
  ]),
  decide('decide: of the template to be enrolled', 'enrols the template that was reserved', [
    "eq(reservation('templateId'), r.templateId ?? '')",
    ALWAYS,
  ]),
  decide('decide: a practice compares with no template', 'a practice compares with no template', [
    '[r.templateId === undefined]',
    '[true]',
  ]),
  decide(
    'reconciler: only what is overdue',
    'before anything is overdue',
    ["lt(field('dueAt'), bound)", ALWAYS],
    ["when: or(captureOverdue(s.capture.bodyMs), and(decisionOverdue, not(w('again'))))", `when: ${ALWAYS}`],
  ),
  decide('reconciler: three runs more', 'a late decision is queued again three times', [
    "lt(reservation('run'), s.capture.decideRunsMax)",
    ALWAYS,
  ]),
  decide('reconciler: no run for a transport that forgot', 'is not queued again once the transport', [
    'not(transportLost(seen))',
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
  decide('redeem: of an active account', 'is refused while the account is shut', [
    "eq(field('state'), 'active')",
    ALWAYS,
  ]),
  decide('enrol: firstEnrolledAt is set once', 'rule 8', ["ifNull(field('firstEnrolledAt'), now)", 'now']),
  decide('enrol: the pointer moves only on success', 'rule 8', [
    "template: cond(enrolled, template, field('template'))",
    'template',
  ]),
  decide('enrol: the epoch rises', 'sets what it must', ['cond(enrolled, 1, 0)', '0']),
  decide('enrol: the hold', 'a hold lasts 24 hours', [
    "cond(w('was.hold'), add(now, s.limits.holdHours * HOUR), null)",
    'null',
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
  settle('expiry: at the end of the attempt', 'the TTL of the attempt ends a capture', [
    "gt(now, reservation('captureUntil'))",
    NEVER,
  ]),
  settle('expiry: at the end of a step', 'an expiry found by the reconciler', ['gt(now, stepEnd(bodyMs))', NEVER]),
  settle('expiry: free where the transport forgot', 'an expiry is an error, uncharged', [
    'or(transportLost(cause), storeLost(cause))',
    'storeLost(cause)',
  ]),
  settle('expiry: free where the store was away', 'an expiry is an error, uncharged', [
    'or(transportLost(cause), storeLost(cause))',
    'transportLost(cause)',
  ]),
  settle('expiry: an outage enters no ring', 'an expiry is an error, uncharged', [
    "class: 'excused', type: 'error', outcome: 'error', reason: 'transport_lost'",
    "class: 'free', type: 'error', outcome: 'error', reason: 'transport_lost'",
  ]),
  settle('expiry: never charged', 'never a late upload', [
    "class: 'free', type: 'expired'",
    "class: 'abandoned', type: 'expired'",
  ]),
  settle('free: has a ring', 'free ends have a ring', ["'w.free': is('free')", "'w.free': false"]),
  settle('shown: a decision ends the rule', 'its decision ends the rule', [
    "cond(is('success', 'failed'), null, kept)",
    'kept',
  ]),
  settle('shown: kept by step-ups only', 'keeps the draw for 15 minutes', [
    "cond(and(w('ended'), verify), shownBy(cause, is)",
    "cond(w('ended'), shownBy(cause, is)",
  ]),
  settle('shown: what was shown before stays', 'the next begins with what was shown', [
    "ifNull(reservation('shownBefore'), 0))",
    '0)',
  ]),
  decide('give up: of this challenge', 'never a job that a worker gave up', [
    'and(...ofThisAttempt(r));',
    "and(eq(reservation('attemptId'), r.attemptId));",
  ]),
  settle('expiry: free where the transport is away', 'an expiry is an error, uncharged', [
    'transportEpoch === null ? eq(1, 1)',
    'transportEpoch === null ? eq(1, 2)',
  ]),
  settle('mismatch: only where every step could be judged', 'no similarity counts', [
    "judgement === 'mismatch' ? allUsable : eq(1, 1)",
    'or(allUsable, true)',
  ]),
  settle('success: only what was compared', 'nothing is granted for not_compared', [
    "cause.judgement !== 'ok'",
    'false',
  ]),
  settle('success: clears the strikes', 'a success clears', [
    "cond(w('success'), 0, field('strikes'))",
    "field('strikes')",
  ]),
  settle('success: clears the strikes in a row', 'a success clears', [
    "consecutiveStrikes: cond(w('success'), 0,",
    `consecutiveStrikes: cond(${NEVER}, 0,`,
  ]),
  settle('success: clears the abandoned', 'a success clears', [
    "abandoned: cond(w('success'), 0,",
    `abandoned: cond(${NEVER}, 0,`,
  ]),
  settle('success: held inside the hold', 'inside the hold', [
    "gt(ifNull(field('template.heldUntil'), null), now)",
    NEVER,
  ]),
  settle('uncharged: a poor first step', 'a poor frame enrols nothing', [
    "is('retry', 'abandoned')",
    "is('abandoned')",
  ]),
  settle('uncharged: what was abandoned', 'rule 6', ["is('retry', 'abandoned')", "is('retry')"]),
  settle('uncharged: a failed practice', 'no capture of an enrolment or a practice', [
    "and(is('failed'), not(verify))",
    NEVER,
  ]),
  settle('strike ring: seven days', 'the tenth strike in 7 days', [
    "within('strikeRing', limits.strikeRingDays * DAY)",
    "field('strikeRing')",
  ]),
  settle('mail: at the tenth strike', 'the tenth strike in 7 days', [
    "gte(size(field('strikeRing')), limits.strikesForReview)",
    ALWAYS,
  ]),
  settle('mail: of strikes once in seven days', 'the tenth strike in 7 days', [
    "or(isNull(field('strikeMailAt')), lte(field('strikeMailAt'), subtract(now, limits.strikeRingDays * DAY)))",
    ALWAYS,
  ]),
  settle('lock: 30 minutes', 'the third strike locks', ['add(now, limits.lockMinutes * MINUTE)', 'now']),

  mutation('change.ts', 'guard')('change: the epoch rises', 'rule 6', [
    "lockEpoch: add(field('lockEpoch'), 1) }",
    "lockEpoch: add(field('lockEpoch'), 0) }",
  ]),
  mutation('change.ts', 'guard')('change: settles a live attempt', 'rule 6', ['when: live', `when: ${NEVER}`]),
  mutation('change.ts', 'guard')("change: an officer's charges nothing", 'rule 6', [
    "change.by === 'officer' ? 'officer_change' : 'own_change'",
    "'own_change'",
  ]),
  mutation('change.ts', 'guard')('change: whoever had a face still needs one', 'leaves the face required', [
    "or(field('faceRequired'), present(field('firstEnrolledAt')))",
    "field('faceRequired')",
  ]),
  mutation('change.ts', 'guard')('change: the template goes', 'removes the template', [
    'template: null,\n              // A',
    '// A',
  ]),
  mutation('change.ts', 'guard')('change: enable undoes no erasure', 'neither enable nor disable', [
    "cond(eq(field('state'), 'disabled'), 'active', field('state'))",
    "'active'",
  ]),
  mutation('change.ts', 'guard')('change: disable undoes no erasure', 'neither enable nor disable', [
    "cond(eq(field('state'), 'active'), 'disabled', field('state'))",
    "'disabled'",
  ]),
  mutation('change.ts', 'guard')('unlock: ends the strikes', 'unlock ends the lock and its strikes', [
    'lockedUntil: null, strikes: 0',
    'lockedUntil: null',
  ]),
  mutation('store.ts', 'guard')('outbox: has an end', 'past twice its cap', [
    "lt(size(field('outbox')), 2 * this.s.limits.outboxMax)",
    ALWAYS,
  ]),
  mutation('store.ts', 'guard')('erased: only what is being erased', 'an erased guard goes only', [
    "state: 'erasing' as const, hasOutbox: false",
    'hasOutbox: false',
  ]),
  mutation('store.ts', 'guard')('erased: not before its outbox is empty', 'an erased guard goes only', [
    "state: 'erasing' as const, hasOutbox: false",
    "state: 'erasing' as const",
  ]),
  orphans('orphans: alone for ten minutes', 'once it was alone for ten minutes', [
    "lte(add(field('aloneSince'), ALONE_MS), now)",
    'lte(0, 1)',
  ]),
  orphans('orphans: not before the outbox is empty', 'once it was alone for ten minutes', [
    '    hasOutbox: false,\n',
    '',
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
