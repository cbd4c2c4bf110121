import {
  CAPTURE_LIMITS,
  CHALLENGE_STEPS_MAX,
  GUARD_LIMITS,
  type GuardLimits,
  type KnownOfEvent,
  type Origin,
} from '#contracts';
import { randomUUID } from 'node:crypto';
import type { mongo } from 'mongoose';
import { begin, type SealedBegin } from './begin.js';
import { appendEvent, change, knownOf, setPreferences } from './change.js';
import {
  cancel,
  canCancel,
  decide,
  decisionId,
  giveUp,
  isDecisionFor,
  isDue,
  isRedeemable,
  isUnjudged,
  redeem,
  settleOverdue,
} from './decide.js';
import { and, eq, type Expr, field, gt, ifNull, isIn, lt, not, only, size } from './expressions.js';
import {
  buildUpdate,
  databaseClock,
  type GuardClock,
  notDone,
  nowFilter,
  OPERATION_MS,
  set,
  type Update,
  where,
  WRITE_CONCERN,
} from './pipeline.js';
import { prepareEvent, sealOrigin } from './outbox.js';
import { planBegin } from './refusal.js';
import { attemptEventIds, type EventSealer, sealAttempt, type SealedOrigin } from './sealer.js';
import { uuidOf } from '#sealing';
import type { CaptureTimes, GuardSettings } from './settings.js';
import { acceptStep, acceptStepFilter, awaitsVerdict, hasVerdict, isResultOfStep, recordVerdict } from './step.js';
import { summarise, viewAttempt } from './summary.js';
import type {
  AttemptAge,
  AuditEventInput,
  BeginInput,
  BeginOutcome,
  ChangeOutcome,
  GuardDocument,
  GuardStore,
  PreparedEvent,
  RecentAttempt,
  Reservation,
  SettledAttempt,
  SettleOutcome,
  StepOutcome,
} from './types.js';

const DUPLICATE_KEY = 11_000;
/** Events of which the next one carries the count, so that a flood while audit is away cannot grow the document. */
const COUNTED_ELSEWHERE: readonly string[] = ['refused', 'login_failed'];

export interface GuardStoreOptions {
  /** `connection.collection('face_guards')`. */
  collection: mongo.Collection<GuardDocument>;
  sealer: EventSealer;
  limits?: Partial<GuardLimits>;
  capture?: Partial<CaptureTimes>;
  clock?: GuardClock;
  newId?: () => string;
  /** Told of every attempt that left, whatever ended it. Must not throw: the guard has been written. */
  onSettled?: (attempt: SettledAttempt) => Promise<void>;
}

/** The guards of all users, in MongoDB. The only place that writes `face_guards`. */
export function createGuardStore(o: GuardStoreOptions): GuardStore {
  return new MongoGuardStore(
    o.collection,
    o.sealer,
    {
      limits: { ...GUARD_LIMITS, ...o.limits },
      capture: { ...CAPTURE_LIMITS, ...o.capture },
      clock: o.clock ?? databaseClock,
      newId: o.newId ?? randomUUID,
    },
    o.onSettled ?? (() => Promise.resolve()),
  );
}

class MongoGuardStore implements GuardStore {
  constructor(
    private readonly guards: mongo.Collection<GuardDocument>,
    private readonly sealer: EventSealer,
    private readonly s: GuardSettings,
    private readonly onSettled: (attempt: SettledAttempt) => Promise<void>,
  ) {}

  async ensureIndexes(): Promise<void> {
    await this.guards.createIndex({ hasOutbox: 1 }, { partialFilterExpression: { hasOutbox: true } });
    await this.guards.createIndex({ hasDue: 1 }, { partialFilterExpression: { hasDue: true } });
    await this.guards.createIndex({ isNew: 1 }, { partialFilterExpression: { isNew: true } });
  }

  async create(userId: string, o: { faceRequired: boolean; event: AuditEventInput }): Promise<void> {
    try {
      await this.guards.insertOne(newGuard(userId, o.faceRequired), {
        writeConcern: WRITE_CONCERN,
        maxTimeMS: OPERATION_MS,
      });
    } catch (error) {
      // A registration that is tried again; the event below is told apart by its id.
      if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
    }
    await this.appendEvent(userId, o.event);
  }

  async begin(input: BeginInput): Promise<BeginOutcome> {
    // Side by side: whose key is not known any more is rarely asked for.
    const [found, sealed] = await Promise.all([this.read(input.userId), this.sealBegin(input)]);
    if (!found) return { kind: 'refused', code: 'not_found' };
    const { refusal, plan } = planBegin(found.guard, input, found.now, this.s);
    // A refusal that leaves no trace needs no write: a crowd of refused begins does not queue for the document.
    const again = found.guard.reservation?.attemptId === input.attemptId;
    if (refusal && !plan.settles && !plan.tells && !again) return { kind: 'refused', ...refusal };
    const guard = await this.update(input.userId, begin(input, sealed, plan, this.s));
    return guard ? beginOutcome(guard) : { kind: 'refused', code: 'not_found' };
  }

