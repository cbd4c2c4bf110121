import {
  type EventReason,
  type EventType,
  type GuardLimits,
  type MatchResult,
  type QualityCode,
  type SealedPart,
  type UnjudgedResult,
} from '#contracts';
import { FAILED_VERDICTS, type AttemptClass } from './classify.js';
import {
  add,
  and,
  at,
  bind,
  choose,
  concat,
  cond,
  eq,
  type Expr,
  field,
  firstOf,
  gt,
  gte,
  ifNull,
  isIn,
  isNull,
  isoTime,
  list,
  lt,
  lte,
  max,
  maybe,
  merge,
  mod,
  ne,
  not,
  object,
  only,
  type Operand,
  optional,
  or,
  present,
  pushRing,
  size,
  subtract,
  text,
} from './expressions.js';
import { eventEntry, mailEntry } from './outbox.js';
import { live, now, reservation, set, type Stage, stepEnd, steps, w } from './pipeline.js';
import type { AttemptOutcome, Epochs } from './types.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const STRIKES_KEPT = 64;
const UNCHARGED_KEPT = 64;
const FREE_KEPT = 32;

/** Why a reservation leaves, as far as the caller knows; the verdicts are judged inside the update. */
export type Cause =
  | {
      kind: 'decision';
      judgement: MatchResult['judgement'];
      stalledTwice: boolean;
      /** The similarity sealed for the attempt's end event; empty when there is none. */
      similarity: readonly SealedPart[];
      modelDigest: string;
      thresholdId: string | null;
    }
  | { kind: 'cancel' }
  | { kind: 'own_change' }
  | { kind: 'officer_change' }
  | { kind: 'unjudged'; reason: UnjudgedResult['reason'] }
  | ({ kind: 'overdue'; workersGone: boolean } & Epochs);

export interface SettleOptions {
  /** Whether the reservation leaves in this update; true only while there is one. */
  when: Expr;
  cause: Cause;
  limits: GuardLimits;
}

/** Nobody but the reconciler asks whether there are workers; a capture does not need one. */
export const overdue = (epochs: Epochs, workersGone = false): Cause => ({
  kind: 'overdue',
  transportEpoch: epochs.transportEpoch,
  storeEpoch: epochs.storeEpoch,
  workersGone,
});

interface End {
  class: AttemptClass;
  type: EventType | Expr;
  outcome: AttemptOutcome;
  reason?: EventReason | Expr;
  quality?: QualityCode | Expr;
}
const end = (e: End): Expr => object({ reason: null, quality: null, ...(e as unknown as Record<string, Operand>) });

/** The capture outlived a deadline: the attempt's, or the current step's with its body. */
export const captureOverdue = (bodyMs: number): Expr =>
  and(live, isNull(reservation('decideUntil')), or(gt(now, reservation('captureUntil')), gt(now, stepEnd(bodyMs))));
/** The decision should have been there by now. */
export const decisionOverdue: Expr = and(
  live,
  present(reservation('decideUntil')),
  gt(now, reservation('decideUntil')),
);
export const transportLost = ({ transportEpoch }: Pick<Epochs, 'transportEpoch'>): Expr =>
  transportEpoch === null ? eq(1, 1) : ne(reservation('transportEpoch'), transportEpoch);
const storeLost = ({ storeEpoch }: Epochs): Expr =>
  storeEpoch === null ? eq(1, 1) : ne(ifNull(reservation('storeEpoch'), null), storeEpoch);

/**
 * Lets the reservation leave: one entry of `recent` and one event, and whatever strike, lock and mail follow, all in
 * the same update ("What burns a strike", docs/architecture.md). `classifyAttempt` is the same judgement in TypeScript.
 */
