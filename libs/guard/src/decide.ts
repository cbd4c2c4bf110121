import { createHash } from 'node:crypto';
import { CHALLENGE_STEPS, type EnrolResult, type MatchResult, type SealedPart, type UnjudgedResult } from '#contracts';
import {
  add,
  and,
  cond,
  concat,
  each,
  eq,
  type Expr,
  field,
  gt,
  gte,
  ifNull,
  isNull,
  isoTime,
  lt,
  maybe,
  merge,
  not,
  object,
  only,
  or,
  present,
  size,
  subtract,
} from './expressions.js';
import { mailEntry } from './outbox.js';
import { isAttempt, now, reservation, set, type Stage, type Update, w } from './pipeline.js';
import { captureOverdue, decisionOverdue, overdue, settle, transportLost } from './settle.js';
import type { GuardSettings } from './settings.js';
import type { Epochs, GuardStore } from './types.js';

const HOUR = 3_600_000;
const SECOND = 1_000;

/** Tells a second delivery of the same result from another result for the same attempt. */
export const decisionId = (r: MatchResult | EnrolResult): string => {
  const fields = Object.entries(r).sort(([a], [b]) => (a < b ? -1 : 1));
  return `decide:${createHash('sha256').update(JSON.stringify(fields)).digest('hex')}`;
};

/** What any result has to have in common with the reservation. */
const ofThisAttempt = (r: MatchResult | EnrolResult | UnjudgedResult): Expr[] => [
  eq(field('lockEpoch'), r.lockEpoch),
  eq(reservation('attemptId'), r.attemptId),
  eq(reservation('challengeId'), r.challengeId),
  eq(reservation('purpose'), r.purpose),
  eq(reservation('lockEpoch'), r.lockEpoch),
];

/** Rule 5: presence, run, epoch and every signed field; never the time. A second delivery matches nothing. */
export function isDecisionFor(r: MatchResult | EnrolResult): Expr {
  const inputs = (pick: (i: (typeof r.inputs)[number]) => string): string[] => r.inputs.map(pick);
  const inOrder = r.inputs.length >= CHALLENGE_STEPS && r.inputs.every((input, i) => input.step === i + 1);
  const rightKind = (r.kind === 'enrol') === (r.purpose === 'enrol');
  return and(
    inOrder && rightKind,
    ...ofThisAttempt(r),
    eq(reservation('run'), r.run),
    eq(reservation('next'), r.inputs.length + 1),
    eq(
      reservation('actions'),
      inputs((i) => i.action),
    ),
    eq(
      reservation('digest'),
      inputs((i) => i.framesDigest),
    ),
    // A purpose that compares with the template compares with the one the guard names, of the same model.
    ...(r.purpose === 'verify'
      ? [eq(field('template.id'), r.templateId ?? ''), eq(field('template.modelDigest'), r.modelDigest)]
      : []),
    ...(r.purpose === 'enrol' ? [eq(reservation('templateId'), r.templateId ?? '')] : []),
    ...(r.purpose === 'practice' ? [r.templateId === undefined] : []),
    eq(size(only(ifNull(reservation('verdict'), []), (v) => present(v('kind')))), r.inputs.length),
  );
}

export function decide(r: MatchResult | EnrolResult, similarity: readonly SealedPart[], s: GuardSettings): Update {
  return {
    opId: decisionId(r),
    stages: [
      ...settle({
        when: eq(1, 1),
        cause: {
          kind: 'decision',
          judgement: r.judgement,
          stalledTwice: r.stalledTwice,
          similarity,
          modelDigest: r.modelDigest,
          thresholdId: r.kind === 'match' ? r.thresholdId : null,
        },
        limits: s.limits,
      }),
      ...(r.kind === 'enrol' ? switchTemplate(r, s) : []),
    ],
    last: { kind: 'decided' },
  };
}

