import {
  ADDRESS_LIMITS,
  type Action,
  type OutboxEvent,
  type EnrolResult,
  type EventType,
  type MatchResult,
  type MailTemplate,
  type Origin,
  type StepResult,
  shownStepsMax,
  type UnjudgedResult,
} from '#contracts';
import { actionsAfter } from './challenge.js';
import { type AttemptEnd, classifyAttempt } from './classify.js';
import { decisionFields, describeEnd } from './machine-ends.js';
import { isAbandoned, isCaptureOverdue, refusalOf } from './refusal.js';
import { attemptEventIds, personalOf, sealAttempt, type UserSealer } from './sealer.js';
import type { GuardSettings } from './settings.js';
import type {
  BeginInput,
  EpochChange,
  Epochs,
  GuardDocument,
  GuardStore,
  RecentAttempt,
  Reservation,
} from './types.js';

/**
 * The guard as a pure state machine: the model that the updates of the real database are tested against, command by
 * command (test/medium/guard-model.spec.ts). It mutates the state it is given and answers with the outcome's kind or
 * code. What it leaves out is what only the database keeps: `rev`, `ops`, `last` and the derived flags.
 */
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const later = (time: Date, ms: number): Date => new Date(time.getTime() + ms);

type Decision = MatchResult | EnrolResult;
type Ref = { attemptId: string; sessionId: string };

export class GuardMachine {
  constructor(
    readonly g: GuardDocument,
    private readonly s: GuardSettings,
    private readonly clock: () => Date,
    private readonly seal: UserSealer,
  ) {}

  begin(input: BeginInput): string {
    const { g, s } = this;
    const now = this.clock();
    if (g.reservation?.attemptId === input.attemptId && !isAbandoned(g.reservation, now, s)) return 'begun';
    if (g.reservation && isAbandoned(g.reservation, now, s)) this.settle(this.overdue(g.reservation, input));
    const refusal = refusalOf(g, input, now, s);
    if (refusal) {
      if (refusal.code === 'face_locked') this.tellRefused(input, now);
      return refusal.code;
    }
    const before = (input.purpose === 'verify' ? this.stillShown(now) : []).slice(
      0,
      shownStepsMax(input.actions.length),
    );
    const actions = actionsAfter(before, input.actions);
    g.reservation = {
      attemptId: input.attemptId,
      challengeId: input.challengeId,
      sessionId: input.sessionId,
      purpose: input.purpose,
      actions,
      shownBefore: before.length,
      revealedAt: [now],
      digest: [],
      verdict: actions.map(() => null),
      next: 1,
      run: 0,
      windowMs: (g.extraTime ? 2 : 1) * s.capture.windowMaxMs,
      templateId: input.templateId,
      hold: input.hold,
      boundFrom: input.boundFrom,
      captureUntil: later(now, actions.length * (g.extraTime ? s.capture.stepMsExtraTime : s.capture.stepMs)),
      decideUntil: null,
      lastStepAt: null,
      lockEpoch: g.lockEpoch,
      transportEpoch: input.transportEpoch,
      storeEpoch: input.storeEpoch,
      eventIds: attemptEventIds(input.attemptId),
      sealed: sealAttempt(input, this.seal),
    };
    g.ops.push(input.attemptId);
    return 'begun';
  }

  acceptStep(i: Parameters<GuardStore['acceptStep']>[0]): string {
    const { g, s } = this;
    const now = this.clock();
    const r = this.mine(i);
    if (!r) return this.ended(i) ? 'attempt_over' : 'not_found';
    const firstByte = later(now, -i.firstByteAgoMs);
    const revealed = r.revealedAt.at(-1) ?? now;
    const late = firstByte > later(revealed, r.windowMs) || i.firstByteAgoMs > s.capture.bodyMs;
    if (isCaptureOverdue(r, now, s) || (r.next === i.step && late)) {
      this.settle(this.overdue(r, i));
      return 'attempt_over';
    }
    if (r.next > i.step) return 'step_already_received';
    if (r.next < i.step) return 'step_out_of_order';
    if (firstByte < later(revealed, s.capture.windowMinMs)) return 'step_too_early';
    r.digest.push(i.digest);
    r.next += 1;
    if (i.step < r.actions.length) r.revealedAt.push(now);
    else Object.assign(r, { lastStepAt: now, decideUntil: later(now, s.capture.decideMs) });
    g.reservation = r;
    return 'accepted';
  }