  async acceptStep(i: Parameters<GuardStore['acceptStep']>[0]): Promise<StepOutcome> {
    const inRange = Number.isInteger(i.step) && i.step >= 1 && i.step <= CHALLENGE_STEPS_MAX;
    if (!inRange) return { kind: 'refused', code: 'not_found' };
    const guard = await this.update(i.userId, acceptStep(i, this.s), acceptStepFilter(i));
    if (guard) {
      const code = guard.last.kind as 'accepted' | (StepOutcome & { kind: 'refused' })['code'];
      return code === 'accepted' ? { kind: 'accepted', reservation: reservationOf(guard) } : { kind: 'refused', code };
    }
    const view = await this.view(i);
    // `next` only rises: it was past this step when the filter was tried.
    if (view.kind === 'live') return { kind: 'refused', code: 'step_already_received' };
    return { kind: 'refused', code: view.kind === 'ended' ? 'attempt_over' : 'not_found' };
  }

  async recordVerdict(result: Parameters<GuardStore['recordVerdict']>[0]): ReturnType<GuardStore['recordVerdict']> {
    const guard =
      (await this.update(result.userId, recordVerdict(result), () =>
        and(isResultOfStep(result), awaitsVerdict(result.step)),
      )) ??
      // The same result again: the same answer. A verdict never changes, so reading it afterwards is no race.
      (await this.find(where(this.s.clock, result.userId, () => and(isResultOfStep(result), hasVerdict(result)))));
    if (!guard) return { kind: 'stale' };
    const reservation = reservationOf(guard);
    const complete = reservation.next > reservation.actions.length && reservation.verdict.every((v) => v !== null);
    return { kind: 'recorded', complete, reservation };
  }

  async decide(
    result: Parameters<GuardStore['decide']>[0],
    similarity: number | null,
  ): ReturnType<GuardStore['decide']> {
    const update = decide(result, await this.sealSimilarity(result, similarity), this.s);
    const guard =
      (await this.update(result.userId, update, () => isDecisionFor(result))) ??
      // A second delivery changes nothing and answers the same.
      (await this.find(where(this.s.clock, result.userId, () => isIn(decisionId(result), field('ops')))));
    const attempt = guard?.recent.find((a) => a.attemptId === result.attemptId);
    return attempt ? { kind: 'decided', attempt } : { kind: 'stale' };
  }

  async giveUp(result: Parameters<GuardStore['giveUp']>[0]): ReturnType<GuardStore['giveUp']> {
    const guard = await this.update(result.userId, giveUp(result, this.s), () => isUnjudged(result));
    const attempt = guard?.recent.find((a) => a.attemptId === result.attemptId);
    return attempt ? { kind: 'decided', attempt } : { kind: 'stale' };
  }

  async cancel(i: Parameters<GuardStore['cancel']>[0]): ReturnType<GuardStore['cancel']> {
    const guard = await this.update(i.userId, cancel(this.s), () => canCancel(i));
    const attempt = guard ? endedIn(guard, i) : await this.ended(i);
    if (attempt) return { kind: 'decided', attempt };
    const view = await this.view(i);
    return view.kind === 'live' ? { kind: 'stale' } : { kind: 'not_found' };
  }

  async settleOverdue(...[userId, seen]: Parameters<GuardStore['settleOverdue']>): Promise<SettleOutcome> {
    const guard = await this.update(userId, settleOverdue(seen, this.s), isDue);
    if (!guard) return { kind: 'nothing' };
    if (guard.last.kind === 'requeue') return { kind: 'requeue', reservation: reservationOf(guard) };
    const attempt = guard.recent.find((a) => a.attemptId === guard.last.id);
    return guard.last.kind === 'settled' && attempt ? { kind: 'settled', attempt } : { kind: 'nothing' };
  }

  async findDue(limit: number): Promise<string[]> {
    const due = this.guards
      .find({ hasDue: true, ...nowFilter(this.s.clock, isDue) }, { projection: { _id: 1 }, maxTimeMS: OPERATION_MS })
      .sort({ dueAt: 1 })
      .limit(limit);
    return (await due.toArray()).map((guard) => guard._id);
  }

  async liveCount(max: number): Promise<number> {
    return this.guards.countDocuments({ hasDue: true }, { limit: max, maxTimeMS: OPERATION_MS });
  }

