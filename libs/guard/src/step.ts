import type { StepResult } from '#contracts';
import {
  add,
  and,
  at,
  choose,
  concat,
  cond,
  eq,
  type Expr,
  field,
  gt,
  isNull,
  list,
  lt,
  maybe,
  merge,
  not,
  object,
  or,
  replaceAt,
  subtract,
} from './expressions.js';
import { isAttempt, now, reservation, set, steps, type Update, w } from './pipeline.js';
import { isDue } from './decide.js';
import { captureOverdue, overdue, settle } from './settle.js';
import type { GuardSettings } from './settings.js';
import type { GuardStore } from './types.js';

type StepInput = Parameters<GuardStore['acceptStep']>[0];

/**
 * Rule 3. Accepted iff it is the awaited step, inside its window (measured to the request's first byte) and its body
 * came in time; of parallel uploads the first one raises `next`. A late one settles the attempt as expired.
 */
export function acceptStep(input: StepInput, s: GuardSettings): Update {
  const revealed = at(reservation('revealedAt'), -1);
  const firstByte = subtract(now, Math.max(0, input.firstByteAgoMs));
  const late = and(
    eq(reservation('next'), input.step),
    or(gt(firstByte, add(revealed, reservation('windowMs'))), input.firstByteAgoMs > s.capture.bodyMs),
  );
  const last = eq(steps, input.step);
  const code = choose(
    [
      [w('ended'), 'attempt_over'],
      [gt(reservation('next'), input.step), 'step_already_received'],
      [lt(reservation('next'), input.step), 'step_out_of_order'],
      [lt(firstByte, add(revealed, s.capture.windowMinMs)), 'step_too_early'],
    ],
    'accepted',
  );
  return {
    changed: or(w('ended'), w('accepted')),
    stages: [
      ...settle({
        when: or(captureOverdue(s.capture.bodyMs), late),
        cause: overdue(input),
        limits: s.limits,
      }),
      set({ 'w.code': code }),
      set({ 'w.accepted': eq(w('code'), 'accepted') }),
      set({
        reservation: cond(
          w('accepted'),
          merge(
            field('reservation'),
            object({
              digest: concat(reservation('digest'), list(input.digest)),
              next: input.step + 1,
              lastStepAt: cond(last, now, null),
              decideUntil: cond(last, add(now, s.capture.decideMs), null),
              revealedAt: concat(reservation('revealedAt'), maybe(not(last), now)),
            }),
          ),
          field('reservation'),
        ),
      }),
    ],
    last: { kind: w('code') },
  };
}

/** The losers of parallel uploads write nothing, or a hundred of them would queue for the document. An overdue one is settled. */
export const acceptStepFilter =
  (input: StepInput) =>
  (bound: Expr): Expr =>
    and(isAttempt(input.attemptId, input.sessionId), or(not(gt(reservation('next'), input.step)), isDue(bound)));

/** Every signed field of a step's result but the run: a step's verdict is good for any run of the decision. */
export const isResultOfStep = (r: StepResult): Expr =>
  and(
    eq(field('lockEpoch'), r.lockEpoch),
    eq(reservation('attemptId'), r.attemptId),
    eq(reservation('challengeId'), r.challengeId),
    eq(reservation('purpose'), r.purpose),
    eq(reservation('lockEpoch'), r.lockEpoch),
    eq(at(reservation('actions'), r.step - 1), r.action),
    eq(at(reservation('digest'), r.step - 1), r.framesDigest),
  );

/** The step has no verdict yet: the first one wins. */
export const awaitsVerdict = (step: number): Expr => isNull(at(reservation('verdict'), step - 1));
/** The step has this very verdict: its result came again. */
export const hasVerdict = (r: StepResult): Expr => eq(at(reservation('verdict'), r.step - 1), r.verdict);

export const recordVerdict = (r: StepResult): Update => ({
  stages: [
    set({
      reservation: merge(
        field('reservation'),
        object({ verdict: replaceAt(reservation('verdict'), r.step - 1, r.verdict) }),
      ),
    }),
  ],
  last: { kind: 'recorded' },
});
