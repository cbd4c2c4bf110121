import { Inject, Injectable } from '@nestjs/common';
import {
  BLOB_TTL_SECONDS,
  blobKeys,
  type EnrolResult,
  type FaceResultPayload,
  type MatchResult,
  type SealedTemplate,
  signedResultSchema,
  type StepResult,
  templateIdentity,
  type UnjudgedResult,
} from '#contracts';
import type { DecideOutcome, GuardStore } from '#guard';
import { AppLogger, Metrics } from '#observability';
import { BlobStore } from '#queue';
import { valueDigest } from '#sealing';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { Forgeries } from '../audit-trail/forgeries.js';
import { FrameBlobs } from '../capture/frame-blobs.js';
import { GUARD } from '../face/guard.module.js';
import { TemplateRepository } from '../face/template.repository.js';
import { WorkerSeal } from '../keys/worker-seal.js';
import { DecisionQueue } from './decision-queue.js';

type LateInputs = Parameters<FrameBlobs['deleteLate']>[2];

/**
 * What a worker found becomes what the guard decides. Every step may run twice: jobs are delivered at least once. That
 * a result belongs to the attempt is compared field by field by the guard.
 */
@Injectable()
export class ResultsService {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly decisions: DecisionQueue,
    private readonly templates: TemplateRepository,
    private readonly blobs: BlobStore,
    private readonly frames: FrameBlobs,
    private readonly seal: WorkerSeal,
    private readonly forgeries: Forgeries,
    private readonly nudge: AuditNudge,
    private readonly logger: AppLogger,
    private readonly metrics: Metrics,
  ) {}

  /** @param payload whatever lay in the queue: anybody may have put it there. */
  async take(payload: unknown): Promise<void> {
    const signed = signedResultSchema.safeParse(payload);
    if (!signed.success) return this.forgeries.found('malformed');
    const { result } = signed.data;
    const verification = this.seal.verify('result', result, signed.data);
    if (verification !== 'genuine') return this.forgeries.found(verification);
    switch (result.kind) {
      case 'step':
        return this.step(result);
      case 'match':
        return this.match(result);
      case 'enrol':
        return this.unlessReplay(result, () => this.enrol(result));
      case 'unjudged':
        return this.unlessReplay(result, () => this.unjudged(result));
      case 'refused_input':
        return this.unlessReplay(result, () => this.forgeries.found('input_swapped'));
    }
  }

  /** A worker may still be late with a result as long as its blobs live; later somebody has kept one. */
  private async isReplay({ userId, attemptId }: FaceResultPayload): Promise<boolean> {
    const age = await this.guard.attemptAge(userId, attemptId);
    return age.kind === 'unknown' || (age.kind === 'ended' && age.secondsAgo > BLOB_TTL_SECONDS);
  }

  private async unlessReplay(result: FaceResultPayload, take: () => Promise<void> | void): Promise<void> {
    return (await this.isReplay(result)) ? this.forgeries.found('replayed') : take();
  }

  /** Asked for side by side, as somebody waits for the last step: of an attempt that is over the guard records nothing. */
  private async step(result: StepResult): Promise<void> {
    const [isReplay, outcome] = await Promise.all([this.isReplay(result), this.guard.recordVerdict(result)]);
    if (isReplay) return this.forgeries.found('replayed');
    if (outcome.kind === 'stale') await this.dropLate(result, [result]);
    if (outcome.kind === 'recorded' && outcome.complete)
      await this.decisions.decide(result.userId, outcome.reservation);
  }

  private async match(result: MatchResult): Promise<void> {
    const { userId, templateId, templateDigest } = result;
    const [isReplay, row, similarity] = await Promise.all([
      this.isReplay(result),
      templateId === undefined ? null : this.templates.find(userId, templateId),
      this.similarity(result),
    ]);
    if (isReplay) return this.forgeries.found('replayed');
    // Another row of the name that we keep: somebody gave the worker something else to compare with.
    if (row && valueDigest(templateIdentity(row)) !== templateDigest) return this.forgeries.found('input_swapped');
    await this.finish(result, await this.guard.decide(result, similarity));
  }

  /** The new row first, then the guard's pointer, then the old rows: a crash leaves at most a row nobody names. */
  private async enrol(result: EnrolResult): Promise<void> {
    const { userId, templateId } = result;
    const older = (await this.templates.idsOf(userId)).filter((id) => id !== templateId);
    if (result.judgement === 'ok' && !result.stalledTwice) {
      const template = await this.newTemplate(result);
      if (!template) return this.logger.error({ attemptId: result.attemptId }, 'no new template of this worker');
      await this.templates.insert(template);
    }
    const outcome = await this.guard.decide(result, null);
    const current = (await this.guard.summary(userId))?.templateId;
    if (outcome.kind === 'decided' && outcome.attempt.outcome === 'enrolled') {
      await this.templates.delete(userId, older.filter((id) => id !== current)); // prettier-ignore
    } else if (current !== templateId) {
      await this.templates.delete(userId, [templateId]);
    }
    await this.finish(result, outcome);
  }

  private async finish(result: MatchResult | EnrolResult, outcome: DecideOutcome): Promise<void> {
    const { attemptId, run, userId, inputs, purpose } = result;
    if (outcome.kind === 'stale') return this.dropLate(result, inputs);
    const { outcome: end, eventType, lastStepAt, endedAt } = outcome.attempt;
    this.metrics.count('attempts_total', { purpose, outcome: end });
    if (lastStepAt) this.metrics.observe('decision_seconds', { purpose }, (endedAt.getTime() - lastStepAt.getTime()) / 1000); // prettier-ignore
    this.logger.info({ attemptId, run, purpose, outcome: end, eventType }, 'attempt decided');
    this.nudge.drain(userId);
  }

  /** A worker gave up. No other run would do better. */
  private async unjudged(result: UnjudgedResult): Promise<void> {
    const { attemptId, run, userId, purpose, reason } = result;
    const outcome = await this.guard.giveUp(result);
    if (outcome.kind === 'stale') return;
    this.metrics.count('attempts_total', { purpose, outcome: outcome.attempt.outcome });
    this.logger.warn({ attemptId, run, purpose, outcome: reason }, 'attempt not judged');
    this.nudge.drain(userId);
  }

  /** What a worker put there after the attempt's end. A result that is stale for another reason leaves a live one alone. */
  private async dropLate({ userId, attemptId, run }: FaceResultPayload, inputs: LateInputs): Promise<void> {
    const age = await this.guard.attemptAge(userId, attemptId);
    if (age.kind !== 'live') await this.frames.deleteLate(attemptId, run, inputs);
  }

  /** Read here, deleted with the attempt's other blobs: the decision may have to be repeated. */
  private async similarity(result: MatchResult): Promise<number | null> {
    const blob = await this.blobs.get(blobKeys.similarity(result.attemptId, result.run));
    if (!blob) return null;
    const similarity = this.seal.openSimilarity(result, blob);
    if (similarity === null) this.forgeries.found('input_swapped');
    return similarity;
  }

  private async newTemplate(result: EnrolResult): Promise<SealedTemplate | null> {
    const { attemptId, run, templateId, userId } = result;
    const blob = await this.blobs.get(blobKeys.newTemplate(attemptId, run));
    if (!blob) return null;
    const template = this.seal.openNewTemplate(result, blob);
    if (template?.templateId === templateId && template.userId === userId) return template;
    this.forgeries.found('input_swapped');
    return null;
  }
}
