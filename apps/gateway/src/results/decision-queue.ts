import { Inject, Injectable } from '@nestjs/common';
import { attemptTupleOf, jobIds, templateIdentity } from '#contracts';
import type { GuardStore, Reservation } from '#guard';
import { AppLogger } from '#observability';
import { JobQueue } from '#queue';
import { valueDigest } from '#sealing';
import { ttlSecondsOf } from '../capture/attempt-answer.js';
import { FrameBlobs } from '../capture/frame-blobs.js';
import { GUARD } from '../face/guard.module.js';
import { TemplateRepository } from '../face/template.repository.js';

/** Hands an attempt whose steps have all come to a worker for the decision, or what is missing of it. */
@Injectable()
export class DecisionQueue {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly templates: TemplateRepository,
    private readonly blobs: FrameBlobs,
    private readonly jobs: JobQueue,
    private readonly logger: AppLogger,
  ) {}

  /** Idempotent: the job's id is the attempt and its run. */
  async decide(userId: string, reservation: Reservation): Promise<void> {
    const { attemptId, purpose, run, templateId } = reservation;
    const payload = { ...attemptTupleOf({ userId, ...reservation }), inputs: inputsOf(reservation) };
    const jobId = jobIds.decide({ attemptId, run });
    if (purpose === 'practice') return this.jobs.enqueue('face.match', payload, jobId);
    if (purpose === 'enrol') {
      if (templateId === null) throw new Error('an enrolment without a template id');
      return this.jobs.enqueue('face.enrol', { ...payload, templateId }, jobId);
    }
    const template = await this.currentTemplate(userId);
    if (!template) {
      // The guard names a row that is gone. Nothing to compare with: the reconciler ends the attempt, uncharged.
      return this.logger.error({ attemptId, userId }, 'template row missing');
    }
    await this.blobs.putTemplate(attemptId, template);
    const which = { templateId: template.templateId, templateDigest: valueDigest(templateIdentity(template)) };
    await this.jobs.enqueue('face.match', { ...payload, ...which }, jobId);
  }

  /** After a decision that did not come: whatever has no verdict yet is judged first, under the new run. */
  async again(userId: string, reservation: Reservation): Promise<void> {
    const missing = inputsOf(reservation).filter(({ step }) => !reservation.verdict[step - 1]);
    if (missing.length === 0) return this.decide(userId, reservation);
    for (const [ahead, input] of missing.entries()) {
      const jobId = jobIds.step({ attemptId: reservation.attemptId, step: input.step, run: reservation.run });
      const payload = {
        ...attemptTupleOf({ userId, ...reservation }),
        ...input,
        keepSeconds: ttlSecondsOf(reservation),
      };
      await this.jobs.enqueue('face.step', payload, jobId, ahead);
    }
  }

  private async currentTemplate(userId: string) {
    const summary = await this.guard.summary(userId);
    return summary?.templateId ? this.templates.find(userId, summary.templateId) : null;
  }
}

const inputsOf = (reservation: Reservation) =>
  reservation.digest.flatMap((framesDigest, index) => {
    const action = reservation.actions[index];
    return action ? [{ step: index + 1, action, framesDigest }] : [];
  });
