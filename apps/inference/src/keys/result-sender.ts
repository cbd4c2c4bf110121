import { Inject, Injectable } from '@nestjs/common';
import { type FaceResultPayload, SIGNED_AS } from '#contracts';
import { JobQueue } from '#queue';
import { signValue } from '#sealing';
import { WORKER_KEYS, type WorkerKeys } from './worker-keys.js';

/** The only way in which a worker says anything: signed. */
@Injectable()
export class ResultSender {
  constructor(
    private readonly queue: JobQueue,
    @Inject(WORKER_KEYS) private readonly keys: WorkerKeys,
  ) {}

  async send(result: FaceResultPayload, jobId: string): Promise<void> {
    const signature = signValue(this.keys.signing, SIGNED_AS.result, result);
    await this.queue.enqueue('face.result', { result, ...signature }, `${jobId}-r`);
  }
}
