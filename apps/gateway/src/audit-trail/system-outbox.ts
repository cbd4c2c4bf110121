import { randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import { Connection, type mongo } from 'mongoose';
import { type AuditEvent, auditEventSchema, type EventType, type Origin } from '#contracts';
import { AppLogger } from '#observability';
import { collection } from '../store/mongo.js';
import { AuditNudge } from './audit-nudge.js';
import { type Counted, CountedEvents } from './counted-events.js';

interface SystemOutboxRow {
  _id: string;
  entries: AuditEvent[];
  hasOutbox: boolean;
}

interface SystemEvent {
  type: EventType;
  userId: string | null;
  origin: Origin;
}

const SWEEP_MS = 5_000;

/**
 * Events of nobody who is signed in: one document a process, drained like a guard. An unauthenticated request never
 * writes a guard, so it can neither fill one nor keep one busy.
 */
@Injectable()
export class SystemOutbox implements OnModuleInit, BeforeApplicationShutdown {
  private readonly rows: mongo.Collection<SystemOutboxRow>;
  private readonly processId = randomUUID();
  private readonly counted = new CountedEvents<SystemEvent>((event) => this.write(event));
  private readonly writing = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    @InjectConnection() connection: Connection,
    private readonly nudge: AuditNudge,
    private readonly logger: AppLogger,
  ) {
    this.rows = collection(connection, 'system_outboxes');
  }

  onModuleInit(): void {
    this.timer = setInterval(() => this.counted.sweep(), SWEEP_MS).unref();
  }

  /** Counted: at most one entry a kind, user and minute. Never waits, so that its cost tells nothing about the user. */
  record(event: SystemEvent): void {
    this.counted.add(`${event.type}:${event.userId ?? ''}`, event);
  }

  /** Before the connection closes; requests still in work afterwards are not counted together any more. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    this.counted.flush();
    await Promise.allSettled([...this.writing]);
  }

  private write({ first, count }: Counted<SystemEvent>): void {
    const entry = auditEventSchema.parse({
      eventId: randomUUID(),
      userId: first.userId,
      type: first.type,
      timestamp: new Date(),
      ...first.origin,
      count,
    });
    const done = this.push(entry).catch((err: unknown) => {
      this.logger.error({ eventType: entry.type, count, err }, 'system event not stored');
    });
    this.writing.add(done);
    void done.finally(() => this.writing.delete(done));
  }

  private async push(entry: AuditEvent): Promise<void> {
    const update = { $push: { entries: entry }, $set: { hasOutbox: true } };
    await this.rows.updateOne({ _id: { $eq: this.processId } }, update, { upsert: true });
    this.nudge.drain(null);
  }
}
