import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { BLOB_TTL_SECONDS, blobKeys, type RewrapBatch, type RewrapValue, signedRewrapSchema } from '#contracts';
import { BlobStore, JobQueue } from '#queue';
import { Forgeries } from '../audit-trail/forgeries.js';
import { WorkerSeal } from '../keys/worker-seal.js';
import { sha256Hex } from '../store/keys.js';

const LOOK_EVERY_MS = 50;
/** A worker that was killed is noticed after 3.5 s, and another one answers. */
const ANSWER_MS = 15_000;

/** One question to the workers and its answer. */
@Injectable()
export class RewrapBatches {
  constructor(
    private readonly jobs: JobQueue,
    private readonly blobs: BlobStore,
    private readonly seal: WorkerSeal,
    private readonly forgeries: Forgeries,
  ) {}

  /**
   * Has keys wrapped by the version `target`, or learns which one is in use. Null: no worker has answered in time.
   *
   * @throws TransportDownError
   */
  async ask(rotationId: string, target: string | null, batch: RewrapBatch): Promise<RewrapValue | null> {
    const batchId = randomUUID();
    const [question, answer] = [blobKeys.rewrap(batchId), blobKeys.rewrapped(batchId)];
    const bytes = Buffer.from(JSON.stringify(batch));
    const inputDigest = sha256Hex(bytes);
    await this.blobs.put(question, bytes, BLOB_TTL_SECONDS);
    try {
      await this.jobs.enqueue('template.rewrap', { rotationId, batchId, target, inputDigest }, `rewrap-${batchId}`);
      const blob = await this.answerOf(answer);
      return blob && this.genuine(blob, { rotationId, batchId, inputDigest }, batch.length);
    } finally {
      await this.blobs.delete(question, answer);
    }
  }

  private async answerOf(key: string): Promise<Buffer | null> {
    const until = performance.now() + ANSWER_MS;
    while (performance.now() < until) {
      const blob = await this.blobs.get(key);
      if (blob) return blob;
      await sleep(LOOK_EVERY_MS);
    }
    return null;
  }

  private genuine(
    blob: Buffer,
    asked: Pick<RewrapValue, 'rotationId' | 'batchId' | 'inputDigest'>,
    rows: number,
  ): RewrapValue | null {
    const signed = signedRewrapSchema.safeParse(readJson(blob));
    if (!signed.success) return this.refused('malformed');
    const { value } = signed.data;
    const verification = this.seal.verify('rewrap', value, signed.data);
    if (verification !== 'genuine') return this.refused(verification);
    const isAnswer =
      value.rotationId === asked.rotationId &&
      value.batchId === asked.batchId &&
      value.inputDigest === asked.inputDigest &&
      (value.keyVersion === null || value.wrappedDeks.length === rows);
    return isAnswer ? value : this.refused('input_swapped');
  }

  private refused(why: Parameters<Forgeries['found']>[0]): null {
    this.forgeries.found(why);
    return null;
  }
}

function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
