import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppLogger } from '#observability';

/** Whether this gateway is about to end. It still serves everybody, and asks them not to come back. */
@Injectable()
export class Drain {
  private hasBegun = false;

  get begun(): boolean {
    return this.hasBegun;
  }

  begin(): void {
    this.hasBegun = true;
  }
}

/**
 * SIGTERM and SIGINT end the gateway in two stages. First it is not ready and every answer closes its connection, while
 * all requests are served for `drainSeconds`: a listener that went at once would reset what a balancer, which cannot know
 * yet, still sends. Then it listens no more, answers what it has in its hands and ends. A second signal ends it at once.
 */
export function endOnSignals(app: NestFastifyApplication, drainSeconds: number): void {
  const end = async (): Promise<void> => {
    app.get(Drain, { strict: false }).begin();
    app.get(AppLogger).info({ ms: drainSeconds * 1000 }, 'gateway ends: not ready from here on');
    await sleep(drainSeconds * 1000);
    await app.close();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(
      signal,
      () =>
        void end().then(
          () => process.exit(0),
          () => process.exit(1),
        ),
    );
}
