import { Inject, Injectable } from '@nestjs/common';
import type { z } from 'zod';
import { framesAad, SIGNED_AS, signedSimilaritySchema, signedTemplateSchema, similarityAad, type SealedTemplate } from '#contracts'; // prettier-ignore
import { newestOf, openWith, SealError, sealTo, type Signature, type Verification, verifyValue } from '#sealing';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';

interface AttemptRun {
  attemptId: string;
  run: number;
}

/** What passes between this process and the workers through a Redis that is not trusted. */
@Injectable()
export class WorkerSeal {
  constructor(@Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig) {}

  /** Sealed to the workers: this process itself cannot open it again. */
  sealFrames(place: Parameters<typeof framesAad>[0], body: Buffer): Buffer {
    return sealTo(newestOf(this.config.FRAME_PUBLIC_KEY), framesAad(place), body);
  }

  /** Whether a worker signed this value for this purpose. */
  verify(purpose: keyof typeof SIGNED_AS, value: unknown, signature: Signature): Verification {
    return verifyValue(this.config.RESULT_PUBLIC_KEYS, SIGNED_AS[purpose], value, signature);
  }

  /** Null for whatever a worker did not make for this very attempt and run. */
  openSimilarity(of: AttemptRun, blob: Buffer): number | null {
    try {
      const plain = openWith(this.config.SIMILARITY_PRIVATE_KEYS, similarityAad(of), blob);
      return this.signed('similarity', signedSimilaritySchema, of, plain)?.similarity ?? null;
    } catch (error) {
      if (error instanceof SealError) return null;
      throw error;
    }
  }

  openNewTemplate(of: AttemptRun, blob: Buffer): SealedTemplate | null {
    return this.signed('newTemplate', signedTemplateSchema, of, blob)?.template ?? null;
  }

  private signed<V extends AttemptRun>(
    purpose: keyof typeof SIGNED_AS,
    schema: z.ZodType<Signature & { value: V }>,
    of: AttemptRun,
    json: Buffer,
  ): V | null {
    const parsed = schema.safeParse(readJson(json));
    if (!parsed.success || this.verify(purpose, parsed.data.value, parsed.data) !== 'genuine') return null;
    const { value } = parsed.data;
    return value.attemptId === of.attemptId && value.run === of.run ? value : null;
  }
}

function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