  recordVerdict(result: StepResult): string {
    const r = this.tupleMatches(result);
    const i = result.step - 1;
    if (!r || r.actions[i] !== result.action || r.digest[i] !== result.framesDigest) return 'stale';
    if (r.verdict[i]) return JSON.stringify(r.verdict[i]) === JSON.stringify(result.verdict) ? 'recorded' : 'stale';
    r.verdict[i] = result.verdict;
    return 'recorded';
  }

  decide(result: Decision, similarity: number | null): string {
    const { g } = this;
    const op = `decide:${JSON.stringify(result)}`;
    if (g.ops.includes(op)) return 'decided';
    const r = this.tupleMatches(result);
    const agrees =
      r?.run === result.run &&
      result.inputs.length === r.actions.length &&
      r.next > r.actions.length &&
      r.verdict.every((v) => v !== null) &&
      result.inputs.every((input, i) => input.action === r.actions[i] && input.framesDigest === r.digest[i]) &&
      (r.purpose !== 'verify' ||
        (result.templateId === g.template?.id && result.modelDigest === g.template?.modelDigest)) &&
      (r.purpose !== 'enrol' || result.templateId === r.templateId);
    if (!r || !agrees) return 'stale';
    g.ops.push(op);
    const ended = this.settle(
      { kind: 'decision', judgement: result.judgement, stalledTwice: result.stalledTwice },
      { similarity: r.purpose === 'verify' ? similarity : null, result },
    );
    if (ended.outcome === 'enrolled') this.enrol(r, result);
    return 'decided';
  }

  cancel(ref: Ref): string {
    const r = this.mine(ref);
    if (!r) return this.ended(ref) ? 'decided' : 'not_found';
    if (r.decideUntil) return 'stale';
    this.settle({ kind: 'cancel' });
    return 'decided';
  }

  giveUp(result: UnjudgedResult): string {
    if (!this.tupleMatches(result)) return 'stale';
    this.settle({ kind: 'unjudged', reason: result.reason });
    return 'decided';
  }

  settleOverdue(seen: Epochs & { workersGone: boolean }): string {
    const r = this.g.reservation;
    const now = this.clock();
    if (!r) return 'nothing';
    if (r.decideUntil === null) {
      if (!isCaptureOverdue(r, now, this.s)) return 'nothing';
    } else {
      if (now <= r.decideUntil) return 'nothing';
      if (r.run < this.s.capture.decideRunsMax && r.transportEpoch === seen.transportEpoch) {
        r.run += 1;
        r.decideUntil = later(now, this.s.capture.decideMs);
        return 'requeue';
      }
    }
    this.settle(this.overdue(r, seen, seen.workersGone));
    return 'settled';
  }

  redeem(ref: Ref): string {
    const now = this.clock();
    const a = this.g.recent.find((one) => one.attemptId === ref.attemptId && one.sessionId === ref.sessionId);
    if (this.g.state !== 'active' || a?.outcome !== 'verified' || a.lockEpoch !== this.g.lockEpoch) return 'refused';
    if ((a.redeemedAt ?? a.endedAt) < later(now, -this.s.limits.redeemSeconds * SECOND)) return 'refused';
    a.redeemedAt ??= now;
    return 'granted';
  }

