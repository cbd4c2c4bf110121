import { type Action, CHALLENGE_NEW_STEPS, shownStepsMax } from '#contracts';
import {
  add,
  and,
  at,
  choose,
  concat,
  cond,
  each,
  eq,
  type Expr,
  field,
  firstOf,
  gt,
  gte,
  ifNull,
  isIn,
  isNull,
  type Item,
  list,
  lt,
  lte,
  max,
  maybe,
  merge,
  multiply,
  ne,
  not,
  object,
  only,
  type Operand,
  or,
  present,
  pushRing,
  size,
  subtract,
  wholeSeconds,
} from './expressions.js';
import { eventEntry } from './outbox.js';
import { live, now, reservation, set, type Stage, type Update, w } from './pipeline.js';
import { BUSY_RETRY_SECONDS, type BeginPlan, OUTBOX_LAG_MS, TURN_MS, UNCOUNTED_EVENTS } from './refusal.js';
import { captureOverdue, overdue, settle, within } from './settle.js';
import type { GuardSettings } from './settings.js';
import { attemptEventIds, type SealedAttempt, type SealedOrigin } from './sealer.js';
import type { BeginInput } from './types.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
const REFUSALS_KEPT = 8;

/** What the attempt, or its refusal, may have to tell of where it came from. */
export interface SealedBegin {
  attempt: SealedAttempt;
  refused: SealedOrigin;
}

/**
 * Rule 2. Settles what is overdue, then reserves the user's only attempt, or computes the exact refusal; both in one
 * update with one clock, so that of any number of parallel begins one finds no reservation.
 */
export function begin(input: BeginInput, sealed: SealedBegin, plan: BeginPlan, s: GuardSettings): Update {
  return {
    opId: input.attemptId,
    changed: or(isNull(w('refusal')), ifNull(w('ended'), false), ifNull(w('tellRefused'), false)),
    stages: [
      ...(plan.settles ? settleAbandoned(input, s) : []),
      set({
        'w.tenMinutes': within('uncharged', 10 * MINUTE),
        'w.day': within('uncharged', DAY),
        'w.freeTenMinutes': within('freeEnds', 10 * MINUTE),
        'w.freeDay': within('freeEnds', DAY),
        'w.repeated': isIn(input.attemptId, field('ops')),
        'w.shown': input.purpose === 'verify' ? stillShown(input.actions, s) : [],
      }),
      set({ 'w.actions': concat(w('shown'), newActions(input.actions)) }),
      set({ 'w.refusal': refusal(input, s) }),
      ...(plan.tells ? tellRefused(input, sealed.refused, s) : []),
      set({ reservation: cond(isNull(w('refusal')), newReservation(input, sealed.attempt, s), field('reservation')) }),
    ],
    last: {
      // A repeat of a begin whose attempt lives answers as the first did.
      kind: cond(
        and(w('repeated'), eq(reservation('attemptId'), input.attemptId)),
        'begun',
        ifNull(w('refusal.code'), 'begun'),
      ),
      seconds: ifNull(w('refusal.seconds'), null),
      id: ifNull(w('refusal.attemptId'), null),
    },
  };
}

const settleAbandoned = (input: BeginInput, s: GuardSettings): Stage[] =>
  settle({
    when: isAbandoned(s),
    cause: overdue(input),
    limits: s.limits,
  });

/**
 * A capture past its deadlines; a decision only when even its last run is past (a decision that is merely late belongs
 * to the reconciler, else a slow worker would give an attacker free tries).
 */
function isAbandoned(s: GuardSettings): Expr {
  const lastRunEnds = add(
    reservation('decideUntil'),
    multiply(subtract(s.capture.decideRunsMax, reservation('run')), s.capture.decideMs),
  );
  return or(captureOverdue(s.capture.bodyMs), and(live, present(reservation('decideUntil')), gt(now, lastRunEnds)));
}

const refuse = (code: string, more: Readonly<Record<string, Operand>> = {}): Expr => object({ code, ...more });

/**
 * The first reason not to begin, or null. `strikes < 3` needs no test of its own: the third strike sets them to 0 and
 * locks in the same update. The lock comes before consent: the fourth attempt learns that it is locked.
 */
function refusal(input: BeginInput, s: GuardSettings): Expr {
  const faceTests: [Operand, Operand][] = [
    [gte(field('consecutiveStrikes'), s.limits.strikesToDisable), refuse('face_disabled')],
    [locked, refuse('face_locked', { seconds: secondsUntil(field('lockedUntil')) })],
  ];
  const templateTests: [Operand, Operand][] = [
    [isNull(field('template')), refuse('enrolment_required')],
    [
      or(
        ne(field('template.modelDigest'), input.currentModelDigest),
        // A demand made while this update waited for its turn counts.
        and(present(field('reEnrolBy')), lte(field('reEnrolBy'), add(now, TURN_MS))),
        lte(add(field('template.enrolledAt'), s.limits.reEnrolDays * DAY), now),
      ),
      refuse('re_enrolment_required'),
    ],
  ];
  const verify = input.purpose === 'verify';
  return choose(
    [
      [ne(field('state'), 'active'), refuse('account_inactive')],
      ...(verify ? faceTests : []),
      [isNull(field('consentVersion')), refuse('consent_required')],
      [ne(field('consentVersion'), input.currentConsentVersion), refuse('consent_outdated')],
      ...(verify ? templateTests : []),
      [
        live,
        refuse('attempt_in_progress', {
          seconds: secondsUntil(ifNull(reservation('decideUntil'), reservation('captureUntil'))),
          attemptId: cond(eq(reservation('sessionId'), input.sessionId), reservation('attemptId'), null),
        }),
      ],
      [w('repeated'), refuse('attempt_in_progress', { seconds: 1, attemptId: input.attemptId })],
      [
        full('w.day', s.limits.unchargedPerDay),
        refuse('too_many_attempts', { seconds: freed('w.day', s.limits.unchargedPerDay, DAY) }),
      ],
      [
        full('w.tenMinutes', s.limits.unchargedPer10Min),
        refuse('too_many_attempts', { seconds: freed('w.tenMinutes', s.limits.unchargedPer10Min, 10 * MINUTE) }),
      ],
      [
        full('w.freeDay', s.limits.freePerDay),
        refuse('too_many_attempts', { seconds: freed('w.freeDay', s.limits.freePerDay, DAY) }),
      ],
      [
        full('w.freeTenMinutes', s.limits.freePer10Min),
        refuse('too_many_attempts', { seconds: freed('w.freeTenMinutes', s.limits.freePer10Min, 10 * MINUTE) }),
      ],
      [
        or(
          gte(size(only(field('outbox'), counts)), s.limits.outboxMax),
          and(present(field('outboxSince')), lt(field('outboxSince'), subtract(now, OUTBOX_LAG_MS))),
        ),
        refuse('busy', { seconds: BUSY_RETRY_SECONDS }),
      ],
    ],
    null,
  );
}

