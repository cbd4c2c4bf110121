import { Inject, Injectable } from '@nestjs/common';
import type { GuardStore } from '#guard';
import { BlobStore, JobQueue } from '#queue';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { GUARD } from '../face/guard.module.js';

const RETRY_AFTER_SECONDS = 5;
/** A Redis that is full refuses the frames of those who are in the middle of a capture: they need the rest. */
const MEMORY_SHARE = 0.9;

export type Admission = { kind: 'admitted' } | { kind: 'busy'; retryAfterSeconds: number };

/**
 * Whether a capture that begins now would be judged in time. The only place that decides it. Begins that ask at the
 * same moment do not see each other, so capacity may be exceeded by as many as ask at once.
 */
@Injectable()
export class AdmissionControl {
  constructor(
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly jobs: JobQueue,
    private readonly blobs: BlobStore,
  ) {}

  async check(): Promise<Admission> {
    const { CAPTURES_MAX, JOBS_PER_WORKER_MAX, BLOB_BYTES_MAX } = this.config;
    const [workers, depth, live, { usedBytes, maxBytes }] = await Promise.all([
      this.jobs.workers('face'),
      this.jobs.depth('face'),
      this.guard.liveCount(CAPTURES_MAX),
      this.blobs.memory(),
    ]);
    const bytesMax = Math.min(BLOB_BYTES_MAX, maxBytes === null ? Infinity : maxBytes * MEMORY_SHARE);
    const admitted =
      workers > 0 && depth < workers * JOBS_PER_WORKER_MAX && live < CAPTURES_MAX && usedBytes < bytesMax;
    return admitted ? { kind: 'admitted' } : { kind: 'busy', retryAfterSeconds: RETRY_AFTER_SECONDS };
  }
}
