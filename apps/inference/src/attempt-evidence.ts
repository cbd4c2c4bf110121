import { Inject, Injectable } from '@nestjs/common';
import {
  BLOB_TTL_SECONDS,
  blobKeys,
  type FaceStepPayload,
  type SealedTemplate,
  sealedTemplateSchema,
} from '#contracts';
import { BlobStore, PermanentError, RetryableError } from '#queue';
import { SealError } from '#sealing';
import { ENGINE, type Engine, TEMPLATE_KEK } from './engine.js';
import { type Evidence, evidenceKey, openEvidence, sealEvidence } from './evidence/evidence.js';
import { keyVersionOf, openTemplate, sealTemplate } from './template/template.js';

type StepPlace = Pick<FaceStepPayload, 'attemptId' | 'step' | 'framesDigest'>;

/** The blobs of an attempt as a worker sees them: evidence and templates sealed, the similarity on its own. */
@Injectable()
export class AttemptEvidence {
  private readonly key: Buffer;

  constructor(
    private readonly blobs: BlobStore,
    @Inject(ENGINE) private readonly engine: Engine,
    @Inject(TEMPLATE_KEK) private readonly kek: Buffer,
  ) {
    this.key = evidenceKey(kek);
  }

  async put(place: StepPlace, evidence: Evidence): Promise<void> {
    const sealed = sealEvidence(this.key, this.placed(place), evidence);
    await this.blobs.put(this.keyOf(place), sealed, BLOB_TTL_SECONDS);
  }

  /** Null when there is none that these models and this key can read: then the step is analysed anew. */
  async find(place: StepPlace): Promise<Evidence | null> {
    const sealed = await this.blobs.get(this.keyOf(place));
    if (!sealed) return null;
    try {
      return openEvidence(this.key, this.placed(place), sealed);
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
  async openTemplate(attemptId: string, userId: string, templateId: string): Promise<Float32Array> {
    const blob = await this.blobs.get(blobKeys.template(attemptId));
    if (!blob) throw new RetryableError('the template is missing');
    const template = sealedTemplateSchema.parse(JSON.parse(blob.toString('utf8')));
    if (template.userId !== userId || template.templateId !== templateId)
      throw new PermanentError('a template of somebody else');
    if (template.modelDigest !== this.engine.modelDigest) throw new PermanentError('a template of other models');
    if (template.keyVersion !== keyVersionOf(this.kek)) throw new PermanentError('a template of another key');
    return openTemplate(this.kek, template);
  }

  async putNewTemplate(
    of: { attemptId: string; run: number; userId: string; templateId: string },
    face: Float32Array,
  ): Promise<void> {
    const { userId, templateId } = of;
    const sealed: SealedTemplate = sealTemplate(
      this.kek,
      { userId, templateId, modelDigest: this.engine.modelDigest },
      face,
    );
    await this.blobs.put(
      blobKeys.newTemplate(of.attemptId, of.run),
      Buffer.from(JSON.stringify(sealed)),
      BLOB_TTL_SECONDS,
    );
  }

  async putSimilarity(attemptId: string, run: number, similarity: number): Promise<void> {
    const json = JSON.stringify({ similarity: Math.max(-1, Math.min(1, similarity)) });
    await this.blobs.put(blobKeys.similarity(attemptId, run), Buffer.from(json), BLOB_TTL_SECONDS);
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
