import { Injectable } from '@nestjs/common';
import type { EventReason } from '#contracts';
import { AppLogger } from '#observability';
import { SystemOutbox } from './system-outbox.js';

export type Forgery = Extract<
  EventReason,
  'malformed' | 'unknown_key' | 'bad_signature' | 'replayed' | 'input_swapped' | 'session_forged'
>;

/** What lay in Redis and nobody of ours put there: dropped by whoever found it, counted and audited here. */
@Injectable()
export class Forgeries {
  private readonly counts = new Map<Forgery, number>();

  constructor(
    private readonly outbox: SystemOutbox,
    private readonly logger: AppLogger,
  ) {}

  /** The audit trail gets at most one entry a kind and minute, with the number of those it stands for. */
  found(reason: Forgery): void {
    const count = (this.counts.get(reason) ?? 0) + 1;
    this.counts.set(reason, count);
    this.logger.warn({ eventType: 'result_forged', reason, count }, 'forgery dropped');
    this.outbox.record({ type: 'result_forged', userId: null, origin: {}, reason });
  }
}
