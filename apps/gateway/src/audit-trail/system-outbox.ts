import { randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Injectable, type OnModuleInit } from '@nestjs/common';
import { type AuditEvent, auditEventSchema, type EventReason, type EventType, type Origin } from '#contracts';
import { AppLogger } from '#observability';
import { AuditNudge } from './audit-nudge.js';
import { type Counted, CountedEvents } from './counted-events.js';
import { SystemOutboxRepository } from './system-outbox.repository.js';

interface SystemEvent {
  type: EventType;
  userId: string | null;
  origin: Origin;
  reason?: EventReason;
  clientId?: string;
}

const SWEEP_MS = 5_000;

/**
 * Events of nobody who is signed in, drained like a guard's. An unauthenticated request never
 * writes a guard, so it can neither fill one nor keep one busy.
 */
@Injectable()
export class SystemOutbox implements OnModuleInit, BeforeApplicationShutdown {
  private readonly counted = new CountedEvents<SystemEvent>((event) => this.write(event));
  private readonly writing = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly outbox: SystemOutboxRepository,
    private readonly nudge: AuditNudge,
    private readonly logger: AppLogger,
  ) {}

  onModuleInit(): void {
    this.timer = setInterval(() => this.counted.sweep(), SWEEP_MS).unref();
  }

  /** Counted: at most one entry a kind (type and reason), user and minute. Never waits, so that its cost tells nothing about the user. */
  record(event: SystemEvent): void {
    this.counted.add(`${event.type}:${event.reason ?? ''}:${event.userId ?? ''}:${event.clientId ?? ''}`, event);
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
      reason: first.reason,
      clientId: first.clientId,
      count,
    });
    const done = this.push(entry).catch((err: unknown) => {
      this.logger.error({ eventType: entry.type, count, err }, 'system event not stored');
    });
    this.writing.add(done);
    void done.finally(() => this.writing.delete(done));
  }

  private async push(entry: AuditEvent): Promise<void> {
    await this.outbox.push(entry);
    this.nudge.drain(null);
  }
}