  change(what: EpochChange, origin: Origin): string {
    const { g } = this;
    const now = this.clock();
    const officer =
      what.kind === 'unlock' ||
      what.kind === 'disable' ||
      what.kind === 'enable' ||
      what.kind === 'roles_changed' ||
      (what.kind === 'address_disputed' && what.event !== 'email_change_undone') ||
      (what.kind === 're_enrolment_required' && what.by === 'officer');
    if (g.reservation) this.settle({ kind: officer ? 'officer_change' : 'own_change' });
    g.lockEpoch += 1;
    const removed = g.template;
    switch (what.kind) {
      case 'unlock':
        Object.assign(g, { lockedUntil: null, strikes: 0 });
        break;
      case 'consent_given':
        g.consentVersion = what.version;
        break;
      case 'consent_withdrawn':
      case 'unenrol':
        if (what.kind === 'consent_withdrawn') g.consentVersion = null;
        g.template = null;
        g.faceRequired ||= g.firstEnrolledAt !== null;
        break;
      case 're_enrolment_required':
        g.reEnrolBy = now;
        break;
      case 'disable':
        if (g.state === 'active') g.state = 'disabled';
        break;
      case 'enable':
        if (g.state === 'disabled') g.state = 'active';
        break;
      case 'erase':
        Object.assign(g, { state: 'erasing', template: null });
        break;
      case 'roles_changed':
        if (what.added.length > 0 && g.template && (g.template.boundFrom ?? 'pwd') === 'pwd')
          g.template.heldUntil = later(now, this.s.limits.holdHours * HOUR);
        break;
      case 'address_disputed': {
        const until = later(now, ADDRESS_LIMITS.holdHours * HOUR);
        if (g.template && (g.template.heldUntil ?? until) <= until) g.template.heldUntil = until;
        break;
      }
      case 'password_changed':
        break;
    }
    const type: EventType =
      what.kind === 'unlock'
        ? 'unlocked'
        : what.kind === 'unenrol'
          ? 'unenrolled'
          : what.kind === 'disable' || what.kind === 'enable'
            ? `${what.kind}d`
            : what.kind === 'erase'
              ? 'erasure_begun'
              : what.kind === 'address_disputed'
                ? what.event
                : what.kind;
    const actorId = 'actorId' in what ? what.actorId : undefined;
    const byOfficer =
      ['unlocked', 'disabled', 'enabled', 'roles_changed', 'email_decided'].includes(type) ||
      ('by' in what && what.by === 'officer');
    this.eventFrom(origin, {
      type,
      lockEpoch: g.lockEpoch,
      ...(byOfficer
        ? {
            detail: {
              by: actorId === undefined || 'operator' in what ? ('command_line' as const) : ('staff' as const),
              ...('operator' in what && what.operator !== undefined ? { operator: what.operator } : {}),
              ...('added' in what ? { added: [...what.added], removed: [...what.removed] } : {}),
              ...('askedBy' in what && what.askedBy !== undefined ? { askedBy: what.askedBy } : {}),
              ...('detail' in what ? what.detail : {}),
            },
          }
        : {}),
      ...(actorId === undefined ? {} : { actorId }),
    });
    const told = what.kind === 'unenrol' || what.kind === 'consent_withdrawn';
    if (told && removed) this.mail(`removed-${g._id}-${removed.id}`, 'face_removed', this.seal.mail(origin));
    const mails = { unlock: 'face_unlocked', disable: 'account_disabled', enable: 'account_enabled', roles_changed: 'roles_changed' } as const; // prettier-ignore
    if (what.kind in mails) {
      const template = mails[what.kind as keyof typeof mails];
      const more = {
        ...('added' in what && what.added.length > 0 ? { added: what.added.join(', ') } : {}),
        ...('removed' in what && what.removed.length > 0 ? { removed: what.removed.join(', ') } : {}),
      };
      this.mail(`${template.replaceAll('_', '-')}-${g._id}-${g.lockEpoch}`, template, null, more);
    }
    if (what.kind === 'password_changed') {
      this.mail(`password-changed-${g._id}-${g.lockEpoch}`, 'password_changed', this.seal.mail(origin));
    }
    if (what.kind === 're_enrolment_required' && what.by === 'recovery') {
      this.mail(`recovery-used-${g._id}-${g.lockEpoch}`, 'recovery_used', this.seal.mail(origin));
    }
    if (what.kind === 're_enrolment_required' && what.by === 'officer') {
      this.mail(`face-demanded-${g._id}-${g.lockEpoch}`, 'face_demanded', null);
    }
    return 'changed';
  }

  pull(ids: readonly string[]): void {
    this.g.outbox = this.g.outbox.filter((e) => !ids.includes(e.kind === 'event' ? e.event.eventId : e.mailId));
    this.g.outboxSince = null;
  }

  private overdue(r: Reservation, epochs: Epochs, workersGone = false): AttemptEnd {
    const outage = r.transportEpoch !== epochs.transportEpoch || r.storeEpoch !== epochs.storeEpoch;
    return { kind: 'overdue', outage, deciding: r.decideUntil !== null, workersGone };
  }