export function settle({ when, cause, limits }: SettleOptions): Stage[] {
  const is = (...classes: AttemptClass[]): Expr => isIn(ifNull(w('end.class'), ''), classes);
  const verify = eq(reservation('purpose'), 'verify');
  const strikesAfter = add(field('strikes'), 1);
  return [
    set({ 'w.end': cond(when, classify(cause), null) }),
    set({
      'w.ended': present(w('end')),
      'w.strike': and(
        verify,
        // Who leaves on purpose, or shows nothing usable after the first step, pays every second time.
        or(is('failed'), and(is('abandoned'), eq(mod(add(field('abandoned'), 1), 2), 0))),
      ),
      'w.uncharged': or(is('retry', 'abandoned'), and(is('failed'), not(verify))),
      'w.abandoned': and(verify, is('abandoned')),
      'w.success': and(verify, is('success')),
      'w.free': is('free'),
    }),
    set({ 'w.lock': and(w('strike'), gte(strikesAfter, limits.strikesToLock)) }),
    set({
      strikeRing: cond(
        w('strike'),
        pushRing(within('strikeRing', limits.strikeRingDays * DAY), list(now), STRIKES_KEPT),
        field('strikeRing'),
      ),
      lockedUntil: cond(w('lock'), add(now, limits.lockMinutes * MINUTE), field('lockedUntil')),
      lockEpoch: add(field('lockEpoch'), cond(w('lock'), 1, 0)),
    }),
    set({
      'w.lockMail': and(
        w('lock'),
        lt(size(within('lockMails', 30 * MINUTE)), limits.lockMailPer30Min),
        lt(size(within('lockMails', DAY)), limits.lockMailPerDay),
      ),
      'w.strikeMail': and(
        w('strike'),
        gte(size(field('strikeRing')), limits.strikesForReview),
        or(isNull(field('strikeMailAt')), lte(field('strikeMailAt'), subtract(now, limits.strikeRingDays * DAY))),
      ),
      strikes: cond(w('strike'), cond(w('lock'), 0, strikesAfter), cond(w('success'), 0, field('strikes'))),
      consecutiveStrikes: cond(w('success'), 0, add(field('consecutiveStrikes'), cond(w('strike'), 1, 0))),
    }),
    set({
      recent: pushRing(field('recent'), maybe(w('ended'), attempt(limits)), limits.recentMax),
      outbox: concat(
        field('outbox'),
        maybe(w('ended'), endEvent(cause)),
        maybe(w('lock'), lockedEvent),
        maybe(w('lockMail'), lockMail(limits)),
        maybe(w('strikeMail'), strikeMail(limits)),
      ),
      lockMails: cond(w('lockMail'), pushRing(within('lockMails', DAY), list(now), 8), field('lockMails')),
      strikeMailAt: cond(w('strikeMail'), now, field('strikeMailAt')),
      abandoned: cond(w('success'), 0, add(field('abandoned'), cond(w('abandoned'), 1, 0))),
      uncharged: cond(
        w('uncharged'),
        pushRing(within('uncharged', DAY), list(now), UNCHARGED_KEPT),
        field('uncharged'),
      ),
      freeEnds: cond(w('free'), pushRing(within('freeEnds', DAY), list(now), FREE_KEPT), ifNull(field('freeEnds'), [])),
      shown: cond(and(w('ended'), verify), shownBy(cause, is), ifNull(field('shown'), null)),
      // What it was is still needed by stages that follow (a template to switch to).
      'w.was': field('reservation'),
      reservation: cond(w('ended'), null, field('reservation')),
    }),
  ];
}

/** The entries of a ring of times that are younger than so many ms. */
export const within = (ring: string, ms: number): Expr =>
  only(ifNull(field(ring), []), (time) => gt(time(), subtract(now, ms)));

/**
 * An attempt that was decided on its faces leaves nothing; any other leaves what it has shown, and with it whatever was
 * shown before it.
 */
function shownBy(cause: Cause, is: (...classes: AttemptClass[]) => Expr): Expr {
  const count = max(size(ifNull(reservation('revealedAt'), [])), ifNull(reservation('shownBefore'), 0));
  const kept = object({ actions: firstOf(ifNull(reservation('actions'), []), max(1, count)), at: now });
  return cause.kind === 'decision' ? cond(is('success', 'failed'), null, kept) : kept;
}

/** An empty list where there is no reservation: an expression must not fail even where its value is not used. */
const verdicts = ifNull(reservation('verdict'), []);

function classify(cause: Cause): Expr {
  const failed = only(verdicts, (v) => isIn(ifNull(v('kind'), ''), FAILED_VERDICTS));
  const unusable = only(verdicts, (v) => eq(v('kind'), 'quality'));
  const first = at(verdicts, 0);
  const firstUnusable = eq(kindOf(first), 'quality');
  if (cause.kind === 'officer_change')
    return end({ class: 'excused', type: 'error', outcome: 'error', reason: 'officer_change' });
  return choose(
    [
      [
        gt(size(failed), 0),
        end({ class: 'failed', type: 'failed', outcome: 'not_verified', reason: kindOf(at(failed, 0)) }),
      ],
      ...badJudgement(cause, eq(size(unusable), 0)),
      [
        firstUnusable,
        end({ class: 'retry', type: 'failed', outcome: 'retry', reason: 'quality', quality: codeOf(first) }),
      ],
      ...(cause.kind === 'decision'
        ? [
            [
              gt(size(unusable), 0),
              end({
                class: 'abandoned',
                type: 'abandoned',
                outcome: 'retry',
                reason: 'quality',
                quality: codeOf(at(unusable, 0)),
              }),
            ] as const,
            ...(cause.judgement === 'too_few_samples' ? [[eq(1, 1), tooFewSamples] as const] : []),
          ]
        : []),
    ],
    otherwise(cause),
  );
}

function badJudgement(cause: Cause, allUsable: Expr): (readonly [Expr, Expr])[] {
  if (cause.kind !== 'decision') return [];
  const { judgement } = cause;
  if (judgement !== 'spoof' && judgement !== 'not_one_person' && judgement !== 'mismatch') return [];
  const failed = end({ class: 'failed', type: 'failed', outcome: 'not_verified', reason: judgement });
  // No similarity counts unless every step could be judged.
  return [[judgement === 'mismatch' ? allUsable : eq(1, 1), failed]];
}

