import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import {
  BLOB_TTL_SECONDS,
  blobKeys,
  type RewrapBatch,
  rewrapBatchSchema,
  type RewrapValue,
  SIGNED_AS,
  type TemplateRewrapPayload,
} from '#contracts';
import { BlobStore, PermanentError, RetryableError } from '#queue';
import { SealError, signValue } from '#sealing';
import { KEK_PROVIDER, type KekProvider, UnknownKekError } from '../keys/kek-provider.js';
import { WORKER_KEYS, type WorkerKeys } from '../keys/worker-keys.js';
import { rewrapDek } from './template.js';

/** Wraps the keys of templates by another version: what it is given it gives back, and stores nothing. */
@Injectable()
export class RewrapService {
  constructor(
    private readonly blobs: BlobStore,
    @Inject(WORKER_KEYS) private readonly keys: WorkerKeys,
    @Inject(KEK_PROVIDER) private readonly keks: KekProvider,
  ) {}

  async rewrap({ rotationId, batchId, target, inputDigest }: TemplateRewrapPayload): Promise<void> {
    const batch = await this.batch(batchId, inputDigest);
    const keyVersion = target ?? (await this.keks.newest());
    const isOurs = await this.keks.has(keyVersion);
    const value: RewrapValue = {
      rotationId,
      batchId,
      inputDigest,
      keyVersion: isOurs ? keyVersion : null,
      wrappedDeks: isOurs ? await this.all(batch, keyVersion) : [],
    };
    const answer = { value, ...signValue(this.keys.signing, SIGNED_AS.rewrap, value) };
    await this.blobs.put(blobKeys.rewrapped(batchId), Buffer.from(JSON.stringify(answer)), BLOB_TTL_SECONDS);
  }

  private async batch(batchId: string, inputDigest: string): Promise<RewrapBatch> {
    const blob = await this.blobs.get(blobKeys.rewrap(batchId));
    if (!blob) throw new RetryableError('the batch is missing');
    const isAsked = createHash('sha256').update(blob).digest('hex') === inputDigest;
    if (!isAsked) throw new PermanentError('the batch is not that of this job');
    return rewrapBatchSchema.parse(JSON.parse(blob.toString('utf8')));
  }

  private all(batch: RewrapBatch, target: string): Promise<(string | null)[]> {
    return Promise.all(
      batch.map(async (row) => {
        try {
          return await rewrapDek(this.keks, row, target);
        } catch (error) {
          // One row that does not open must not keep the others on the old key.
          if (error instanceof SealError || error instanceof UnknownKekError) return null;
          throw error;
        }
      }),
    );
  }
}
