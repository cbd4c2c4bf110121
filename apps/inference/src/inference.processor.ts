import { Injectable } from '@nestjs/common';
import type { FaceEnrolPayload, FaceMatchPayload, FaceStepPayload, TemplateRewrapPayload } from '#contracts';
import { type JobContext, JobHandler, PermanentError } from '#queue';
import { InferenceService, STALLED_MAX } from './inference.service.js';
import { RewrapService } from './template/rewrap.service.js';

@Injectable()
export class InferenceProcessor {
  constructor(
    private readonly inference: InferenceService,
    private readonly rewrap: RewrapService,
  ) {}

  @JobHandler('face.step')
  async step(payload: FaceStepPayload, context: JobContext): Promise<void> {
    await this.inference.step(payload, context);
  }

  @JobHandler('face.enrol')
  async enrol(payload: FaceEnrolPayload, context: JobContext): Promise<void> {
    await this.inference.enrol(payload, context);
  }

  @JobHandler('face.match')
  async match(payload: FaceMatchPayload, context: JobContext): Promise<void> {
    await this.inference.match(payload, context);
  }

  @JobHandler('template.rewrap')
  async rewrapTemplates(payload: TemplateRewrapPayload, { stalledCount }: JobContext): Promise<void> {
    if (stalledCount >= STALLED_MAX) throw new PermanentError('this job has killed its worker twice');
    await this.rewrap.rewrap(payload);
  }
}