/** Rule 8. Leaves strikes, the ring and the lock alone. */
function switchTemplate(r: EnrolResult, s: GuardSettings): Stage[] {
  const enrolled = w('enrolled');
  const template = object({
    id: r.templateId,
    modelDigest: r.modelDigest,
    enrolledAt: now,
    heldUntil: cond(w('was.hold'), add(now, s.limits.holdHours * HOUR), null),
    boundFrom: ifNull(w('was.boundFrom'), 'pwd'),
  });
  const mail = mailEntry({
    mailId: `enrolled-${r.templateId}`,
    template: 'face_enrolled',
    sealedOrigin: w('was.sealed.mail'),
    optionalParams: {
      heldUntil: cond(present(field('template.heldUntil')), isoTime(field('template.heldUntil')), null),
    },
  });
  return [
    set({ 'w.enrolled': eq(w('end.type'), 'enrolled') }),
    set({
      template: cond(enrolled, template, field('template')),
      consecutiveStrikes: cond(enrolled, 0, field('consecutiveStrikes')),
      reEnrolBy: cond(enrolled, null, field('reEnrolBy')),
      firstEnrolledAt: cond(enrolled, ifNull(field('firstEnrolledAt'), now), field('firstEnrolledAt')),
      everHadFactor: or(enrolled, eq(field('everHadFactor'), true), present(field('firstEnrolledAt'))),
      lockEpoch: add(field('lockEpoch'), cond(enrolled, 1, 0)),
    }),
    set({ outbox: concat(field('outbox'), maybe(enrolled, mail)) }),
  ];
}

/** Every signed field but the run: what an earlier run's job could not do, its attempt is not asked for again. */
export const isUnjudged = (r: UnjudgedResult): Expr => and(...ofThisAttempt(r));

export const giveUp = (r: UnjudgedResult, s: GuardSettings): Update => ({
  stages: settle({ when: eq(1, 1), cause: { kind: 'unjudged', reason: r.reason }, limits: s.limits }),
  last: { kind: 'decided' },
});

type AttemptRef = Parameters<GuardStore['cancel']>[0];

/** Cancel after the last step changes nothing. */
export const canCancel = (i: AttemptRef): Expr =>
  and(isAttempt(i.attemptId, i.sessionId), isNull(reservation('decideUntil')));

export const cancel = (s: GuardSettings): Update => ({
  stages: settle({
    when: eq(1, 1),
    cause: { kind: 'cancel' },
    limits: s.limits,
  }),
  last: { kind: 'decided' },
});

export const isDue = (bound: Expr): Expr => and(present(field('dueAt')), lt(field('dueAt'), bound));

/** Rule 4. A decision that is late is queued again while runs are left and the transport kept its memory. */
export function settleOverdue(seen: Epochs & { workersGone: boolean }, s: GuardSettings): Update {
  return {
    changed: or(w('again'), w('ended')),
    stages: [
      set({
        'w.again': and(decisionOverdue, lt(reservation('run'), s.capture.decideRunsMax), not(transportLost(seen))),
      }),
      ...settle({
        when: or(captureOverdue(s.capture.bodyMs), and(decisionOverdue, not(w('again')))),
        cause: overdue(seen, seen.workersGone),
        limits: s.limits,
      }),
      set({
        reservation: cond(
          w('again'),
          merge(
            field('reservation'),
            object({ run: add(reservation('run'), 1), decideUntil: add(now, s.capture.decideMs) }),
          ),
          field('reservation'),
        ),
      }),
    ],
    last: {
      kind: cond(w('again'), 'requeue', cond(w('ended'), 'settled', 'nothing')),
      id: ifNull(w('was.attemptId'), null),
    },
  };
}

/** Rule 7: this session's verified attempt, of the guard's epoch, not older than a minute; or taken within one. */
export function isRedeemable(i: AttemptRef, s: GuardSettings, bound: Expr): Expr {
  const since = subtract(bound, s.limits.redeemSeconds * SECOND);
  const mine = only(field('recent'), (a) =>
    and(
      eq(a('attemptId'), i.attemptId),
      eq(a('sessionId'), i.sessionId),
      eq(a('outcome'), 'verified'),
      eq(a('lockEpoch'), field('lockEpoch')),
      gte(ifNull(a('redeemedAt'), a('endedAt')), since),
    ),
  );
  return and(eq(field('state'), 'active'), gt(size(mine), 0));
}

export function redeem(i: AttemptRef): Update {
  const untaken = only(field('recent'), (a) => and(eq(a('attemptId'), i.attemptId), isNull(a('redeemedAt'))));
  return {
    changed: w('first'),
    stages: [
      set({ 'w.first': gt(size(untaken), 0) }),
      set({
        recent: each(field('recent'), (a) =>
          cond(eq(a('attemptId'), i.attemptId), merge(a(), object({ redeemedAt: ifNull(a('redeemedAt'), now) })), a()),
        ),
      }),
    ],
    last: { kind: cond(w('first'), 'first', 'again') },
  };
}
