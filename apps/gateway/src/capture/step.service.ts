import type { IncomingMessage } from 'node:http';
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
import { framesMaxOf, ttlSecondsOf } from './attempt-answer.js';
import { FrameBlobs } from './frame-blobs.js';
import type { FramesContainer } from './frames-container.js';
import { receiveFrames } from './receive-frames.js';
import { placeOf, SeenFrames } from './seen-frames.js';
import { Uploads } from './uploads.js';

/** Clocks of client and database tick a little differently, and the reveal travelled. */
const SPAN_SLACK_MS = 500;

export interface StepUpload {
  attemptId: string;
  step: number;
  /** The body, not yet read, and its length as announced, bytes; null if it was not. */
  body: IncomingMessage;
  length: number | null;
  /** When the request began, `performance.now()`: the step's window ends at its first byte. */
  receivedAtMs: number;
}

/** The step that an upload is for, as it was before a byte of the body was kept. */
interface Awaited {
  framesMax: number;
  /** How long the step had been shown when the request began; null: it never was. */
  shownMs: number | null;
  /** Life of its frames, in the queue and as digests. */
  ttlSeconds: number;
}

/** Takes the frames of one step, for every purpose. */
@Injectable()
export class StepService {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly uploads: Uploads,
    private readonly blobs: FrameBlobs,
    private readonly seen: SeenFrames,
    private readonly transport: TransportEpoch,
    private readonly store: StoreEpoch,
    private readonly jobs: JobQueue,
    private readonly logger: AppLogger,
  ) {}

  /**
   * Looks the step up first: whatever is not awaited is refused unread, and ends no upload that is. Of uploads that have
   * come whole each waits for those before it: all but the first then cost a reading only.
   */
  async accept(session: ActiveSession, upload: StepUpload): Promise<Reservation> {
    const { sessionId } = session.record;
    const { body, length } = upload;
    let awaited = await this.awaited(session, upload);
    return this.uploads.during(
      sessionId,
      () => body.complete,
      async (own) => {
        if (own.turn) {
          await own.turn;
          awaited = await this.awaited(session, upload);
        }
        const container = await receiveFrames(body, length, own);
        return this.take(session, upload, awaited, container);
      },
    );
  }

  private async take(
    session: ActiveSession,
    upload: StepUpload,
    awaited: Awaited,
    container: FramesContainer,
  ): Promise<Reservation> {
    const { userId, sessionId } = session.record;
    const { attemptId, step } = upload;
    const digests = await this.checked(userId, upload, awaited, container);
    const input = { step, framesDigest: sha256Hex(container.body) };

    await this.blobs.put(attemptId, input, container.body, awaited.ttlSeconds);
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
    await this.seen.remember(digests, placeOf(attemptId, step), awaited.ttlSeconds);
    return outcome.reservation;
  }

  /** Throws unless the step is the awaited one of a live attempt of this session. */
  private async awaited(session: ActiveSession, upload: StepUpload): Promise<Awaited> {
    const { userId, sessionId } = session.record;
    const { attemptId, step } = upload;
    const view = await this.guard.view({ userId, attemptId, sessionId });
    if (view.kind === 'unknown') throw new Problem('not_found');
    if (view.kind === 'ended') throw new Problem('attempt_over');
    // `next` only rises: a step that was received stays so, and its frames are not stored a second time.
    if (step < view.reservation.next) throw new Problem('step_already_received');
    if (step > view.reservation.next) throw new Problem('step_out_of_order');
    const revealedAt = view.reservation.revealedAt[step - 1];
    const shownMs = revealedAt ? view.now.getTime() - revealedAt.getTime() - agoMs(upload) : null;
    return { framesMax: framesMaxOf(view.reservation), shownMs, ttlSeconds: ttlSecondsOf(view.reservation) };
  }

  /** Whatever else can be refused without touching the guard: nothing refused here costs anything. */
  private async checked(
    userId: string,
    { attemptId, step }: StepUpload,
    { framesMax, shownMs }: Awaited,
    container: FramesContainer,
  ): Promise<string[]> {
    if (container.frames.length > framesMax) throw new Problem('too_many_frames');
    if (shownMs !== null && container.spanMs > shownMs + SPAN_SLACK_MS) throw new Problem('frame_times_unusable');
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
    const keepSeconds = ttlSecondsOf(reservation);
    const payload = { ...attemptTupleOf({ userId, ...reservation }), action, ...input, keepSeconds };
    // Who sends steps faster than they are judged waits behind whoever does not.
    const ahead = reservation.digest.slice(0, input.step - 1).filter((_, i) => !reservation.verdict[i]).length;
    try {
      await this.jobs.enqueue('face.step', payload, jobIds.step({ attemptId, step: input.step, run }), ahead);
    } catch (err) {
      if (!(err instanceof TransportDownError)) throw err;
      this.logger.warn({ attemptId, step: input.step, err }, 'step not enqueued');
    }
  }
}

const agoMs = ({ receivedAtMs }: StepUpload): number => Math.max(0, performance.now() - receivedAtMs);
