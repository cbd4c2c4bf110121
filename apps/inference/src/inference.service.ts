import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import {
  type AttemptTuple,
  blobKeys,
  type FaceEnrolPayload,
  type FaceMatchPayload,
  type FaceStepPayload,
  type StepVerdict,
} from '#contracts';
import { AppLogger } from '#observability';
import { BlobStore, type JobContext, JobQueue, PermanentError, RetryableError } from '#queue';
import { AttemptEvidence } from './attempt-evidence.js';
import { ENGINE, type Engine } from './engine.js';
import { wipeEvidence } from './evidence/evidence.js';
import { chooseMean, judgeAttempt, type Judgement } from './pipeline/judge-attempt.js';

/** A job that has killed its worker so often is not run again. */
const STALLED_MAX = 2;

type About = Pick<JobContext, 'jobId' | 'stalledCount'>;

/** The three jobs. Each may be delivered more than once and on any worker, and then gives the same result again. */
@Injectable()
export class InferenceService {
  constructor(
    private readonly blobs: BlobStore,
    private readonly evidence: AttemptEvidence,
    private readonly queue: JobQueue,
    private readonly logger: AppLogger,
    @Inject(ENGINE) private readonly engine: Engine,
  ) {}

  /** One step: frames → evidence and verdict. The frames are deleted once both are stored. */
  async step(payload: FaceStepPayload, about: About): Promise<void> {
    if (about.stalledCount >= STALLED_MAX) throw new PermanentError('this job has killed its worker twice');
    const { attemptId, step, framesDigest, action } = payload;
    const known = await this.evidence.find(payload);
    let verdict: StepVerdict;
    if (known) {
      if (known.action !== action) throw new PermanentError('evidence of another action');
      verdict = known.verdict;
      wipeEvidence([known]);
    } else {
      verdict = await this.analyse(payload, about.jobId);
    }
    await this.queue.enqueue(
      'face.result',
      { ...tupleOf(payload), kind: 'step', step, action, framesDigest, verdict, modelDigest: this.engine.modelDigest },
      `${about.jobId}-r`,
    );
    await this.blobs.delete(blobKeys.frames(attemptId, step, framesDigest));
  }

  /** All steps against the template. The similarity travels beside the result, and only if it counts. */
  async match(payload: FaceMatchPayload, about: About): Promise<void> {
    const { attemptId, run, templateId } = payload;
    const stalledTwice = about.stalledCount >= STALLED_MAX;
    let judgement: Judgement = 'not_compared';
    if (!stalledTwice && payload.purpose === 'verify') {
      if (templateId === undefined) throw new PermanentError('a verification without a template');
      const found = await this.compare(payload, templateId);
      judgement = found.judgement;
      if (found.similarity !== null) await this.evidence.putSimilarity(attemptId, run, found.similarity);
    }
    this.logger.info({ attemptId, jobId: about.jobId, outcome: judgement }, 'attempt judged');
    await this.queue.enqueue(
      'face.result',
      {
        ...tupleOf(payload),
        kind: 'match',
        inputs: payload.inputs,
        ...(templateId === undefined ? {} : { templateId }),
        judgement,
        stalledTwice,
        modelDigest: this.engine.modelDigest,
        thresholdId: this.engine.threshold.id,
      },
      `${about.jobId}-r`,
    );
  }

  /** All steps → a new template, if they are one live person's. */
  async enrol(payload: FaceEnrolPayload, about: About): Promise<void> {
    const { attemptId, inputs, templateId } = payload;
    const stalledTwice = about.stalledCount >= STALLED_MAX;
    const judgement = stalledTwice ? 'not_compared' : await this.newTemplate(payload);
    this.logger.info({ attemptId, jobId: about.jobId, outcome: judgement }, 'enrolment judged');
    await this.queue.enqueue(
      'face.result',
      {
        ...tupleOf(payload),
        kind: 'enrol',
        inputs,
        templateId,
        judgement,
        stalledTwice,
        modelDigest: this.engine.modelDigest,
      },
      `${about.jobId}-r`,
    );
  }

  private async analyse(payload: FaceStepPayload, jobId: string): Promise<StepVerdict> {
    const { attemptId, step, framesDigest, action } = payload;
    const body = await this.blobs.get(blobKeys.frames(attemptId, step, framesDigest));
    if (!body) throw new RetryableError('the frames of this step are missing');
    if (createHash('sha256').update(body).digest('hex') !== framesDigest)
      throw new PermanentError('the frames are not those that were accepted');
    const started = performance.now();
    const { verdict, embeddings, antispoof, frames } = await this.engine.analyse(body, action);
    const evidence = { version: 1 as const, action, verdict, embeddings, antispoof };
    await this.evidence.put(payload, evidence);
    wipeEvidence([evidence]);
    const ms = Math.round(performance.now() - started);
    this.logger.info({ attemptId, jobId, step, frames, ms, verdict: verdict.kind }, 'step analysed');
    return verdict;
  }

  private async compare(payload: FaceMatchPayload, templateId: string): Promise<ReturnType<typeof judgeAttempt>> {
    const steps = await this.evidence.ofAll(payload.attemptId, payload.inputs);
    const template = await this.evidence.openTemplate(payload.attemptId, payload.userId, templateId);
    try {
      return judgeAttempt(steps, template, this.engine.threshold.value);
    } finally {
      template.fill(0);
      wipeEvidence(steps);
    }
  }

  private async newTemplate(payload: FaceEnrolPayload): Promise<Judgement> {
    const steps = await this.evidence.ofAll(payload.attemptId, payload.inputs);
    try {
      const { judgement } = judgeAttempt(steps, null, this.engine.threshold.value);
      const face = judgement === 'ok' ? chooseMean(steps) : null;
      if (face) {
        await this.evidence.putNewTemplate(payload, face);
        face.fill(0);
      }
      return judgement;
    } finally {
      wipeEvidence(steps);
    }
  }
}

const tupleOf = ({ attemptId, userId, challengeId, purpose, lockEpoch, run }: AttemptTuple): AttemptTuple => ({
  attemptId,
  userId,
  challengeId,
  purpose,
  lockEpoch,
  run,
});
