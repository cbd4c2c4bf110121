import { Inject, Injectable } from '@nestjs/common';
import { attemptTupleOf, jobIds } from '#contracts';
import type { GuardStore, Reservation } from '#guard';
import { AppLogger } from '#observability';
import { JobQueue, TransportDownError } from '#queue';
import { GUARD } from '../face/guard.module.js';
import { Problem } from '../http/problem.js';
import type { ActiveSession } from '../sessions/session.service.js';
import { sha256Hex } from '../store/keys.js';
import { StoreEpoch } from '../store/store-epoch.repository.js';
import { TransportEpoch } from '../redis/transport-epoch.js';
import { framesMaxOf } from './attempt-answer.js';
import { FrameBlobs } from './frame-blobs.js';
import type { FramesContainer } from './frames-container.js';
import { placeOf, SeenFrames } from './seen-frames.js';

/** Clocks of client and database tick a little differently, and the reveal travelled. */
const SPAN_SLACK_MS = 500;

export interface StepUpload {
  attemptId: string;
  step: number;
  container: FramesContainer;
  /** When the request began, `performance.now()`: the step's window ends at its first byte. */
  receivedAtMs: number;
}

/** Takes the frames of one step, for every purpose. */
@Injectable()
export class StepService {
  /** Uploads on their way into the guard, by session, attempt and step: when the last of them is done. */
  private readonly taking = new Map<string, Promise<void>>();

  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly blobs: FrameBlobs,
    private readonly seen: SeenFrames,
    private readonly transport: TransportEpoch,
    private readonly store: StoreEpoch,
    private readonly jobs: JobQueue,
    private readonly logger: AppLogger,
  ) {}

  /** Of uploads of one step side by side, each waits for those before it: all but the first then cost a reading only. */
  async accept(session: ActiveSession, upload: StepUpload): Promise<Reservation> {
    const key = `${session.record.sessionId}/${upload.attemptId}/${upload.step}`;
    const before = this.taking.get(key);
    const taken = before ? before.then(() => this.take(session, upload)) : this.take(session, upload);
    const settled = taken.then(nothing, nothing);
    this.taking.set(key, settled);
    try {
      return await taken;
    } finally {
      if (this.taking.get(key) === settled) this.taking.delete(key);
    }
  }

  private async take(session: ActiveSession, upload: StepUpload): Promise<Reservation> {
    const { userId, sessionId } = session.record;
    const { attemptId, step, container } = upload;
    const digests = await this.checked(session, upload);
    const input = { step, framesDigest: sha256Hex(container.body) };

    await this.blobs.put(attemptId, input, container.body);
    const outcome = await this.guard.acceptStep({
      userId,
      attemptId,
      sessionId,
      step,
      digest: input.framesDigest,
      transportEpoch: await this.transport.currentOrNull(),
      storeEpoch: await this.store.currentOrNull(),
      firstByteAgoMs: agoMs(upload),
    });
    if (outcome.kind === 'refused') {
      await this.dropLoser(session, attemptId, input);
      throw new Problem(outcome.code);
    }
    await this.enqueue(userId, outcome.reservation, input);
    await this.seen.remember(digests, placeOf(attemptId, step));
    return outcome.reservation;
  }

  /** Whatever can be refused without touching the guard: nothing refused here costs anything. */
  private async checked(session: ActiveSession, upload: StepUpload): Promise<string[]> {
    const { userId, sessionId } = session.record;
    const { attemptId, step, container } = upload;
    const view = await this.guard.view({ userId, attemptId, sessionId });
    if (view.kind === 'unknown') throw new Problem('not_found');
    if (view.kind === 'ended') throw new Problem('attempt_over');
    // `next` only rises: a step that was received stays so, and its frames are not stored a second time.
    if (step < view.reservation.next) throw new Problem('step_already_received');

    if (container.frames.length > framesMaxOf(view.reservation)) throw new Problem('too_many_frames');
    const revealedAt = view.reservation.revealedAt[step - 1];
    if (revealedAt) {
      const shownMs = view.now.getTime() - revealedAt.getTime() - agoMs(upload);
      if (container.spanMs > shownMs + SPAN_SLACK_MS) throw new Problem('invalid_request');
    }
    const digests = this.seen.digests(userId, container.frames);
    if (await this.seen.elsewhere(digests, placeOf(attemptId, step))) throw new Problem('frames_reused');
    return digests;
  }

  /** The refused body's own blob goes, unless an accepted upload of the same bytes has the same key. */
  private async dropLoser(session: ActiveSession, attemptId: string, input: { step: number; framesDigest: string }) {
    const { userId, sessionId } = session.record;
    const view = await this.guard.view({ userId, attemptId, sessionId });
    const winner = view.kind === 'live' ? view.reservation.digest[input.step - 1] : undefined;
    if (winner !== input.framesDigest) await this.blobs.delete(attemptId, input);
  }

  /** The step has been accepted: a queue that fails now is the reconciler's affair, not the client's. */
  private async enqueue(userId: string, reservation: Reservation, input: { step: number; framesDigest: string }) {
    const { attemptId, run } = reservation;
    const action = reservation.actions[input.step - 1];
    if (!action) throw new Error('a step without an action was accepted');
    const payload = { ...attemptTupleOf({ userId, ...reservation }), action, ...input };
    try {
      await this.jobs.enqueue('face.step', payload, jobIds.step({ attemptId, step: input.step, run }));
    } catch (err) {
      if (!(err instanceof TransportDownError)) throw err;
      this.logger.warn({ attemptId, step: input.step, err }, 'step not enqueued');
    }
  }
}

const nothing = (): void => undefined;
const agoMs = ({ receivedAtMs }: StepUpload): number => Math.max(0, performance.now() - receivedAtMs);
