import { randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Injectable, type OnModuleInit } from '@nestjs/common';
import { nobodyOf } from '#audit-log';
import { type EventDetail, type EventReason, type EventType, type Origin, outboxEventSchema } from '#contracts';
import { AppLogger } from '#observability';
import { AuditNudge } from './audit-nudge.js';
import { type Counted, CountedEvents } from './counted-events.js';
import { SubjectRepository } from './subject.repository.js';
import { SystemOutboxRepository } from './system-outbox.repository.js';

interface SystemEvent {
  type: EventType;
  userId: string | null;
  origin: Origin;
  reason?: EventReason;
  clientId?: string;
  detail?: EventDetail;
  modelDigest?: string;
  /** Made here where it is absent. Given by whoever may say the same thing twice. */
  eventId?: string;
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
    private readonly subjects: SubjectRepository,
    private readonly nudge: AuditNudge,
    private readonly logger: AppLogger,
  ) {}

  onModuleInit(): void {
    this.timer = setInterval(() => this.counted.sweep(), SWEEP_MS).unref();
  }

  /** Counted: at most one entry a kind (type, reason, detail and models), user and minute. Never waits, so that its cost tells nothing about the user. */
  record(event: SystemEvent): void {
    this.counted.add(
      `${event.type}:${event.reason ?? ''}:${event.userId ?? ''}:${event.clientId ?? ''}:${event.modelDigest ?? ''}:${JSON.stringify(event.detail ?? '')}`,
      event,
    );
  }

  /** At once and by itself, for what must be on record before it is answered. A person's own begin never waits for it. */
  append(event: SystemEvent): Promise<void> {
    return this.push({ key: '', first: event, count: 1 });
  }

  /** Before the connection closes; requests still in work afterwards are not counted together any more. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    this.counted.flush();
    await Promise.allSettled([...this.writing]);
  }

  private write(event: Counted<SystemEvent>): void {
    const done = this.push(event).catch((err: unknown) => {
      this.logger.error({ eventType: event.first.type, count: event.count, err }, 'system event not stored');
    });
    this.writing.add(done);
    void done.finally(() => this.writing.delete(done));
  }

  private async push({ first, count }: Counted<SystemEvent>): Promise<void> {
    const [eventId, timestamp] = [first.eventId ?? randomUUID(), new Date()];
    const { sessionId, deviceModel, ipAddress } = first.origin;
    const seal = await this.subjects.sealer.of(first.userId ?? nobodyOf(timestamp.toISOString()));
    const { userId, type, reason, clientId, modelDigest, detail } = first;
    const fields = { timestamp, sessionId, reason, clientId, modelDigest, count, detail };
    const sealed = seal.event(eventId, { deviceModel, ipAddress }, { types: [type], fields });
    const entry = outboxEventSchema.parse({ ...fields, eventId, userId, type, sealed });
    await this.outbox.push(entry);
    this.nudge.drain(null);
  }
}
