import { type BeforeApplicationShutdown, Injectable, type OnModuleInit } from '@nestjs/common';
import { PendingChanges } from '#accounts';
import { AppLogger } from '#observability';

const SWEEP_MS = 5_000;

/** Finishes what follows from changes of accounts whose process died, or could not reach the database, on the way. */
@Injectable()
export class PendingSweep implements OnModuleInit, BeforeApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;
  private running = false;

  constructor(
    private readonly pending: PendingChanges,
    private readonly logger: AppLogger,
  ) {}

  onModuleInit(): void {
    this.timer = setInterval(() => void this.sweep(), SWEEP_MS).unref();
  }

  beforeApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  private async sweep(): Promise<void> {
    if (this.running) return;
    this.running = true;
    try {
      await this.pending.sweep();
    } catch (err) {
      this.logger.warn({ err }, 'unfinished changes of accounts were not looked for');
    } finally {
      this.running = false;
    }
  }
}
