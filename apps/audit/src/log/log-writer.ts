import { randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { AppLogger } from '#observability';
import { Checkpointer } from './checkpointer.js';
import { isDuplicateOnly } from './durable.js';
import { EntriesRepository } from './entries.repository.js';
import { type Head, LeaseRepository } from './lease.repository.js';
import { type LogEvent, makeEntries, subjectIdOf, withSoundParts } from './make-entry.js';
import { SubjectsRepository } from './subjects.repository.js';

const BATCH_MAX = 500;
const LEASE_WAIT_MS = 5_000;
const LEASE_POLL_MS = 100;
/** Each try loses only to another writer that got further. */
const TRIES_MAX = 20;
const CHECKPOINT_MS = 60_000;

interface Waiting {
  events: LogEvent[];
  done: () => void;
  failed: (error: unknown) => void;
}

/**
 * Appends to the one log. What several callers bring at the same time goes into one insert. Two writers can meet (a
 * lease cannot stop an insert that is on its way): then the unique indexes refuse one, which reads on and tries again.
 */
@Injectable()
export class LogWriter implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly waiting: Waiting[] = [];
  private work: Promise<void> = Promise.resolve();
  private head: Head | null = null;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly entries: EntriesRepository,
    private readonly subjects: SubjectsRepository,
    private readonly lease: LeaseRepository,
    private readonly checkpoints: Checkpointer,
    private readonly logger: AppLogger,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.checkpoint(), CHECKPOINT_MS).unref();
    void this.inTurn(() => this.examine());
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.checkpoint();
    await this.lease.release().catch(() => undefined);
  }

  /** Resolves when a majority has all of them on disk; an event that is in the log already changes nothing. */
  append(events: LogEvent[]): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    return new Promise((done, failed) => {
      this.waiting.push({ events, done, failed });
      if (this.waiting.length === 1) void this.inTurn(() => this.appendWaiting());
    });
  }

  /** Signs what is not signed yet, if the log is ours to write. A failure is an alert and holds up nothing. */
  checkpoint(): Promise<void> {
    return this.inTurn(async () => {
      try {
        if (!(await this.lease.take(null))) return;
        await this.openEra();
        this.head ??= await this.entries.headFrom(await this.lease.notedHead());
        await this.checkpoints.advance(this.head.size, { even: true });
      } catch (err) {
        this.logger.error({ err, state: 'checkpoint_failed' }, 'no checkpoint, the next one covers its entries');
      }
    });
  }

  /** Signs to the end of the log. @throws Error when that cannot be now: nothing may go yet that an entry tells of. */
  cover(): Promise<void> {
    return this.inTurn(async () => {
      await this.takeLease();
      this.head ??= await this.entries.headFrom(await this.lease.notedHead());
      const signed = await this.checkpoints.advance(this.head.size, { even: true });
      if (signed < this.head.size) throw new Error('the log could not be signed to its end');
    });
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    this.work = this.work.then(work, work);
    return this.work;
  }

  private async examine(): Promise<void> {
    try {
      await this.checkpoints.examine();
    } catch (err) {
      this.logger.error({ err, state: 'checkpoint_failed' }, 'what was published was not compared, the next one is');
    }
  }

  /** Its first entry names the checkpoint that it leaves behind: a verifier then knows why that one does not fit. */
  private async openEra(): Promise<void> {
    const era = await this.checkpoints.orderedEra();
    if (!era) return;
    const { size, root, reason } = era;
    const [eventId, timestamp] = [randomUUID(), new Date()];
    await this.write([{ eventId, userId: null, type: 'era_opened', timestamp, detail: { size, root, reason } }]);
    await this.checkpoints.beginEra();
    this.head ??= await this.entries.headFrom(await this.lease.notedHead());
    await this.checkpoints.advance(this.head.size, { even: true });
    await this.checkpoints.endEraOrder(era);
    this.logger.warn({ state: 'era_opened', count: size }, 'an era of the log was opened, as the operator ordered');
  }

  private async appendWaiting(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.takeBatch();
      try {
        await this.write(batch.flatMap(({ events }) => events));
        for (const { done } of batch) done();
      } catch (error) {
        this.head = null;
        if (batch.length === 1) batch[0]!.failed(error);
        else for (const one of batch) await this.appendAlone(one);
      }
    }
  }

  /** What was brought together failed: what one brought must not fail for another's sake. */
  private async appendAlone({ events, done, failed }: Waiting): Promise<void> {
    try {
      await this.write(events);
      done();
    } catch (error) {
      this.head = null;
      failed(error);
    }
  }

  private takeBatch(): Waiting[] {
    let events = 0;
    const upTo = this.waiting.findIndex((waiting) => (events += waiting.events.length) > BATCH_MAX);
    return this.waiting.splice(0, upTo < 0 ? this.waiting.length : Math.max(1, upTo));
  }

  private async write(events: LogEvent[]): Promise<void> {
    const unique = [...new Map(events.map((event) => [event.eventId, event])).values()];
    for (let i = 0; i < TRIES_MAX; i++) {
      await this.takeLease();
      this.head ??= await this.entries.headFrom(await this.lease.notedHead());
      const known = await this.entries.findKnown(unique.map((event) => event.eventId));
      const fresh = unique.filter((event) => !known.has(event.eventId));
      if (fresh.length === 0) return;
      if (await this.insert(fresh, this.head)) return;
    }
    throw new Error('other writers were faster every time');
  }

  /** False: the log does not end there any more. */
  private async insert(events: LogEvent[], end: Head): Promise<boolean> {
    const ids = events.flatMap((event) => [subjectIdOf(event), ...(event.actorId ? [event.actorId] : [])]);
    const subjects = await this.subjects.keys.resolve(ids);
    const sound = events.map((event) => withSoundParts(event, subjects));
    const { rows, head } = makeEntries(sound, subjects, end);
    try {
      await this.entries.insert(rows);
    } catch (error) {
      this.head = null;
      if (!isDuplicateOnly(error)) throw error;
      return false;
    }
    this.head = head;
    const forged = sound.filter((event, i) => event !== events[i]).length;
    if (forged > 0) this.logger.error({ state: 'event_malformed', count: forged }, 'similarities do not open');
    for (const userId of [...subjects.values()].flatMap(({ id, isClosed }) => (isClosed ? [id] : []))) {
      this.logger.error({ userId, state: 'event_key_closed' }, 'events were stored without what is personal in them');
    }
    await this.afterInsert(head);
    return true;
  }

  /** What is stored is stored: nothing that goes wrong here may look as if it were not. */
  private async afterInsert(head: Head): Promise<void> {
    try {
      await this.lease.take(head);
      await this.checkpoints.advance(head.size, { even: false });
    } catch (err) {
      this.logger.error({ err, state: 'checkpoint_failed' }, 'no checkpoint, the next one covers its entries');
    }
  }

  private async takeLease(): Promise<void> {
    const end = performance.now() + LEASE_WAIT_MS;
    while (!(await this.lease.take(null))) {
      // Somebody else wrote meanwhile.
      this.head = null;
      if (performance.now() > end) throw new Error('another process writes the log');
      await new Promise((resolve) => setTimeout(resolve, LEASE_POLL_MS));
    }
  }
}
