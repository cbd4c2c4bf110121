import { Injectable } from '@nestjs/common';
import { MODELS_REPORT_MAX_AGE_MS, signedModelsReportSchema } from '#contracts';
import { JobHandler } from '#queue';
import { Forgeries } from '../audit-trail/forgeries.js';
import { SystemOutbox } from '../audit-trail/system-outbox.js';
import { WorkerSeal } from '../keys/worker-seal.js';

/** What workers say about their models, for the audit trail. Nothing else follows from it. */
@Injectable()
export class ModelsReportHandler {
  constructor(
    private readonly seal: WorkerSeal,
    private readonly forgeries: Forgeries,
    private readonly outbox: SystemOutbox,
  ) {}

  /** @param payload whatever lay in the queue: anybody may have put it there. */
  @JobHandler('worker.models')
  report(payload: unknown): Promise<void> {
    this.take(payload);
    return Promise.resolve();
  }

  private take(payload: unknown): void {
    const signed = signedModelsReportSchema.safeParse(payload);
    if (!signed.success) return this.forgeries.found('malformed');
    const { value } = signed.data;
    const verification = this.seal.verify('models', value, signed.data);
    if (verification !== 'genuine') return this.forgeries.found(verification);
    if (Math.abs(Date.now() - Date.parse(value.at)) > MODELS_REPORT_MAX_AGE_MS) return this.forgeries.found('replayed');
    this.outbox.record({
      // The same report once more is the same event, which the log takes once.
      eventId: value.reportId,
      type: value.outcome === 'loaded' ? 'model_loaded' : 'model_refused',
      userId: null,
      origin: {},
      modelDigest: value.modelDigest,
    });
  }
}
