import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { AppLogger } from '#observability';
import { DrainService } from './events/drain.service.js';
import { EventKeysService } from './log/event-keys.service.js';
import { MailerService } from './notifications/mailer.service.js';
import { OrphansService } from './orphans/orphans.service.js';
import { RemindersService } from './reminders/reminders.service.js';
import { RetentionService } from './retention/retention.service.js';
import { ErasureService } from './privacy/erasure.service.js';

export const SWEEP_INTERVAL_MS = Symbol('sweep interval');

/**
 * Does regularly what the nudges ask for, so that a lost nudge costs seconds and never an event or a mail. Each task
 * has a loop of its own: a slow mail server must not keep events waiting.
 */
@Injectable()
export class Sweeper implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly stopping = new AbortController();
  private loops: Promise<void>[] = [];

  constructor(
    @Inject(SWEEP_INTERVAL_MS) private readonly intervalMs: number,
    private readonly drains: DrainService,
    private readonly mailer: MailerService,
    private readonly erasures: ErasureService,
    private readonly reminders: RemindersService,
    private readonly orphans: OrphansService,
    private readonly retention: RetentionService,
    private readonly eventKeys: EventKeysService,
    private readonly logger: AppLogger,
  ) {}

  onApplicationBootstrap(): void {
    this.loops = [
      this.repeat('events', () => this.drains.sweep()),
      this.repeat('mails', () => this.mailer.sweep()),
      this.repeat('erasures', () => this.erasures.sweep()),
      this.repeat('reminders', () => this.reminders.sweep()),
      this.repeat('orphans', () => this.orphans.sweep()),
      this.repeat('retention', () => this.retention.sweep()),
      this.repeat('event keys', () => this.eventKeys.sweep()),
    ];
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.loops);
  }

  private async repeat(task: string, work: () => Promise<void>): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        await work();
      } catch (err) {
        this.logger.warn({ state: task, err }, 'sweep failed, the next one tries again');
      }
      await pause(this.intervalMs, signal);
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