const counts = (entry: Item): Expr => not(isIn(ifNull(entry('event.type'), ''), [...UNCOUNTED_EVENTS]));
const locked: Expr = and(present(field('lockedUntil')), gt(field('lockedUntil'), now));
const secondsUntil = (time: Operand): Expr => max(1, wholeSeconds(subtract(time, now)));
const full = (path: string, limit: number): Expr => gte(size(field(path)), limit);
/** When the ring will hold one less than the limit: the entry at `size - limit` must leave. */
const freed = (path: string, limit: number, ms: number): Expr =>
  secondsUntil(add(at(field(path), subtract(size(field(path)), limit)), ms));

/**
 * A begin refused by the lock leaves one `refused` event a session and minute; those within the minute are counted in
 * the session's next one. With a full outbox they only wait.
 */
function tellRefused(input: BeginInput, refused: SealedOrigin, s: GuardSettings): Stage[] {
  const mine = only(field('refusals'), (r) => eq(r('sessionId'), input.sessionId));
  const others = only(field('refusals'), (r) => ne(r('sessionId'), input.sessionId));
  return [
    set({ 'w.refusedByLock': eq(ifNull(w('refusal.code'), ''), 'face_locked'), 'w.mine': mine }),
    set({
      'w.tellRefused': and(
        w('refusedByLock'),
        lt(size(field('outbox')), s.limits.outboxMax),
        or(eq(size(w('mine')), 0), gt(size(only(w('mine'), (r) => lte(r('at'), subtract(now, MINUTE)))), 0)),
      ),
    }),
    set({
      outbox: concat(
        field('outbox'),
        maybe(
          w('tellRefused'),
          eventEntry({
            eventId: refused.eventId,
            type: 'refused',
            sealed: refused.sealed,
            more: {
              sessionId: input.sessionId,
              lockEpoch: field('lockEpoch'),
              count: add(1, ifNull(at(refusalCounts, 0), 0)),
            },
          }),
        ),
      ),
      refusals: cond(
        w('tellRefused'),
        pushRing(others, list(object({ sessionId: input.sessionId, at: now, more: 0 })), REFUSALS_KEPT),
        cond(w('refusedByLock'), countOneMore(input.sessionId), field('refusals')),
      ),
    }),
  ];
}
const refusalCounts: Expr = each(w('mine'), (r) => r('more'));
const countOneMore = (sessionId: string): Expr =>
  each(field('refusals'), (r) =>
    merge(r(), object({ more: add(r('more'), cond(eq(r('sessionId'), sessionId), 1, 0)) })),
  );

/** What the next attempt begins with; a gesture that its user has since opted out of is not asked for. */
function stillShown(drawn: readonly Action[], s: GuardSettings): Expr {
  const since = subtract(now, s.limits.shownMinutes * MINUTE);
  const shown = cond(gt(ifNull(field('shown.at'), new Date(0)), since), ifNull(field('shown.actions'), []), []);
  const wanted = only(shown, (action) => not(isIn(action(), field('optOuts'))));
  return firstOf(wanted, shownStepsMax(drawn.length));
}
const newActions = (drawn: readonly Action[]): Expr =>
  firstOf(drawn, max(CHALLENGE_NEW_STEPS, subtract(drawn.length, size(w('shown')))));

function newReservation(input: BeginInput, sealed: SealedAttempt, s: GuardSettings): Expr {
  return object({
    attemptId: input.attemptId,
    challengeId: input.challengeId,
    sessionId: input.sessionId,
    purpose: input.purpose,
    actions: w('actions'),
    shownBefore: size(w('shown')),
    revealedAt: list(now),
    digest: [],
    verdict: each(w('actions'), () => null),
    next: 1,
    run: 0,
    windowMs: cond(field('extraTime'), 2 * s.capture.windowMaxMs, s.capture.windowMaxMs),
    templateId: input.templateId,
    hold: input.hold,
    boundFrom: input.boundFrom,
    captureUntil: add(
      now,
      multiply(size(w('actions')), cond(field('extraTime'), s.capture.stepMsExtraTime, s.capture.stepMs)),
    ),
    decideUntil: null,
    lastStepAt: null,
    lockEpoch: field('lockEpoch'),
    transportEpoch: input.transportEpoch,
    storeEpoch: input.storeEpoch,
    eventIds: attemptEventIds(input.attemptId),
    sealed: { ...sealed },
  });
}