  private stillShown(now: Date): Action[] {
    const { shown, optOuts } = this.g;
    if (!shown || shown.at <= later(now, -this.s.limits.shownMinutes * MINUTE)) return [];
    return shown.actions.filter((action) => !optOuts.includes(action));
  }

  private mine(ref: Ref): Reservation | null {
    const r = this.g.reservation;
    return r?.attemptId === ref.attemptId && r.sessionId === ref.sessionId ? r : null;
  }

  private ended(ref: Ref): boolean {
    return this.g.recent.some((a) => a.attemptId === ref.attemptId && a.sessionId === ref.sessionId);
  }

  private tupleMatches(t: StepResult | Decision | UnjudgedResult): Reservation | null {
    const r = this.g.reservation;
    const same =
      r?.attemptId === t.attemptId &&
      r.challengeId === t.challengeId &&
      r.purpose === t.purpose &&
      r.lockEpoch === t.lockEpoch &&
      this.g.lockEpoch === t.lockEpoch;
    return same ? r : null;
  }

  private settle(how: AttemptEnd, decided?: { similarity: number | null; result: Decision }): RecentAttempt {
    const { g, s } = this;
    const now = this.clock();
    const r = g.reservation;
    if (!r) throw new Error('nothing to settle');
    const verify = r.purpose === 'verify';
    const cls = classifyAttempt(r.purpose, r.verdict, how);
    const shown = describeEnd(r, how, cls);
    const strike = verify && (cls === 'failed' || (cls === 'abandoned' && (g.abandoned + 1) % 2 === 0));
    const locks = strike && g.strikes + 1 >= s.limits.strikesToLock;
    if (verify && cls === 'abandoned') g.abandoned += 1;
    if (cls === 'retry' || cls === 'abandoned' || (cls === 'failed' && !verify)) g.uncharged.push(now);
    if (cls === 'free') g.freeEnds.push(now);
    const isDecided = how.kind === 'decision' && (cls === 'success' || cls === 'failed');
    if (verify) {
      const actions = r.actions.slice(0, Math.max(r.revealedAt.length, r.shownBefore));
      g.shown = isDecided ? null : { actions, at: now };
    }
    if (strike) {
      g.strikes += 1;
      g.consecutiveStrikes += 1;
      g.strikeRing = [...g.strikeRing.filter((t) => t > later(now, -s.limits.strikeRingDays * DAY)), now];
    }
    if (verify && cls === 'success') Object.assign(g, { strikes: 0, consecutiveStrikes: 0, abandoned: 0 });
    if (locks) {
      g.strikes = 0;
      g.lockEpoch += 1;
      g.lockedUntil = later(now, s.limits.lockMinutes * MINUTE);
    }
    const attempt: RecentAttempt = {
      attemptId: r.attemptId,
      sessionId: r.sessionId,
      purpose: r.purpose,
      outcome: locks ? 'locked' : shown.outcome,
      eventType: shown.type,
      reason: shown.reason ?? null,
      quality: shown.quality ?? null,
      charged: strike,
      attemptsRemaining: strike && !locks ? s.limits.strikesToLock - g.strikes : null,
      lockedUntil: locks ? g.lockedUntil : null,
      lockEpoch: r.lockEpoch,
      endedAt: now,
      lastStepAt: r.lastStepAt,
      redeemedAt: null,
      held: verify && cls === 'success' && g.template?.heldUntil != null && g.template.heldUntil > now,
    };
    g.recent = [...g.recent, attempt].slice(-s.limits.recentMax);
    g.reservation = null;
    const counts = decided && (cls === 'success' || cls === 'failed') ? decided.similarity : null;
    const similarity =
      counts === null
        ? []
        : this.seal.event(r.eventIds.end, { similarity: counts }, { types: ['success', 'failed'] }).parts;
    this.event({
      eventId: r.eventIds.end,
      sealed: { ...r.sealed.end, parts: [...r.sealed.end.parts, ...similarity] },
      type: shown.type,
      sessionId: r.sessionId,
      attemptId: r.attemptId,
      ...(shown.reason ? { reason: shown.reason } : {}),
      charged: strike,
      lockEpoch: r.lockEpoch,
      ...(decided ? decisionFields(decided.result) : {}),
    });
    if (locks) {
      const { sessionId, attemptId } = r;
      const event = { eventId: r.eventIds.locked, sealed: r.sealed.locked, sessionId, attemptId };
      this.event({ ...event, type: 'locked', lockEpoch: g.lockEpoch });
    }
    if (locks) this.lockMail(r, now);
    if (strike) this.strikeMail(r, now);
    return attempt;
  }

