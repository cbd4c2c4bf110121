import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { GuardStore } from '#guard';
import { AppLogger } from '#observability';
import { JobQueue } from '#queue';
import { AuditNudge } from '../audit-trail/audit-nudge.js';
import { GUARD } from '../face/guard.module.js';
import { StoreEpoch } from '../store/store-epoch.repository.js';
import { TransportEpoch } from '../redis/transport-epoch.js';
import { DecisionQueue } from './decision-queue.js';

const EVERY_MS = 5_000;
const USERS_PER_ROUND = 200;

type Seen = Parameters<GuardStore['settleOverdue']>[1];

/** Finishes what a crash left: settles what is overdue, queues decisions again. Every gateway runs one. */
@Injectable()
export class Reconciler implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;
  private round: Promise<void> | null = null;

  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly transport: TransportEpoch,
    private readonly store: StoreEpoch,
    private readonly jobs: JobQueue,
    private readonly decisions: DecisionQueue,
    private readonly nudge: AuditNudge,
    private readonly logger: AppLogger,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => this.start(), EVERY_MS).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.round;
  }

  /** One round over everybody who is due. One failing user does not keep the others waiting. */
  async run(): Promise<void> {
    const users = await this.guard.findDue(USERS_PER_ROUND);
    if (users.length === 0) return;
    const [transportEpoch, storeEpoch, workersGone] = await Promise.all([
      this.transport.currentOrNull(),
      this.store.currentOrNull(),
      this.workersGone(),
    ]);
    for (const userId of users) {
      try {
        await this.reconcile(userId, { transportEpoch, storeEpoch, workersGone });
      } catch (err) {
        this.logger.warn({ userId, err }, 'reconcile failed');
      }
    }
  }

  /** Attempts that nobody could judge. A Redis that does not answer is told by its epoch. */
  private async workersGone(): Promise<boolean> {
    return (await this.jobs.workers('face').catch(() => 0)) === 0;
  }

  private async reconcile(userId: string, seen: Seen): Promise<void> {
    const outcome = await this.guard.settleOverdue(userId, seen);
    if (outcome.kind === 'requeue') await this.decisions.again(userId, outcome.reservation);
    if (outcome.kind !== 'settled') return;
    const { attemptId, outcome: end, eventType } = outcome.attempt;
    this.logger.info({ attemptId, outcome: end, eventType }, 'attempt settled');
    this.nudge.drain(userId);
  }

  private start(): void {
    this.round ??= this.run()
      .catch((err: unknown) => this.logger.warn({ err }, 'reconciler round failed'))
      .finally(() => {
        this.round = null;
      });
  }
}
