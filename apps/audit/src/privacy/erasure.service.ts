import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppLogger } from '#observability';
import { eachAlone } from '../each-alone.js';
import { ERASURE_STEPS, ErasureSteps } from './erasure-steps.js';
import { ErasuresRepository } from './erasures.repository.js';

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
    const failed = (erasureId: string, err: unknown): void =>
      this.logger.warn({ erasureId, err }, 'erasure interrupted, the next sweep goes on');
    await eachAlone({
      find: (limit, except) => this.ledger.findUnfinished(limit, except),
      work: (erasureId) => this.run(erasureId),
      failed,
    });
    await eachAlone({
      find: (limit, except) => this.ledger.findRepeatDue(limit, except),
      work: async (erasureId) => {
        await this.steps.removeLate(await this.ledger.read(erasureId));
        await this.ledger.markRepeated(erasureId);
      },
      failed,
    });
  }
}
