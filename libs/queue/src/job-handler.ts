import { SetMetadata } from '@nestjs/common';
import type { JobName, JobPayload } from '#contracts';

export const JOB_HANDLER = 'countersign:job-handler';

/** What a handler may know about its job beside the payload. */
export interface JobContext {
  jobId: string;
  /** How often a worker died, or froze, while it held this job. */
  stalledCount: number;
  /** Tries left after this one: 0 on the last. */
  triesLeft: number;
  /** Aborted when the job's time is over. */
  signal: AbortSignal;
}

type Handler<N extends JobName> = (payload: JobPayload<N>, context: JobContext) => Promise<void>;

/** Marks the one method that handles a job. Its payload has been parsed before it is called. */
export const JobHandler =
  <N extends JobName>(name: N) =>
  <T extends Handler<N>>(target: object, key: string | symbol, descriptor: TypedPropertyDescriptor<T>): void => {
    SetMetadata(JOB_HANDLER, name)(target, key, descriptor);
  };
