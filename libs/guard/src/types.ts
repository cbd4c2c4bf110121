import type {
  Action,
  AuditEvent,
  BoundFrom,
  EnrolResult,
  EventReason,
  EventType,
  MailTemplate,
  MatchResult,
  Origin,
  OutboxEvent,
  Purpose,
  QualityCode,
  Role,
  StepResult,
  StepVerdict,
  UnjudgedResult,
} from '#contracts';
import type { SealedAttempt, SealedOrigin } from './sealer.js';

/** An attempt in flight. At most one a user. `run` counts how often its decision was queued. */
export interface Reservation {
  attemptId: string;
  challengeId: string;
  sessionId: string;
  purpose: Purpose;
  actions: Action[];
  /** When each step was revealed; `revealedAt[0]` is the begin. */
  revealedAt: Date[];
  /** SHA-256 (hex) of each accepted step body. */
  digest: string[];
  /** Indexed by step - 1; null until its result came. The first result of a step wins. */
  verdict: (StepVerdict | null)[];
  /** How many of its first actions an earlier, undecided attempt had shown. */
  shownBefore: number;
  /** The step that is awaited, from 1; one more than there are actions when all arrived. */
  next: number;
  run: number;
  windowMs: number;
  /** For `enrol`: the id the new template will have, and whether it will be held, and from what it is bound. */
  templateId: string | null;
  hold: boolean;
  boundFrom: BoundFrom | null;
  captureUntil: Date;
  decideUntil: Date | null;
  lastStepAt: Date | null;
  lockEpoch: number;
  transportEpoch: string;
  storeEpoch: string;
  /** Ids of the events that end it, and what they say of where it came from. */
  eventIds: { end: string; locked: string };
  sealed: SealedAttempt;
}

export type AttemptAge = { kind: 'live' } | { kind: 'ended'; secondsAgo: number } | { kind: 'unknown' };

export type AttemptOutcome =
  'verified' | 'enrolled' | 'not_verified' | 'retry' | 'expired' | 'cancelled' | 'error' | 'locked' | 'practised';

/** How an attempt ended: one entry of `recent`. */
export interface RecentAttempt {
  attemptId: string;
  sessionId: string;
  purpose: Purpose;
  outcome: AttemptOutcome;
  eventType: EventType;
  reason: EventReason | null;
  quality: QualityCode | null;
  charged: boolean;
  /** Set when the attempt was charged and did not lock. */
  attemptsRemaining: number | null;
  lockedUntil: Date | null;
  lockEpoch: number;
  endedAt: Date;
  /** Receipt of the last step; answers are released on a 250 ms grid from it. */
  lastStepAt: Date | null;
  redeemedAt: Date | null;
  /** A verified attempt with a template still held raises nothing. */
  held: boolean;
}

export type OutboxEntry =
  | { kind: 'event'; event: OutboxEvent }
  | {
      kind: 'mail';
      mailId: string;
      template: MailTemplate;
      params: Record<string, string | number>;
      sealedOrigin?: string;
      at: Date;
    };

/** One document of `face_guards`; `_id` is the userId. The truth about one user's face. */
export interface GuardDocument {
  _id: string;
  state: 'active' | 'erasing' | 'disabled';
  consentVersion: string | null;
  /** `boundFrom` is not known of faces that 0.1 enrolled. */
  template: { id: string; modelDigest: string; enrolledAt: Date; heldUntil: Date | null; boundFrom?: BoundFrom } | null;
  /** Set once, never cleared. */
  firstEnrolledAt: Date | null;
  /**
   * Set with the first factor, never cleared: the only test for "a password is all that this account ever had". Absent in
   * what 0.1 wrote and `migrate` has not seen; then `firstEnrolledAt` tells.
   */
  everHadFactor?: boolean;
  faceRequired: boolean;
  reEnrolBy: Date | null;
  optOuts: Action[];
  extraTime: boolean;
  /** Three steps however few gestures are left. Absent in what 0.1 wrote: no. */
  shortChallenges?: boolean;
  strikes: number;
  strikeRing: Date[];
  consecutiveStrikes: number;
  lockedUntil: Date | null;
  lockEpoch: number;
  reservation: Reservation | null;
  abandoned: number;
  uncharged: Date[];
  /** Ends of class `free`: nobody's fault as far as is known. */
  freeEnds: Date[];
  /** What an attempt that was not decided on its faces had shown: the next one begins with it. */
  shown: { actions: Action[]; at: Date } | null;
  recent: RecentAttempt[];
  outbox: OutboxEntry[];
  /** Times of the last lock mails and of the last "many failures" mail. */
  lockMails: Date[];
  strikeMailAt: Date | null;
  rev: number;
  /** Ring of the last operation ids: a repeated operation changes nothing. */
  ops: string[];
  /** Begins refused by the lock that no event carries yet: one counted `refused` a session and minute. */
  refusals: { sessionId: string; at: Date; more: number }[];
  /** What the last update found, written by that very update: its answer, with the database's time. */
  last: { kind: string; at: Date; seconds?: number | null; id?: string | null; settled?: SettledAttempt | null };
  dueAt: Date | null;
  /** Equality flags for the sweeps: range scans are slow on the compatible server. */
  hasDue: boolean;
  hasOutbox: boolean;
  outboxSince: Date | null;
  /** Until its account was seen: the guard is made first, and a registration may die between the two. */
  isNew?: true;
  /** When it was first noticed that there is no account. */
  aloneSince?: Date;
}

