import { Injectable } from '@nestjs/common';
import { JobQueue } from '#queue';

/** Jobs that may wait or run for each connected worker before new captures are refused. */
const JOBS_PER_WORKER = 24;
const RETRY_AFTER_SECONDS = 5;

export type Admission = { kind: 'admitted' } | { kind: 'busy'; retryAfterSeconds: number };

/** Whether a capture that begins now would be judged in time. The only place that decides it. */
@Injectable()
export class AdmissionControl {
  constructor(private readonly jobs: JobQueue) {}

  async check(): Promise<Admission> {
    const [workers, depth] = await Promise.all([this.jobs.workers('face'), this.jobs.depth('face')]);
    const admitted = workers > 0 && depth < workers * JOBS_PER_WORKER;
    return admitted ? { kind: 'admitted' } : { kind: 'busy', retryAfterSeconds: RETRY_AFTER_SECONDS };
  }
}