  private enrol(r: Reservation, result: Decision): void {
    const { g } = this;
    const now = this.clock();
    const id = result.templateId ?? '';
    const heldUntil = r.hold ? later(now, this.s.limits.holdHours * HOUR) : null;
    Object.assign(g, {
      template: { id, modelDigest: result.modelDigest, enrolledAt: now, heldUntil, boundFrom: r.boundFrom ?? 'pwd' },
      consecutiveStrikes: 0,
      reEnrolBy: null,
      firstEnrolledAt: g.firstEnrolledAt ?? now,
      everHadFactor: true,
      lockEpoch: g.lockEpoch + 1,
    });
    this.mail(
      `enrolled-${id}`,
      'face_enrolled',
      r.sealed.mail,
      heldUntil ? { heldUntil: heldUntil.toISOString() } : {},
    );
  }

  private tellRefused(input: BeginInput, now: Date): void {
    const { g, s } = this;
    const mine = g.refusals.find((r) => r.sessionId === input.sessionId);
    if (g.outbox.length < s.limits.outboxMax && (!mine || mine.at <= later(now, -MINUTE))) {
      const origin = { ...input.origin, sessionId: input.sessionId };
      this.eventFrom(origin, { type: 'refused', lockEpoch: g.lockEpoch, count: 1 + (mine?.more ?? 0) });
      g.refusals = [...g.refusals.filter((r) => r !== mine), { sessionId: input.sessionId, at: now, more: 0 }].slice(
        -8,
      );
    } else if (mine) mine.more += 1;
  }

  private lockMail(r: Reservation, now: Date): void {
    const { g, s } = this;
    const day = g.lockMails.filter((t) => t > later(now, -DAY));
    const recent = day.filter((t) => t > later(now, -30 * MINUTE));
    if (recent.length >= s.limits.lockMailPer30Min || day.length >= s.limits.lockMailPerDay) return;
    g.lockMails = [...day, now].slice(-8);
    const lockedUntil = g.lockedUntil?.toISOString() ?? '';
    this.mail(`lock-${g._id}-${g.lockEpoch}`, 'face_locked', r.sealed.mail, {
      lockMinutes: s.limits.lockMinutes,
      lockedUntil,
    });
  }

  private strikeMail(r: Reservation, now: Date): void {
    const { g, s } = this;
    const days = s.limits.strikeRingDays;
    if (g.strikeRing.length < s.limits.strikesForReview) return;
    if (g.strikeMailAt && g.strikeMailAt > later(now, -days * DAY)) return;
    g.strikeMailAt = now;
    this.mail(`failures-${r.attemptId}`, 'many_failures', r.sealed.mail, { count: g.strikeRing.length, days });
  }

  private event(event: Omit<OutboxEvent, 'userId' | 'timestamp'>): void {
    const now = this.clock();
    this.g.outboxSince ??= now;
    this.g.outbox.push({ kind: 'event', event: { ...event, userId: this.g._id, timestamp: now } });
  }

  private eventFrom(origin: Origin, event: Omit<OutboxEvent, 'eventId' | 'userId' | 'timestamp' | 'sealed'>): void {
    const eventId = this.s.newId();
    const { sessionId } = origin;
    const sealed = this.seal.event(eventId, personalOf(origin), { types: [event.type] });
    this.event({ ...event, ...(sessionId === undefined ? {} : { sessionId }), eventId, sealed });
  }

  private mail(
    mailId: string,
    template: MailTemplate,
    sealedOrigin: string | null,
    more: Record<string, string | number> = {},
  ): void {
    const now = this.clock();
    const params = { at: now.toISOString(), ...more };
    const sealed = sealedOrigin === null ? {} : { sealedOrigin };
    this.g.outbox.push({ kind: 'mail', mailId, template, params, at: now, ...sealed });
  }
}
