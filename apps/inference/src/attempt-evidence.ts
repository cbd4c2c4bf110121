import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import {
  type AttemptTuple,
  BLOB_TTL_SECONDS,
  blobKeys,
  type FaceStepPayload,
  framesAad,
  type SealedTemplate,
  sealedTemplateSchema,
  SIGNED_AS,
  similarityAad,
  templateIdentity,
} from '#contracts';
import { BlobStore, PermanentError, RetryableError } from '#queue';
import { openWith, SealError, sealTo, signValue, valueDigest } from '#sealing';
import { ENGINE, type Engine } from './engine.js';
import { type Evidence, openEvidence, sealEvidence } from './evidence/evidence.js';
import { KEK_PROVIDER, type KekProvider, UnknownKekError } from './keys/kek-provider.js';
import { WORKER_KEYS, type WorkerKeys } from './keys/worker-keys.js';
import { release } from './memory.js';
import { openTemplate, sealTemplate } from './template/template.js';

type StepPlace = Pick<FaceStepPayload, 'attemptId' | 'step' | 'framesDigest'>;

interface AttemptRun {
  attemptId: string;
  run: number;
}

/** What lay in the blob store is not what was put there. Trying again would find the same. */
export class SwappedInputError extends PermanentError {
  override name = 'SwappedInputError';
  constructor(readonly input: 'frames' | 'template') {
    super(`the ${input} are not those of this job`);
  }
}

/** The blobs of an attempt as a worker sees them. All are sealed, and each opens at its own place only. */
@Injectable()
export class AttemptEvidence {
  constructor(
    private readonly blobs: BlobStore,
    @Inject(ENGINE) private readonly engine: Engine,
    @Inject(WORKER_KEYS) private readonly keys: WorkerKeys,
    @Inject(KEK_PROVIDER) private readonly keks: KekProvider,
  ) {}

  /** The frames of one step as the gateway received them. */
  async frames(place: StepPlace): Promise<Buffer> {
    const sealed = await this.blobs.get(blobKeys.frames(place.attemptId, place.step, place.framesDigest));
    if (!sealed) throw new RetryableError('the frames of this step are missing');
    const body = this.opened(place, sealed);
    release(sealed);
    if (createHash('sha256').update(body).digest('hex') !== place.framesDigest) throw new SwappedInputError('frames');
    return body;
  }

  async put(place: StepPlace & Pick<FaceStepPayload, 'keepSeconds'>, evidence: Evidence): Promise<void> {
    const sealed = sealEvidence(this.keys.evidence, this.placed(place), evidence);
    await this.blobs.put(this.keyOf(place), sealed, place.keepSeconds ?? BLOB_TTL_SECONDS);
  }

  /** Null when there is none that these models and this key can read: then the step is analysed anew. */
  async find(place: StepPlace): Promise<Evidence | null> {
    const sealed = await this.blobs.get(this.keyOf(place));
    if (!sealed) return null;
    try {
      return openEvidence(this.keys.evidence, this.placed(place), sealed);
    } catch (error) {
      if (error instanceof SealError) return null;
      throw error;
    }
  }

  /** The evidence of every step, in order; each must be of the action that was asked. */
  async ofAll(
    attemptId: string,
    inputs: readonly Pick<FaceStepPayload, 'step' | 'framesDigest' | 'action'>[],
  ): Promise<Evidence[]> {
    return Promise.all(
      inputs.map(async ({ step, framesDigest, action }) => {
        const evidence = await this.find({ attemptId, step, framesDigest });
        if (!evidence) throw new RetryableError('evidence of a step is missing');
        if (evidence.action !== action) throw new PermanentError('evidence of another action');
        return evidence;
      }),
    );
  }

  /** The user's template as a unit vector; whoever asked overwrites it after use. */
  async openTemplate(of: {
    attemptId: string;
    userId: string;
    templateId: string;
    templateDigest: string;
  }): Promise<Float32Array> {
    const blob = await this.blobs.get(blobKeys.template(of.attemptId));
    if (!blob) throw new RetryableError('the template is missing');
    const template = sealedTemplateSchema.safeParse(readJson(blob)).data;
    const isAsked = template?.userId === of.userId && template.templateId === of.templateId;
    if (!isAsked || valueDigest(templateIdentity(template)) !== of.templateDigest)
      throw new SwappedInputError('template');
    if (template.modelDigest !== this.engine.modelDigest) throw new PermanentError('a template of other models');
    try {
      return await openTemplate(this.keks, template);
    } catch (error) {
      if (error instanceof UnknownKekError) throw new PermanentError('a template of another key', { cause: error });
      throw error instanceof SealError ? new SwappedInputError('template') : error;
    }
  }

  async putNewTemplate(
    of: Pick<AttemptTuple, 'attemptId' | 'run' | 'userId'> & { templateId: string },
    face: Float32Array,
  ): Promise<void> {
    const { attemptId, run, userId, templateId } = of;
    const place = { userId, templateId, modelDigest: this.engine.modelDigest };
    const template: SealedTemplate = await sealTemplate(this.keks, place, face);
    const signed = this.signed('newTemplate', { attemptId, run, template });
    await this.blobs.put(blobKeys.newTemplate(attemptId, run), signed, BLOB_TTL_SECONDS);
  }

  /** Sealed to the gateways, and signed inside: anybody could have sealed it. */
  async putSimilarity({ attemptId, run }: AttemptRun, similarity: number): Promise<void> {
    const value = { attemptId, run, similarity: Math.max(-1, Math.min(1, similarity)) };
    const sealed = sealTo(this.keys.similarity, similarityAad(value), this.signed('similarity', value));
    await this.blobs.put(blobKeys.similarity(attemptId, run), sealed, BLOB_TTL_SECONDS);
  }

  private opened(place: StepPlace, sealed: Buffer): Buffer {
    try {
      return openWith(this.keys.frames, framesAad(place), sealed);
    } catch (error) {
      throw error instanceof SealError ? new SwappedInputError('frames') : error;
    }
  }

  private signed(purpose: keyof typeof SIGNED_AS, value: AttemptRun & Record<string, unknown>): Buffer {
    return Buffer.from(JSON.stringify({ value, ...signValue(this.keys.signing, SIGNED_AS[purpose], value) }));
  }

  private keyOf(p: StepPlace): string {
    return blobKeys.evidence(p.attemptId, p.step, p.framesDigest);
  }

  private placed(p: StepPlace): StepPlace & { modelDigest: string } {
    return {
      attemptId: p.attemptId,
      step: p.step,
      framesDigest: p.framesDigest,
      modelDigest: this.engine.modelDigest,
    };
  }
}

function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
