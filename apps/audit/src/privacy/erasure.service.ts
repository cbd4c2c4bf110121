import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppLogger } from '#observability';
import { ERASURE_STEPS, ErasureSteps } from './erasure-steps.js';
import { ErasuresRepository } from './erasures.repository.js';

const SWEEP_PAGE = 20;

/** Runs erasures from the ledger to their end, however often they are interrupted: every run starts from the first step. */
@Injectable()
export class ErasureService {
  constructor(
    private readonly ledger: ErasuresRepository,
    private readonly steps: ErasureSteps,
    private readonly logger: AppLogger,
  ) {}

  /** Does nothing for an erasure that is completed, unknown, or in another's hands. */
  async run(erasureId: string): Promise<void> {
    const leaseId = randomUUID();
    const row = await this.ledger.claim(erasureId, leaseId);
    if (!row) return;
    try {
      for (const step of ERASURE_STEPS) {
        if (!(await this.ledger.renew(erasureId, leaseId))) return;
        await this.steps[step](row);
      }
      this.logger.info({ erasureId, state: 'completed' }, 'erasure completed');
    } finally {
      await this.ledger.release(erasureId, leaseId).catch(() => undefined);
    }
  }

  async sweep(): Promise<void> {
    for (const erasureId of await this.ledger.findUnfinished(SWEEP_PAGE)) {
      await this.attempt(erasureId, () => this.run(erasureId));
    }
    for (const row of await this.ledger.findRepeatDue(SWEEP_PAGE)) {
      await this.attempt(row._id, async () => {
        await this.steps.removeLate(row);
        await this.ledger.markRepeated(row._id);
      });
    }
  }

  private async attempt(erasureId: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (err) {
      this.logger.warn({ erasureId, err }, 'erasure interrupted, the next sweep goes on');
    }
  }
}
