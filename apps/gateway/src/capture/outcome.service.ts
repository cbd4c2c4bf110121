import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import { isSessionOf, UserRepository } from '#accounts';
import { type AttemptView, type GuardStore, nextReleaseDelayMs, type RecentAttempt } from '#guard';
import { GUARD } from '../face/guard.module.js';
import { Problem } from '../http/problem.js';
import { keptByHeldFace, raisedByFace } from '../sessions/session-record.js';
import { type ActiveSession, SessionService } from '../sessions/session.service.js';
import { type AttemptAnswer, endedAnswer, liveAnswer, verifiedAnswer } from './attempt-answer.js';

/** The grid on which answers leave; also how often a waiting poll looks. */
const GRID_MS = 250;
/** Polls of one session that wait at the same time: beyond it the oldest is answered with what there is. */
const WAITING_MAX = 4;

/** What became of an attempt, and the grant that a verified one is worth. */
@Injectable()
export class OutcomeService implements BeforeApplicationShutdown {
  private readonly closing = new AbortController();
  /** By session, oldest first. */
  private readonly waiting = new Map<string, Set<AbortController>>();

  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly sessions: SessionService,
    private readonly users: UserRepository,
  ) {
    // Each waiting poll listens, and there may be hundreds.
    setMaxListeners(0, this.closing.signal);
  }

  /** A process that ends lets its waiting polls answer with what they have. */
  beforeApplicationShutdown(): void {
    this.closing.abort();
  }

  /** Waits for a decision at most so long. Looks at grid points only, so an answer's time is one, too. */
  async poll(session: ActiveSession, attemptId: string, waitSeconds: number): Promise<AttemptAnswer> {
    if (waitSeconds === 0) return this.pollUntil(session, attemptId, 0, this.closing.signal);
    const { sessionId } = session.record;
    const own = new AbortController();
    const polls = this.waiting.get(sessionId) ?? new Set();
    this.waiting.set(sessionId, polls.add(own));
    const [oldest] = polls;
    if (polls.size > WAITING_MAX && oldest) {
      polls.delete(oldest);
      oldest.abort();
    }
    try {
      const until = performance.now() + waitSeconds * 1_000;
      return await this.pollUntil(session, attemptId, until, AbortSignal.any([own.signal, this.closing.signal]));
    } finally {
      polls.delete(own);
      if (polls.size === 0) this.waiting.delete(sessionId);
    }
  }

  private async pollUntil(session: ActiveSession, attemptId: string, until: number, over: AbortSignal) {
    for (;;) {
      const view = await this.view(session, attemptId);
      if (view.kind === 'ended') return this.ended(session, attemptId, view);
      const { reservation } = view;
      const answer = liveAnswer(reservation);
      const leftMs = until - performance.now();
      if (answer.status === 'capturing' || leftMs <= 0 || over.aborted) return answer;
      await this.pause(Math.min(leftMs, nextReleaseDelayMs(reservation.lastStepAt, view.now) || GRID_MS), over);
    }
  }

  async cancel(session: ActiveSession, attemptId: string): Promise<void> {
    const { userId, sessionId } = session.record;
    const outcome = await this.guard.cancel({ userId, attemptId, sessionId });
    if (outcome.kind === 'not_found') throw new Problem('not_found');
  }

  private async view(session: ActiveSession, attemptId: string): Promise<Exclude<AttemptView, { kind: 'unknown' }>> {
    const { userId, sessionId } = session.record;
    const view = await this.guard.view({ userId, attemptId, sessionId });
    if (view.kind === 'unknown') throw new Problem('not_found');
    return view;
  }

  private async ended(
    session: ActiveSession,
    attemptId: string,
    { attempt, now }: Extract<AttemptView, { kind: 'ended' }>,
  ): Promise<AttemptAnswer> {
    const released = attempt.endedAt.getTime() + nextReleaseDelayMs(attempt.lastStepAt, attempt.endedAt);
    if (released > now.getTime()) await this.pause(Math.min(GRID_MS, released - now.getTime()));
    return attempt.outcome === 'verified' ? this.granted(session, attemptId, attempt) : endedAnswer(attempt, now);
  }

  /**
   * The guard gives the outcome to the session that began the attempt, once; a repeat of the same session within the
   * guard's time is answered the same, so a crash before the new record was written is healed by the next poll, and one
   * after it by LostAnswers.
   */
  private async granted(session: ActiveSession, attemptId: string, attempt: RecentAttempt): Promise<AttemptAnswer> {
    const { record } = session;
    if (record.redeemed === attemptId) return verifiedAnswer(session);
    const user = await this.users.findById(record.userId);
    if (!user || !isSessionOf(user, record)) throw new Problem('unauthenticated');
    const redeemed = await this.guard.redeem({ userId: record.userId, attemptId, sessionId: record.sessionId });
    if (redeemed.kind === 'refused') return endedAnswer(attempt, new Date());
    const raised = redeemed.attempt.held
      ? keptByHeldFace(record, attemptId)
      : raisedByFace(record, attemptId, redeemed.attempt.endedAt);
    const { lockEpoch } = redeemed.attempt;
    const rotated = await this.sessions.rotate(session, raised, ['attempt', attemptId], lockEpoch);
    if (!rotated) throw new Problem('unauthenticated');
    return verifiedAnswer(rotated);
  }

  private async pause(ms: number, over: AbortSignal = this.closing.signal): Promise<void> {
    await sleep(ms, undefined, { signal: over }).catch(() => undefined);
  }
}
