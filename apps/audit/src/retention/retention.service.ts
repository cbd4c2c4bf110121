import { Inject, Injectable } from '@nestjs/common';
import { decodeEntry, type StoredEntry } from '#audit-log';
import type { PayloadPart } from '#contracts';
import { AppLogger } from '#observability';
import { uuidOf } from '#sealing';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import { EntriesRepository } from '../log/entries.repository.js';
import { LogWriter } from '../log/log-writer.js';
import { TurnsRepository } from '../turns.repository.js';
import { Clocks } from './clocks.js';
import { RetentionRepository } from './retention.repository.js';

const DAY_MS = 24 * 3_600_000;
const EVERY_MS = 3_600_000;
const PAGE = 500;

interface PayloadClass {
  name: string;
  parts: PayloadPart[];
  days: number;
}

/**
 * Drops what is personal in events when its time is over: the full address first, then network, device and similarity.
 * Leaves and checkpoints stay. An entry `pruned` that names the entries is in the log, under a checkpoint, before
 * anything goes: a payload that is missing without one is tampering. Whole UTC days, so one entry a day and class.
 */
@Injectable()
export class RetentionService {
  private readonly classes: PayloadClass[];
  private readonly clocks = new Clocks();

  constructor(
    @Inject(AUDIT_CONFIG) config: Pick<AuditConfig, 'EVENT_ADDRESS_DAYS' | 'EVENT_DETAIL_DAYS'>,
    private readonly entries: EntriesRepository,
    private readonly progress: RetentionRepository,
    private readonly turns: TurnsRepository,
    private readonly log: LogWriter,
    private readonly logger: AppLogger,
  ) {
    this.classes = [
      { name: 'address', parts: ['address'], days: config.EVENT_ADDRESS_DAYS },
      { name: 'detail', parts: ['origin', 'similarity'], days: config.EVENT_DETAIL_DAYS },
    ];
  }

  async sweep(): Promise<void> {
    if (!(await this.turns.take('retention', EVERY_MS))) return;
    const now = await this.believedTime();
    if (now) await this.prune(now);
  }

  /** By the database's clock; null while it is in doubt. */
  async believedTime(): Promise<Date | null> {
    const { said, latest } = await this.progress.readClock();
    const doubt = this.clocks.doubt({
      database: said.getTime(),
      wall: Date.now(),
      monotonic: performance.now(),
      latest: latest && latest.getTime(),
    });
    if (doubt === null) {
      await this.progress.noteClock(said);
      return said;
    }
    this.logger.error({ state: doubt }, 'no details of events are removed while the clocks are in doubt');
    return null;
  }

  /** Each class by itself: what holds up one holds up no other. */
  async prune(now: Date): Promise<void> {
    const failures: unknown[] = [];
    for (const one of this.classes) await this.pruneClass(one, now).catch((err: unknown) => failures.push(err));
    if (failures.length > 0) throw failures[0];
  }

  private async pruneClass({ name, parts, days }: PayloadClass, now: Date): Promise<void> {
    const firstDayKept = new Date(now.getTime() - days * DAY_MS).toISOString().slice(0, 10);
    const from = await this.progress.next(name);
    const { end, found } = await this.endOf(from, parts, (row) => isKept(row, firstDayKept, now));
    if (end === from) return;
    if (found > 0) {
      const range = { from, to: end - 1, parts };
      const eventId = uuidOf(`pruned:${name}:${from}:${end}`);
      const said = { type: 'pruned', reason: 'retention', timestamp: now, range, detail: { days } } as const;
      await this.log.append([{ eventId, userId: null, ...said }]);
      await this.log.cover();
      await this.entries.removeParts(from, end - 1, parts);
      this.logger.info({ state: name, count: found }, 'details of events past their time were removed');
    }
    await this.progress.advance(name, end);
  }

  /** Where the entries begin that keep theirs, and how many before it still have one of these parts. */
  private async endOf(
    from: number,
    parts: readonly PayloadPart[],
    keeps: (row: StoredEntry) => boolean,
  ): Promise<{ end: number; found: number }> {
    let [end, found] = [from, 0];
    for (;;) {
      const rows = await this.entries.range(end, end + PAGE);
      for (const row of rows) {
        // A place that is empty though the log goes on is a fault of its own, and no reason to keep what is past its time.
        if (keeps(row)) return { end, found };
        if (Array.isArray(row.payload) && row.payload.some(({ part }) => parts.includes(part))) found += 1;
        end = row.seq + 1;
      }
      if (rows.length === 0) return { end, found };
    }
  }
}

/**
 * By the entry itself, as what stands beside it can be changed without being signed. A time that nobody vouches for, or
 * that is yet to come, holds up nothing.
 */
function isKept(row: StoredEntry, firstDayKept: string, now: Date): boolean {
  const entry = decodeEntry(row.entry);
  return (
    entry !== null &&
    entry.type !== 'malformed' &&
    entry.ts.slice(0, 10) >= firstDayKept &&
    entry.ts <= now.toISOString()
  );
}