/** What a person can choose about captures. */
export interface Preferences {
  optOuts: Action[];
  extraTime: boolean;
  shortChallenges: boolean;
}

/** What of an attempt that is over may still lie elsewhere: the digests name its frames, step by step. */
export interface SettledAttempt {
  attemptId: string;
  run: number;
  digest: string[];
}

/**
 * Values that Redis and the gateways keep as long as they are there. Another one than at begin, or null (no answer):
 * there was an outage, and the attempt's end is nobody's fault.
 */
export interface Epochs {
  transportEpoch: string | null;
  storeEpoch: string | null;
}

export interface BeginInput {
  userId: string;
  attemptId: string;
  challengeId: string;
  sessionId: string;
  purpose: Purpose;
  /** Drawn by the caller from the user's allowed gestures (`drawChallenge`). What was shown before comes in front. */
  actions: Action[];
  transportEpoch: string;
  storeEpoch: string;
  currentConsentVersion: string;
  currentModelDigest: string;
  /** Only for `enrol`. */
  templateId: string | null;
  hold: boolean;
  /** Only for `enrol`. */
  boundFrom: BoundFrom | null;
  origin: Origin;
}

export type BeginRefusal =
  | { code: 'face_locked'; minutes: number; lockedUntil: Date }
  | {
      code:
        | 'consent_required'
        | 'consent_outdated'
        | 'enrolment_required'
        | 're_enrolment_required'
        | 'face_disabled'
        | 'account_inactive'
        | 'not_found';
    }
  | { code: 'attempt_in_progress'; retryAfterSeconds: number; attemptId: string | null }
  | { code: 'too_many_attempts'; retryAfterSeconds: number }
  | { code: 'busy'; retryAfterSeconds: number };

export type BeginOutcome = { kind: 'begun'; reservation: Reservation } | ({ kind: 'refused' } & BeginRefusal);

export type StepOutcome =
  | { kind: 'accepted'; reservation: Reservation }
  | {
      kind: 'refused';
      code: 'not_found' | 'step_out_of_order' | 'step_already_received' | 'step_too_early' | 'attempt_over';
    };

export type VerdictOutcome =
  /** `complete`: all steps arrived and all have a verdict: the decision can be queued. */
  { kind: 'recorded'; complete: boolean; reservation: Reservation } | { kind: 'stale' };

export type DecideOutcome = { kind: 'decided'; attempt: RecentAttempt } | { kind: 'stale' };

export type RedeemOutcome = { kind: 'granted'; attempt: RecentAttempt; first: boolean } | { kind: 'refused' };

/** What a client may know of an attempt at this moment. */
export type AttemptView =
  | { kind: 'live'; reservation: Reservation; now: Date }
  | { kind: 'ended'; attempt: RecentAttempt; guard: GuardSummary; now: Date }
  | { kind: 'unknown' };

/** The part of the guard that sessions and staff see. */
export interface GuardSummary {
  userId: string;
  state: GuardDocument['state'];
  consentVersion: string | null;
  enrolled: boolean;
  everEnrolled: boolean;
  everHadFactor: boolean;
  templateId: string | null;
  templateModelDigest: string | null;
  faceRequired: boolean;
  strikes: number;
  lockedUntil: Date | null;
  lockedMinutes: number;
  lockEpoch: number;
  reEnrolBy: Date | null;
  heldUntil: Date | null;
  /** Of the face there is; null where that is not known. */
  boundFrom: BoundFrom | null;
  optOuts: Action[];
  extraTime: boolean;
  shortChallenges: boolean;
  disabledByStrikes: boolean;
}

/** A change by the user or an officer that raises the epoch, settles a live reservation and leaves one event. */
export type EpochChange =
  | { kind: 'unlock'; actorId?: string }
  | { kind: 'consent_given'; version: string }
  | { kind: 'consent_withdrawn' }
  | { kind: 'unenrol' }
  | { kind: 're_enrolment_required'; by: 'recovery' | 'officer'; actorId?: string }
  | { kind: 'password_changed' }
  | { kind: 'disable' | 'enable'; actorId?: string }
  /** The account's address went back, or staff said whose it is: a face that is there waits a day. */
  | { kind: 'address_disputed'; event: 'email_change_undone' }
  | { kind: 'address_disputed'; event: 'email_decided'; actorId?: string; detail: Readonly<Record<string, string>> }
  /**
   * With a role that comes, a face that may have come from a password alone waits once more before it counts for what the
   * role may do. `operator`: at the command line, as which user of the system. `askedBy`: the first of two persons.
   */
  | {
      kind: 'roles_changed';
      added: readonly Role[];
      removed: readonly Role[];
      actorId?: string;
      operator?: string;
      askedBy?: string;
    }
  | { kind: 'erase' };

