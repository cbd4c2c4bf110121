import { Injectable } from '@nestjs/common';
import { BLOB_TTL_SECONDS, blobKeys, blobKeysOf, type SealedTemplate } from '#contracts';
import { BlobStore } from '#queue';
import { WorkerSeal } from '../keys/worker-seal.js';

interface StepInput {
  step: number;
  framesDigest: string;
}

/** The only place where frames leave this process, sealed to the workers, and where templates go to a worker. */
@Injectable()
export class FrameBlobs {
  constructor(
    private readonly blobs: BlobStore,
    private readonly seal: WorkerSeal,
  ) {}

  async put(attemptId: string, { step, framesDigest }: StepInput, body: Buffer, ttlSeconds: number): Promise<void> {
    const sealed = this.seal.sealFrames({ attemptId, step, framesDigest }, body);
    await this.blobs.put(blobKeys.frames(attemptId, step, framesDigest), sealed, ttlSeconds);
  }

  async delete(attemptId: string, { step, framesDigest }: StepInput): Promise<void> {
    await this.blobs.delete(blobKeys.frames(attemptId, step, framesDigest));
  }

  /** The template is ciphertext already; it travels beside the job, which names its digest. */
  async putTemplate(attemptId: string, template: SealedTemplate): Promise<void> {
    await this.blobs.put(blobKeys.template(attemptId), Buffer.from(JSON.stringify(template)), BLOB_TTL_SECONDS);
  }

  /** What came too late, for an attempt that is over: its other blobs went when it ended. */
  async deleteLate(attemptId: string, run: number, inputs: readonly StepInput[]): Promise<void> {
    await this.blobs.delete(...blobKeysOf(attemptId, run, inputs));
  }
}
