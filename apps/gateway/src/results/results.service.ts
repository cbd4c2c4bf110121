import { Inject, Injectable } from '@nestjs/common';
import { z } from 'zod';
import {
  blobKeys,
  type EnrolResult,
  type FaceResultPayload,
  type MatchResult,
  sealedTemplateSchema,
  type StepResult,
} from '#contracts';
import type { DecideOutcome, GuardStore } from '#guard';
import { AppLogger } from '#observability';
import { BlobStore } from '#queue';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { FrameBlobs } from '../capture/frame-blobs.js';
import { GUARD } from '../face/guard.module.js';
import { TemplateRepository } from '../face/template.repository.js';
import { DecisionQueue } from './decision-queue.js';
import { isTrusted } from './result-trust.js';

const similaritySchema = z.strictObject({ similarity: z.number().min(-1).max(1) });

/** What a worker found becomes what the guard decides. Every step may run twice: jobs are delivered at least once. */
@Injectable()
export class ResultsService {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly decisions: DecisionQueue,
    private readonly templates: TemplateRepository,
    private readonly blobs: BlobStore,
    private readonly frames: FrameBlobs,
    private readonly nudge: AuditNudge,
    private readonly logger: AppLogger,
  ) {}

  async take(result: FaceResultPayload): Promise<void> {
    const { attemptId, run } = result;
    if (!isTrusted(result)) return this.logger.warn({ attemptId, run }, 'result not trusted');
    switch (result.kind) {
      case 'step':
        return this.step(result);
      case 'match':
        return this.finish(result, await this.guard.decide(result, await this.similarity(result)));
      case 'enrol':
        return this.enrol(result);
    }
  }

  private async step(result: StepResult): Promise<void> {
    const outcome = await this.guard.recordVerdict(result);
    if (outcome.kind === 'recorded' && outcome.complete)
      await this.decisions.decide(result.userId, outcome.reservation);
  }

  /** The new row first, then the guard's pointer, then the old rows: a crash leaves at most a row nobody names. */
  private async enrol(result: EnrolResult): Promise<void> {
    const { userId, templateId } = result;
    const older = (await this.templates.idsOf(userId)).filter((id) => id !== templateId);
    if (result.judgement === 'ok' && !result.stalledTwice) {
      const template = await this.newTemplate(result);
      if (!template) return this.logger.error({ attemptId: result.attemptId }, 'new template missing');
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
    if (outcome.kind === 'stale') return;
    const { outcome: end, eventType } = outcome.attempt;
    this.logger.info({ attemptId, run, purpose, outcome: end, eventType }, 'attempt decided');
    await this.frames.deleteAll(attemptId, run, inputs);
    this.nudge.drain(userId);
  }

  /** Read here, deleted with the attempt's other blobs: the decision may have to be repeated. */
  private async similarity(result: MatchResult): Promise<number | null> {
    const blob = await this.blobs.get(blobKeys.similarity(result.attemptId, result.run));
    if (!blob) return null;
    const parsed = similaritySchema.safeParse(readJson(blob));
    return parsed.success ? parsed.data.similarity : null;
  }

  private async newTemplate({ attemptId, run, templateId, userId }: EnrolResult) {
    const blob = await this.blobs.get(blobKeys.newTemplate(attemptId, run));
    const parsed = sealedTemplateSchema.safeParse(blob && readJson(blob));
    if (!parsed.success || parsed.data.templateId !== templateId || parsed.data.userId !== userId) return null;
    return parsed.data;
  }
}

function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
