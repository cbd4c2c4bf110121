import { Inject, Injectable } from '@nestjs/common';
import {
  type AttemptTuple,
  attemptTupleOf,
  blobKeys,
  type FaceEnrolPayload,
  type FaceMatchPayload,
  type FaceStepPayload,
  type StepVerdict,
  type UnjudgedResult,
} from '#contracts';
import { AppLogger, Metrics } from '#observability';
import { BlobStore, type JobContext, PermanentError, RetryableError, TransportDownError } from '#queue';
import { AttemptEvidence, SwappedInputError } from './attempt-evidence.js';
import { ENGINE, type Engine } from './engine.js';
import { wipeEvidence } from './evidence/evidence.js';
import { ResultSender } from './keys/result-sender.js';
import { chooseMean, judgeAttempt, type Judgement } from './pipeline/judge-attempt.js';

/** A job that has killed its worker so often is not run again. */
export const STALLED_MAX = 2;

/** How often is asked whether the frames in work are still wanted. */
const WANTED_MS = 400;

type About = Pick<JobContext, 'jobId' | 'stalledCount' | 'signal' | 'triesLeft'>;

/** The three jobs. Each may be delivered more than once and on any worker, and then gives the same result again. */
@Injectable()
export class InferenceService {
  constructor(
    private readonly blobs: BlobStore,
    private readonly evidence: AttemptEvidence,
    private readonly results: ResultSender,
    private readonly logger: AppLogger,
    private readonly metrics: Metrics,
    @Inject(ENGINE) private readonly engine: Engine,
  ) {}

  /** One step: frames → evidence and verdict. The frames are deleted once both are stored. */
  async step(payload: FaceStepPayload, about: About): Promise<void> {
    if (about.stalledCount >= STALLED_MAX) return this.giveUp(payload, about, 'stalled_twice');
    return this.orGivesUp(payload, about, () => this.judgeStep(payload, about));
  }

  private async judgeStep(payload: FaceStepPayload, about: About): Promise<void> {
    const { attemptId, step, framesDigest, action } = payload;
    const known = await this.evidence.find(payload);
    let verdict: StepVerdict;
    if (known) {
      if (known.action !== action) throw new PermanentError('evidence of another action');
      verdict = known.verdict;
      wipeEvidence([known]);
    } else {
      verdict = await this.telling(payload, about, () => this.analyse(payload, about));
    }
    await this.results.send(
      {
        ...attemptTupleOf(payload),
        kind: 'step',
        step,
        action,
        framesDigest,
        verdict,
        modelDigest: this.engine.modelDigest,
      },
      about.jobId,
    );
    await this.blobs.delete(blobKeys.frames(attemptId, step, framesDigest));
  }

  /** All steps against the template. The similarity travels beside the result, and only if it counts. */
  match(payload: FaceMatchPayload, about: About): Promise<void> {
    return this.orGivesUp(payload, about, () => this.judgeMatch(payload, about));
  }

  private async judgeMatch(payload: FaceMatchPayload, about: About): Promise<void> {
    const { attemptId, templateId, templateDigest } = payload;
    const stalledTwice = about.stalledCount >= STALLED_MAX;
    let judgement: Judgement = 'not_compared';
    if (!stalledTwice && payload.purpose === 'verify') {
      if (!templateId || !templateDigest) throw new PermanentError('a verification without a template');
      const found = await this.telling(payload, about, () => this.compare(payload, { templateId, templateDigest }));
      judgement = found.judgement;
      if (found.similarity !== null) await this.evidence.putSimilarity(payload, found.similarity);
    }
    this.logger.info({ attemptId, jobId: about.jobId, outcome: judgement }, 'attempt judged');
    await this.results.send(
      {
        ...attemptTupleOf(payload),
        kind: 'match',
        inputs: payload.inputs,
        ...(templateId === undefined ? {} : { templateId, templateDigest }),
        judgement,
        stalledTwice,
        modelDigest: this.engine.modelDigest,
        thresholdId: this.engine.thresholdId,
      },
      about.jobId,
    );
  }

  /** All steps → a new template, if they are one live person's. */
  enrol(payload: FaceEnrolPayload, about: About): Promise<void> {
    return this.orGivesUp(payload, about, () => this.judgeEnrolment(payload, about));
  }