/** Every verdict that came was good, or there was none. */
function otherwise(cause: Exclude<Cause, { kind: 'officer_change' }>): Expr {
  switch (cause.kind) {
    case 'cancel':
      return end({ class: 'abandoned', type: 'cancelled', outcome: 'cancelled' });
    case 'own_change':
      return end({ class: 'abandoned', type: 'abandoned', outcome: 'cancelled', reason: 'own_change' });
    case 'overdue':
      return choose(
        [
          [
            or(transportLost(cause), storeLost(cause)),
            end({ class: 'excused', type: 'error', outcome: 'error', reason: 'transport_lost' }),
          ],
          // Nobody can tell a person who left from one whose network did: what stops shopping is the draw.
          [isNull(reservation('decideUntil')), end({ class: 'free', type: 'expired', outcome: 'expired' })],
        ],
        failedBy('worker_failed', cause.workersGone ? 'excused' : 'free'),
      );
    case 'unjudged':
      return failedBy(cause.reason);
    case 'decision':
      if (cause.stalledTwice) return failedBy('stalled_twice');
      return choose(
        [
          // Nothing was verified, so its event must not read `success`.
          [
            eq(reservation('purpose'), 'practice'),
            end({ class: 'practised', type: 'abandoned', outcome: 'practised' }),
          ],
          [not(allDone), workerFailed],
          [cause.judgement !== 'ok', workerFailed],
          [eq(reservation('purpose'), 'enrol'), end({ class: 'success', type: 'enrolled', outcome: 'enrolled' })],
        ],
        end({ class: 'success', type: 'success', outcome: 'verified' }),
      );
  }
}

const allDone = eq(size(only(verdicts, (v) => eq(v('kind'), 'done'))), steps);
const failedBy = (reason: EventReason, cls: AttemptClass = 'free'): Expr =>
  end({ class: cls, type: 'error', outcome: 'error', reason });
const workerFailed = failedBy('worker_failed');
const tooFewSamples = end({
  class: 'abandoned',
  type: 'abandoned',
  outcome: 'retry',
  reason: 'quality',
  quality: 'too_few_frames',
});
const kindOf = (verdict: Expr): Expr => bind('verdict', verdict, (v) => ifNull(v('kind'), null));
const codeOf = (verdict: Expr): Expr => bind('verdict', verdict, (v) => ifNull(v('code'), null));

const attempt = (limits: GuardLimits): Expr =>
  object({
    attemptId: reservation('attemptId'),
    sessionId: reservation('sessionId'),
    purpose: reservation('purpose'),
    outcome: cond(w('lock'), 'locked', w('end.outcome')),
    eventType: w('end.type'),
    reason: w('end.reason'),
    quality: w('end.quality'),
    charged: w('strike'),
    attemptsRemaining: cond(and(w('strike'), not(w('lock'))), subtract(limits.strikesToLock, field('strikes')), null),
    lockedUntil: cond(w('lock'), field('lockedUntil'), null),
    lockEpoch: reservation('lockEpoch'),
    endedAt: now,
    lastStepAt: reservation('lastStepAt'),
    redeemedAt: null,
    held: and(w('success'), gt(ifNull(field('template.heldUntil'), null), now)),
  });

function endEvent(cause: Cause): Expr {
  const decided: Readonly<Record<string, Operand>> =
    cause.kind === 'decision' ? { modelDigest: cause.modelDigest, thresholdId: cause.thresholdId } : {};
  const similarity =
    cause.kind === 'decision' ? cond(isIn(w('end.class'), ['success', 'failed']), cause.similarity, []) : [];
  return eventEntry({
    eventId: reservation('eventIds.end'),
    type: w('end.type'),
    sealed: merge(
      object({
        parts: concat(reservation('sealed.end.parts'), similarity),
        tags: reservation('sealed.end.tags'),
      }),
      optional('proof', reservation('sealed.end.proof')),
    ),
    more: {
      sessionId: reservation('sessionId'),
      attemptId: reservation('attemptId'),
      reason: w('end.reason'),
      charged: w('strike'),
      lockEpoch: reservation('lockEpoch'),
      ...decided,
    },
  });
}

const lockedEvent = eventEntry({
  eventId: reservation('eventIds.locked'),
  type: 'locked',
  sealed: reservation('sealed.locked'),
  more: {
    sessionId: reservation('sessionId'),
    attemptId: reservation('attemptId'),
    lockEpoch: field('lockEpoch'),
  },
});

const lockMail = (limits: GuardLimits): Expr =>
  mailEntry({
    mailId: text('lock-', field('_id'), '-', field('lockEpoch')),
    template: 'face_locked',
    sealedOrigin: reservation('sealed.mail'),
    params: { lockMinutes: limits.lockMinutes, lockedUntil: isoTime(field('lockedUntil')) },
  });
const strikeMail = (limits: GuardLimits): Expr =>
  mailEntry({
    mailId: text('failures-', reservation('attemptId')),
    template: 'many_failures',
    sealedOrigin: reservation('sealed.mail'),
    params: { count: size(field('strikeRing')), days: limits.strikeRingDays },
  });
