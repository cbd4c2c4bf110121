import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { KeyRotation, RewrapBatch } from '#contracts';
import { AppLogger } from '#observability';
import { TemplateRepository } from '../face/template.repository.js';
import { RewrapBatches } from './rewrap-batch.js';
import { RotationRepository } from './rotation.repository.js';

const LOOK_EVERY_MS = 2_000;
const BATCH = 100;
/** In a fleet that restarts some workers know the newest key and others do not yet. */
const REFUSALS_MAX = 10;
const REFUSAL_PAUSE_MS = 1_000;
/** So many rows that no worker opens are a key that was taken away too early. */
const UNOPENED_MAX = 1_000;

type End = Pick<KeyRotation, 'reason'> | 'stopped';

/**
 * Moves the rows of templates to the newest key, in batches, while attempts go on. The gateway stores, only a worker
 * opens: this process sees wrapped keys before and after. Each row changes in one conditional update, so that nothing
 * is lost by a crash, a second gateway or an enrolment meanwhile; where it stands is what the rows say.
 */
@Injectable()
export class RotationService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;
  private round: Promise<void> | null = null;
  private isClosing = false;

  constructor(
    private readonly rotations: RotationRepository,
    private readonly templates: TemplateRepository,
    private readonly batches: RewrapBatches,
    private readonly logger: AppLogger,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => this.start(), LOOK_EVERY_MS).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isClosing = true;
    clearInterval(this.timer);
    await this.round;
  }

  /** Works on one rotation, if there is one to work on, to its end. */
  async run(): Promise<void> {
    const claimed = await this.rotations.claim();
    if (!claimed) return;
    const end = await this.rotate(claimed);
    if (end === 'stopped') return;
    await this.rotations.finish(claimed._id, end.reason);
    this.logger.info({ outcome: end.reason ?? 'done' }, 'template keys rotated');
  }

  private async rotate(claimed: KeyRotation): Promise<End> {
    const target = claimed.target ?? (await this.targetOf(claimed._id));
    if (target === null) return 'stopped';
    const unopened = new Set<string>();
    // Rounds, as a worker that did not know the newest key yet may have made rows meanwhile.
    for (;;) {
      const before = unopened.size;
      let found = 0;
      for (const version of (await this.templates.otherVersions(target)).keys()) {
        const end = await this.moveAll(claimed._id, { from: version, to: target }, unopened);
        if (typeof end !== 'number') return end;
        found += end;
      }
      if (found === 0 && unopened.size === before) return { reason: null };
    }
  }

  /** All rows of one version, batch by batch: how many were moved. */
  private async moveAll(
    rotationId: string,
    { from, to }: { from: string; to: string },
    unopened: Set<string>,
  ): Promise<number | End> {
    let [all, refusals] = [0, 0];
    for (;;) {
      if (this.isClosing) return 'stopped';
      const rows = await this.templates.ofVersion(from, unopened, BATCH);
      if (rows.length === 0) return all;
      const answer = await this.batches.ask(rotationId, to, rows);
      const isDone = answer?.keyVersion === to;
      const moved = isDone ? await this.move(rows, to, answer.wrappedDeks, unopened) : 0;
      all += moved;
      if (!(await this.rotations.progress(rotationId, moved, unopened.size))) return 'stopped';
      if (unopened.size > UNOPENED_MAX) return { reason: 'too_many_rows_do_not_open' };
      if (isDone || !answer) continue;
      if (++refusals >= REFUSALS_MAX) return { reason: 'no_worker_has_the_key' };
      await sleep(REFUSAL_PAUSE_MS);
    }
  }

  private async targetOf(rotationId: string): Promise<string | null> {
    const newest = (await this.batches.ask(rotationId, null, []))?.keyVersion;
    if (!newest) return null;
    const total = [...(await this.templates.otherVersions(newest)).values()].reduce((sum, count) => sum + count, 0);
    return (await this.rotations.setTarget(rotationId, newest, total))?.target ?? null;
  }

  private async move(
    rows: RewrapBatch,
    target: string,
    wrappedDeks: readonly (string | null)[],
    unopened: Set<string>,
  ): Promise<number> {
    const moves = rows.flatMap((row, i) => {
      const wrappedDek = wrappedDeks[i];
      if (wrappedDek) return [{ from: row, to: { keyVersion: target, wrappedDek } }];
      unopened.add(row.templateId);
      return [];
    });
    return this.templates.rewrap(moves);
  }

  private start(): void {
    this.round ??= this.run()
      .catch((err: unknown) => this.logger.warn({ err }, 'key rotation paused'))
      .finally(() => {
        this.round = null;
      });
  }
}