  private async judgeEnrolment(payload: FaceEnrolPayload, about: About): Promise<void> {
    const { attemptId, inputs, templateId } = payload;
    const stalledTwice = about.stalledCount >= STALLED_MAX;
    const judgement = stalledTwice ? 'not_compared' : await this.newTemplate(payload);
    this.logger.info({ attemptId, jobId: about.jobId, outcome: judgement }, 'enrolment judged');
    await this.results.send(
      {
        ...attemptTupleOf(payload),
        kind: 'enrol',
        inputs,
        templateId,
        judgement,
        stalledTwice,
        modelDigest: this.engine.modelDigest,
      },
      about.jobId,
    );
  }

  private async analyse(payload: FaceStepPayload, { jobId, signal }: About): Promise<StepVerdict> {
    const { attemptId, step, action } = payload;
    const body = await this.evidence.frames(payload);
    const started = performance.now();
    const { verdict, embeddings, antispoof, frames } = await this.whileWanted(payload, signal, (wanted) =>
      this.engine.analyse(body, action, wanted),
    );
    const evidence = { version: 1 as const, action, verdict, embeddings, antispoof };
    await this.evidence.put(payload, evidence);
    wipeEvidence([evidence]);
    const ms = Math.round(performance.now() - started);
    this.metrics.observe('analysis_seconds', {}, ms / 1000);
    this.metrics.count('step_verdicts_total', { verdict: verdict.kind });
    this.metrics.count('frames_analysed_total', {}, frames);
    this.logger.info({ attemptId, jobId, step, frames, ms, verdict: verdict.kind }, 'step analysed');
    return verdict;
  }

  /**
   * Ends the work when the job's time is over, and when the frames are gone: then the attempt was cancelled, or another
   * worker has done the step, and nobody waits for this one.
   */
  private async whileWanted<T>(
    { attemptId, step, framesDigest }: FaceStepPayload,
    over: AbortSignal,
    work: (wanted: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const unwanted = new AbortController();
    const look = async (): Promise<void> => {
      // A store that does not answer says nothing about the frames.
      const there = await this.blobs.exists(blobKeys.frames(attemptId, step, framesDigest)).catch(() => true);
      if (!there) unwanted.abort();
    };
    const timer = setInterval(() => void look(), WANTED_MS);
    try {
      return await work(AbortSignal.any([over, unwanted.signal]));
    } catch (error) {
      throw unwanted.signal.aborted
        ? new PermanentError('the frames are not wanted any more', { cause: error })
        : error;
    } finally {
      clearInterval(timer);
    }
  }

  /** What could not be judged on the last try is said: silence would have the attempt's decision queued again. */
  private async orGivesUp(payload: AttemptTuple, about: About, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const isOutage = error instanceof TransportDownError;
      if (about.triesLeft === 0 && error instanceof RetryableError && !isOutage)
        await this.giveUp(payload, about, 'worker_failed');
      throw error;
    }
  }

  private async giveUp(payload: AttemptTuple, { jobId }: About, reason: UnjudgedResult['reason']): Promise<void> {
    this.logger.warn({ attemptId: payload.attemptId, jobId, outcome: reason }, 'job given up');
    await this.results.send({ ...attemptTupleOf(payload), kind: 'unjudged', reason }, `${jobId}-u`);
  }

  /** Whoever finds a swapped input says so before the job fails: a failed job alone tells nobody. */
  private async telling<T>(payload: AttemptTuple, about: About, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SwappedInputError)
        await this.results.send(
          { ...attemptTupleOf(payload), kind: 'refused_input', input: error.input },
          `${about.jobId}-x`,
        );
      throw error;
    }
  }

  private async compare(
    { attemptId, userId, inputs }: FaceMatchPayload,
    which: { templateId: string; templateDigest: string },
  ): Promise<ReturnType<typeof judgeAttempt>> {
    const [steps, template] = await Promise.allSettled([
      this.evidence.ofAll(attemptId, inputs),
      this.evidence.openTemplate({ attemptId, userId, ...which }),
    ]);
    try {
      if (steps.status === 'rejected') throw steps.reason;
      if (template.status === 'rejected') throw template.reason;
      return judgeAttempt(steps.value, template.value, this.engine.rules);
    } finally {
      if (template.status === 'fulfilled') template.value.fill(0);
      if (steps.status === 'fulfilled') wipeEvidence(steps.value);
    }
  }

  private async newTemplate(payload: FaceEnrolPayload): Promise<Judgement> {
    const steps = await this.evidence.ofAll(payload.attemptId, payload.inputs);
    try {
      const { judgement } = judgeAttempt(steps, null, this.engine.rules);
      const face = judgement === 'ok' ? chooseMean(steps, this.engine.rules.recognisers) : null;
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
