import type { mongo } from 'mongoose';
import {
  add,
  and,
  at,
  bind,
  cond,
  eq,
  Expr,
  field,
  gt,
  ifNull,
  isNull,
  min,
  not,
  object,
  type Operand,
  present,
  pushRing,
  size,
  toJson,
  variable,
} from './expressions.js';
import type { GuardDocument } from './types.js';

/** Where "now" comes from: the database's clock, unless a test injects another. The only such seam. */
export interface GuardClock {
  now(): Expr;
}
export const databaseClock: GuardClock = { now: () => variable('NOW') };
/** For tests: the database's clock moved by so many milliseconds, or a fixed time. */
export const shiftedClock = (offsetMs: () => number): GuardClock => ({ now: () => add(variable('NOW'), offsetMs()) });
export const fixedClock = (now: () => Date): GuardClock => ({ now: () => new Expr({ $literal: now() }) });

export const OPERATION_MS = 2_000;
export const WRITE_CONCERN = { w: 'majority', j: true, wtimeoutMS: OPERATION_MS } as const;

export type Stage = { $set: Record<string, unknown> } | { $unset: string[] };
export type GuardFilter = mongo.Filter<GuardDocument>;

/** One stage; its expressions see the document as the stage before left it. Keys are ours. */
export const set = (fields: Readonly<Record<string, Operand>>): Stage => ({
  $set: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, toJson(value)])),
});

/** Intermediate results of one update live under `w` and never reach the stored document. */
export const now = field('w.now');
export const w = (path: string): Expr => field(`w.${path}`);
export const reservation = (path: string): Expr => field(`reservation.${path}`);
export const live = present(reservation('attemptId'));
/** How many steps the live attempt has; 0 where there is none. */
export const steps = size(ifNull(reservation('actions'), []));

const OPS_KEPT = 64;

/** The attempt that left in this update, so that whoever made it can delete what belongs to it elsewhere. */
const settled = cond(
  ifNull(w('ended'), false),
  object({ attemptId: w('was.attemptId'), run: w('was.run'), digest: w('was.digest') }),
  null,
);

export interface Update {
  /** What the transition does; starts with the clock at `now`. */
  stages: Stage[];
  /** What happened, computed; read back from the returned document's `last`. */
  last: Readonly<Record<string, Operand>>;
  /** Whether the document changed; a refusal leaves `rev` alone. */
  changed?: Operand;
  /** Remembered if something changed, so that a repeat is recognised. */
  opId?: string;
}

/** The whole pipeline of a transition: clock, its stages, then everything that is derived from the document. */
export function buildUpdate(clock: GuardClock, bodyMs: number, update: Update): Stage[] {
  const changed = update.changed ?? true;
  return [
    set({ 'w.now': clock.now() }),
    ...update.stages,
    set({
      last: new Expr({
        $mergeObjects: [
          Object.fromEntries(
            Object.entries({ ...update.last, at: now, settled }).map(([key, value]) => [key, toJson(value)]),
          ),
        ],
      }),
      rev: add(field('rev'), cond(changed, 1, 0)),
      ...(update.opId === undefined
        ? {}
        : { ops: cond(changed, pushRing(field('ops'), [update.opId], OPS_KEPT), field('ops')) }),
      dueAt: dueAt(bodyMs),
      hasDue: live,
      hasOutbox: gt(size(field('outbox')), 0),
      outboxSince: bind('first', at(field('outbox'), 0), (first) =>
        ifNull(ifNull(first('event.timestamp'), first('at')), null),
      ),
    }),
    { $unset: ['w'] },
  ];
}

/** When the reservation wants attention: the end of the current step with its body, of the capture, or of the decision. */
const dueAt = (bodyMs: number): Expr =>
  cond(
    live,
    cond(
      isNull(reservation('decideUntil')),
      min(reservation('captureUntil'), stepEnd(bodyMs)),
      reservation('decideUntil'),
    ),
    null,
  );

/** End of the current step's window plus the time its body may take. */
export const stepEnd = (bodyMs: number): Expr =>
  add(at(reservation('revealedAt'), -1), reservation('windowMs'), bodyMs);

/**
 * The one filter builder. `$$NOW` is bound by `$let`: used plainly in a filter it fails on DocumentDB once the collection
 * has an index. `$eq` keeps an id that is no string from being read as an operator.
 */
export function where(clock: GuardClock, userId: string, test?: (now: Expr) => Expr): GuardFilter {
  const byId = { _id: { $eq: userId } };
  return test ? { ...byId, ...nowFilter(clock, test) } : byId;
}
export const nowFilter = (clock: GuardClock, test: (now: Expr) => Expr): GuardFilter => ({
  $expr: bind('now', clock.now(), (bound) => test(bound())).json,
});

/** The operation has not been done yet. */
export const notDone = (opId: string): Expr => not(new Expr({ $in: [{ $literal: opId }, '$ops'] }));
/** The live reservation is this attempt of this session. */
export const isAttempt = (attemptId: string, sessionId: string): Expr =>
  and(eq(reservation('attemptId'), attemptId), eq(reservation('sessionId'), sessionId));