  async redeem(i: Parameters<GuardStore['redeem']>[0]): ReturnType<GuardStore['redeem']> {
    const guard = await this.update(i.userId, redeem(i), (now) => isRedeemable(i, this.s, now));
    const attempt = guard && endedIn(guard, i);
    return attempt ? { kind: 'granted', attempt, first: guard.last.kind === 'first' } : { kind: 'refused' };
  }

  async view(i: Parameters<GuardStore['view']>[0]): ReturnType<GuardStore['view']> {
    const found = await this.read(i.userId);
    return found ? viewAttempt(found.guard, i, found.now, this.s.limits.strikesToDisable) : { kind: 'unknown' };
  }

  async summary(userId: string): ReturnType<GuardStore['summary']> {
    const found = await this.read(userId);
    return found && summarise(found.guard, found.now, this.s.limits.strikesToDisable);
  }

  async attemptAge(userId: string, attemptId: string): Promise<AttemptAge> {
    const found = await this.read(userId);
    if (found?.guard.reservation?.attemptId === attemptId) return { kind: 'live' };
    const ended = found?.guard.recent.find((a) => a.attemptId === attemptId);
    if (!found || !ended) return { kind: 'unknown' };
    return { kind: 'ended', secondsAgo: (found.now.getTime() - ended.endedAt.getTime()) / 1_000 };
  }

  async change(...[userId, what, from, opId]: Parameters<GuardStore['change']>): Promise<ChangeOutcome> {
    const sealed = 'sealed' in from ? from : await this.sealOrigin(userId, from, knownOf(what, this.s));
    return this.changeOnce(userId, change(what, sealed, opId, this.s), opId);
  }

  async prepare(...[userId, what, origin, opId]: Parameters<GuardStore['prepare']>): Promise<SealedOrigin> {
    return sealOrigin(uuidOf(`change:${opId}`), origin, await this.sealer.of(userId), knownOf(what, this.s));
  }

  async prepareEvent(userId: string, event: AuditEventInput): Promise<PreparedEvent> {
    return prepareEvent(event, await this.sealer.of(userId));
  }

  async setPreferences(...[userId, p, origin, opId]: Parameters<GuardStore['setPreferences']>): Promise<ChangeOutcome> {
    const sealed = await this.sealOrigin(userId, origin, { types: ['preferences_changed'] });
    return this.changeOnce(userId, setPreferences(p, sealed, opId), opId);
  }

  async appendEvent(userId: string, event: AuditEventInput): Promise<boolean> {
    return this.appendPrepared(userId, await this.prepareEvent(userId, event));
  }

  async appendPrepared(userId: string, event: PreparedEvent): Promise<boolean> {
    const room = COUNTED_ELSEWHERE.includes(event.type)
      ? lt(size(field('outbox')), 2 * this.s.limits.outboxMax)
      : eq(1, 1);
    const guard = await this.update(userId, appendEvent(event), () => and(notDone(event.eventId), room));
    if (guard) return true;
    return (await this.find(where(this.s.clock, userId, () => isIn(event.eventId, field('ops'))))) !== null;
  }

  async findWaiting(limit: number, except: readonly string[] = []): Promise<string[]> {
    const others = except.length > 0 ? { _id: { $nin: [...except] } } : {};
    const waiting = this.guards.find(
      { hasOutbox: true, ...others },
      { projection: { _id: 1 }, maxTimeMS: OPERATION_MS },
    );
    return (await waiting.limit(limit).toArray()).map((guard) => guard._id);
  }

  async readOutbox(userId: string): ReturnType<GuardStore['readOutbox']> {
    return (await this.find(where(this.s.clock, userId)))?.outbox ?? [];
  }

  async pull(userId: string, ids: string[]): Promise<void> {
    const kept = only(field('outbox'), (entry) =>
      not(isIn(ifNull(ifNull(entry('event.eventId'), entry('mailId')), ''), ids)),
    );
    const update: Update = { stages: [set({ outbox: kept })], last: { kind: 'pulled' } };
    await this.update(userId, update, () => gt(size(field('outbox')), size(kept)));
  }

  async removeErased(userId: string): Promise<boolean> {
    const erased = { ...where(this.s.clock, userId), state: 'erasing' as const, hasOutbox: false };
    const { deletedCount } = await this.guards.deleteOne(erased, {
      writeConcern: WRITE_CONCERN,
      maxTimeMS: OPERATION_MS,
    });
    return deletedCount === 1;
  }

  private async sealBegin(input: BeginInput): Promise<SealedBegin> {
    const seal = await this.sealer.of(input.userId);
    return {
      attempt: sealAttempt(input, seal),
      refused: sealOrigin(this.s.newId(), input.origin, seal, { types: ['refused'] }),
    };
  }