export type ChangeOutcome =
  { kind: 'changed'; summary: GuardSummary; removedTemplateId: string | null } | { kind: 'not_found' };

export type SettleOutcome =
  | { kind: 'settled'; attempt: RecentAttempt }
  /** Past `decideUntil` with runs left: the caller queues the decision of `reservation.run` again. */
  | { kind: 'requeue'; reservation: Reservation }
  | { kind: 'nothing' };

/**
 * Every method is one conditional update of one document with the database's clock. Faults of the database (refused,
 * hung for 2 s) are exceptions; every expected outcome is a value. `opId`s make a repeat change nothing and answer the same.
 */
export interface GuardStore {
  ensureIndexes(): Promise<void>;
  create(userId: string, o: { faceRequired: boolean; event: AuditEventInput }): Promise<void>;
  begin(input: BeginInput): Promise<BeginOutcome>;
  acceptStep(
    i: Epochs & {
      userId: string;
      attemptId: string;
      sessionId: string;
      step: number;
      digest: string;
      firstByteAgoMs: number;
    },
  ): Promise<StepOutcome>;
  recordVerdict(result: StepResult): Promise<VerdictOutcome>;
  /** For `enrol` with judgement ok the caller has inserted the template row before; the guard switches its pointer. */
  decide(result: MatchResult | EnrolResult, similarity: number | null): Promise<DecideOutcome>;
  /** A worker gave up: the attempt ends, uncharged unless a step had failed. */
  giveUp(result: UnjudgedResult): Promise<DecideOutcome>;
  cancel(i: { userId: string; attemptId: string; sessionId: string }): Promise<DecideOutcome | { kind: 'not_found' }>;
  /** Settles a user's overdue reservation, or raises its run for another decision. */
  settleOverdue(userId: string, seen: Epochs & { workersGone: boolean }): Promise<SettleOutcome>;
  /** Users whose reservation is due (dueAt passed), oldest first. */
  findDue(limit: number): Promise<string[]>;
  /** How many attempts are live, counted to `max` at most. */
  liveCount(max: number): Promise<number>;
  redeem(i: { userId: string; attemptId: string; sessionId: string }): Promise<RedeemOutcome>;
  view(i: { userId: string; attemptId: string; sessionId: string }): Promise<AttemptView>;
  summary(userId: string): Promise<GuardSummary | null>;
  /** How long ago an attempt ended, by the database's clock; `unknown` too when the user is gone. */
  attemptAge(userId: string, attemptId: string): Promise<AttemptAge>;
  /** `from`: an origin, or what `prepare` made of it for this very change. */
  change(userId: string, change: EpochChange, from: Origin | SealedOrigin, opId: string): Promise<ChangeOutcome>;
  /** Of a change that is recorded elsewhere before it is made here: its event has one id however often it is tried. */
  prepare(userId: string, change: EpochChange, origin: Origin, opId: string): Promise<SealedOrigin>;
  /** The same for an event: to be given to `appendPrepared`. */
  prepareEvent(userId: string, event: AuditEventInput): Promise<PreparedEvent>;
  /** As `appendEvent`. */
  appendPrepared(userId: string, event: PreparedEvent): Promise<boolean>;
  setPreferences(userId: string, p: Preferences, origin: Origin, opId: string): Promise<ChangeOutcome>;
  /** An event that changes nothing else (login_ok, logout, recovery_sent, refused …). Dropped past twice the outbox cap only for types that are counted elsewhere. */
  appendEvent(userId: string, event: AuditEventInput): Promise<boolean>;
  /** Outbox: waiting guards (equality flag), read, and pull of what has been stored elsewhere. */
  findWaiting(limit: number, except?: readonly string[]): Promise<string[]>;
  readOutbox(userId: string): Promise<OutboxEntry[]>;
  pull(userId: string, ids: string[]): Promise<void>;
  /** Last step of an erasure: only while the outbox is empty and the state is `erasing`. */
  removeErased(userId: string): Promise<boolean>;
}

/** An event as a caller hands it over: the guard seals what is personal and adds userId and the database's time. */
export type AuditEventInput = Omit<AuditEvent, 'userId' | 'timestamp'>;
/** The same, sealed. */
export type PreparedEvent = Omit<OutboxEvent, 'userId' | 'timestamp'>;
