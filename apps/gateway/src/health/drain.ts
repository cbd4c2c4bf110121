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
 * yet, still sends. Then it listens no more, answers what it has in its hands and ends. The same signal again ends it at
 * once; the other one, as a terminal and a parent may both send theirs, changes nothing.
 */
export function endOnSignals(app: NestFastifyApplication, drainSeconds: number): void {
  const drain = app.get(Drain, { strict: false });
  const logger = app.get(AppLogger);
  const end = async (): Promise<void> => {
    if (drain.begun) return;
    drain.begin();
    logger.info({ ms: drainSeconds * 1000 }, 'gateway ends: not ready from here on');
    try {
      await sleep(drainSeconds * 1000);
      await app.close();
      process.exit(0);
    } catch (err) {
      logger.error({ err }, 'gateway did not end well');
      process.exit(1);
    }
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void end());
}