  private async sealOrigin(userId: string, origin: Origin, known: KnownOfEvent): Promise<SealedOrigin> {
    return sealOrigin(this.s.newId(), origin, await this.sealer.of(userId), known);
  }

  private async sealSimilarity(result: Parameters<GuardStore['decide']>[0], similarity: number | null) {
    if (similarity === null || result.purpose !== 'verify') return [];
    const seal = await this.sealer.of(result.userId);
    return seal.event(attemptEventIds(result.attemptId).end, { similarity }, { types: ['success', 'failed'] }).parts;
  }

  private async changeOnce(userId: string, update: Update, opId: string): Promise<ChangeOutcome> {
    const guard = await this.update(userId, update, () => notDone(opId));
    const { strikesToDisable } = this.s.limits;
    if (guard) {
      const summary = summarise(guard, guard.last.at, strikesToDisable);
      return { kind: 'changed', summary, removedTemplateId: guard.last.id ?? null };
    }
    const summary = await this.summary(userId);
    return summary ? { kind: 'changed', summary, removedTemplateId: null } : { kind: 'not_found' };
  }

  /** The one conditional update of a transition; null if its filter matched nothing. */
  private async update(userId: string, update: Update, test?: (now: Expr) => Expr): Promise<GuardDocument | null> {
    const guard = await this.guards.findOneAndUpdate(
      where(this.s.clock, userId, test),
      buildUpdate(this.s.clock, this.s.capture.bodyMs, update),
      { returnDocument: 'after', writeConcern: WRITE_CONCERN, maxTimeMS: OPERATION_MS },
    );
    if (guard?.last.settled) await this.onSettled(guard.last.settled);
    return guard;
  }

  private find(filter: ReturnType<typeof where>): Promise<GuardDocument | null> {
    return this.guards.findOne(filter, { maxTimeMS: OPERATION_MS });
  }

  /** The guard and the database's time of the reading. */
  private async read(userId: string): Promise<{ guard: GuardDocument; now: Date } | null> {
    const [found] = await this.guards
      .aggregate<GuardDocument & { readAt: Date }>(
        [{ $match: where(this.s.clock, userId) }, set({ readAt: this.s.clock.now() })],
        { maxTimeMS: OPERATION_MS },
      )
      .toArray();
    return found ? { guard: found, now: found.readAt } : null;
  }

  private async ended(i: { userId: string; attemptId: string; sessionId: string }): Promise<RecentAttempt | null> {
    const guard = await this.find(where(this.s.clock, i.userId));
    return guard && endedIn(guard, i);
  }
}

const endedIn = (guard: GuardDocument, i: { attemptId: string; sessionId: string }): RecentAttempt | null =>
  guard.recent.find((a) => a.attemptId === i.attemptId && a.sessionId === i.sessionId) ?? null;

function reservationOf(guard: GuardDocument): Reservation {
  if (!guard.reservation) throw new Error('the guard answered without its reservation');
  return guard.reservation;
}

function beginOutcome(guard: GuardDocument): BeginOutcome {
  const { kind, seconds, id } = guard.last;
  const retryAfterSeconds = seconds ?? 1;
  const code = kind as 'begun' | (BeginOutcome & { kind: 'refused' })['code'];
  switch (code) {
    case 'begun':
      return { kind: 'begun', reservation: reservationOf(guard) };
    case 'face_locked':
      if (!guard.lockedUntil) throw new Error('the guard is locked without an end');
      return { kind: 'refused', code, minutes: Math.ceil(retryAfterSeconds / 60), lockedUntil: guard.lockedUntil };
    case 'attempt_in_progress':
      return { kind: 'refused', code, retryAfterSeconds, attemptId: id ?? null };
    case 'too_many_attempts':
    case 'busy':
      return { kind: 'refused', code, retryAfterSeconds };
    default:
      return { kind: 'refused', code };
  }
}

const newGuard = (userId: string, faceRequired: boolean): GuardDocument => ({
  _id: userId,
  state: 'active',
  consentVersion: null,
  template: null,
  firstEnrolledAt: null,
  everHadFactor: false,
  faceRequired,
  reEnrolBy: null,
  optOuts: [],
  extraTime: false,
  shortChallenges: false,
  strikes: 0,
  strikeRing: [],
  consecutiveStrikes: 0,
  lockedUntil: null,
  lockEpoch: 0,
  reservation: null,
  abandoned: 0,
  uncharged: [],
  freeEnds: [],
  shown: null,
  recent: [],
  outbox: [],
  lockMails: [],
  strikeMailAt: null,
  rev: 0,
  ops: [],
  refusals: [],
  last: { kind: 'created', at: new Date(0) },
  dueAt: null,
  hasDue: false,
  hasOutbox: false,
  outboxSince: null,
  isNew: true,
});
