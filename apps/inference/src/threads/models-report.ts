import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { type ModelsReport, SIGNED_AS } from '#contracts';
import { AppLogger } from '#observability';
import { JobQueue, TransportDownError } from '#queue';
import { signValue } from '#sealing';
import { WORKER_KEYS, type WorkerKeys } from '../keys/worker-keys.js';

const REPORT_MS = 3_000;

/** Tells the audit trail which models decide from now on, or that this process would not take those it was given. */
@Injectable()
export class ModelsReporter {
  constructor(
    private readonly queue: JobQueue,
    @Inject(WORKER_KEYS) private readonly keys: WorkerKeys,
    private readonly logger: AppLogger,
  ) {}

  /** Never throws: a worker with good models works without it, and one with bad ones has something worse to say. */
  async tell(found: Pick<ModelsReport, 'outcome' | 'modelDigest'>): Promise<void> {
    const value: ModelsReport = { reportId: randomUUID(), at: new Date().toISOString(), ...found };
    const signature = signValue(this.keys.signing, SIGNED_AS.models, value);
    // Models are read before the queue is ready.
    const told = this.queue
      .start()
      .then(() => this.queue.enqueue('worker.models', { value, ...signature }, `models-${value.reportId}`));
    try {
      await Promise.race([told, late()]);
    } catch (err) {
      this.logger.warn({ err }, 'the audit trail was not told about the models');
    }
  }
}

const late = (): Promise<never> =>
  new Promise((_, reject) => {
    setTimeout(() => reject(new TransportDownError('Redis does not answer')), REPORT_MS).unref();
  });
