import { Inject, Injectable } from '@nestjs/common';
import { EventProofs } from '#audit-log';
import type { GuardStore } from '#guard';
import { AppLogger, Metrics } from '#observability';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import { eachAlone } from '../each-alone.js';
import { GUARD_STORE } from '../guard-store.js';
import { LogWriter } from '../log/log-writer.js';
import type { LogEvent } from '../log/make-entry.js';
import { MailNudge } from '../notifications/mail-nudge.js';
import { MailsRepository } from '../notifications/mails.repository.js';
import { sortGuardOutbox, sortSystemOutbox } from './outbox-entry.js';
import { SystemOutboxRepository } from './system-outbox.repository.js';

const MALFORMED = 'entries of an outbox are not what our processes write; they are stored as malformed';
const SWEEP_PARALLEL = 4;
/** A guard may be written to while it is drained; what comes after so many rounds waits for the next nudge. */
const ROUNDS_MAX = 20;

/**
 * Brings events and mails from where they were decided to where they are kept: store first, under their unique ids,
 * pull only what a majority has on disk. A crash between the two repeats the storing, which changes nothing.
 */
@Injectable()
export class DrainService {
  private readonly proofs: EventProofs | null;

  constructor(
    @Inject(GUARD_STORE) private readonly guard: GuardStore,
    private readonly log: LogWriter,
    private readonly mails: MailsRepository,
    private readonly system: SystemOutboxRepository,
    private readonly nudge: MailNudge,
    private readonly logger: AppLogger,
    private readonly metrics: Metrics,
    @Inject(AUDIT_CONFIG) { EVENT_MAC_KEY }: Pick<AuditConfig, 'EVENT_MAC_KEY'>,
  ) {
    this.proofs = EVENT_MAC_KEY ? new EventProofs(EVENT_MAC_KEY) : null;
  }

  async drainUser(userId: string): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const entries: unknown[] = await this.guard.readOutbox(userId);
      if (entries.length === 0) return;
      const batch = sortGuardOutbox(userId, entries, { receivedAt: new Date(), proofs: this.proofs });
      this.metrics.count('malformed_events_total', {}, batch.malformed);
      if (batch.malformed > 0)
        this.logger.error({ userId, state: 'event_malformed', count: batch.malformed }, MALFORMED);
      await this.append(batch.events);
      await this.mails.insert(batch.mails);
      await this.guard.pull(userId, batch.ids);
      await Promise.all(batch.mails.map((mail) => this.nudge.send(mail._id)));
    }
  }

  async drainSystem(): Promise<void> {
    await eachAlone({
      find: (limit, except) => this.system.findWaiting(limit, except),
      work: (processId) => this.drainProcess(processId),
      failed: (_, err) => this.logger.warn({ err }, 'drain of a process failed, the next sweep tries again'),
    });
  }

  private async append(events: LogEvent[]): Promise<void> {
    await this.log.append(events);
    for (const { type, timestamp } of events) {
      this.metrics.count('events_recorded_total', { type });
      this.metrics.observe('event_delay_seconds', {}, (Date.now() - timestamp.getTime()) / 1000);
    }
  }

  private async drainProcess(processId: string): Promise<void> {
    const entries = await this.system.read(processId);
    const { events, malformed } = sortSystemOutbox(entries, { receivedAt: new Date(), proofs: this.proofs });
    this.metrics.count('malformed_events_total', {}, malformed);
    if (malformed > 0) this.logger.error({ state: 'event_malformed', count: malformed }, MALFORMED);
    await this.append(events);
    await this.system.pull(processId, entries);
  }

  /** Every outbox that waits. One that fails does not hold up the others. */
  async sweep(): Promise<void> {
    await this.drainSystem().catch((err: unknown) => this.logger.warn({ err }, 'outboxes of processes were not found'));
    await eachAlone({
      find: (limit, except) => this.guard.findWaiting(limit, except),
      work: (userId) => this.drainUser(userId),
      failed: (userId, err) => this.logger.warn({ userId, err }, 'drain failed, the next sweep tries again'),
      parallel: SWEEP_PARALLEL,
    });
  }
}
