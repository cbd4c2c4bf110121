import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { EventDetail, EventType, Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { GUARD } from '../face/guard.module.js';
import { AuditNudge } from './audit-nudge.js';

/** Events that change nothing in the guard and still belong to one user. */
@Injectable()
export class UserEvents {
  constructor(
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly nudge: AuditNudge,
  ) {}

  /** False when the user's outbox is full and the event was dropped. */
  async append(
    userId: string,
    type: EventType,
    origin: Origin,
    more: { eventId?: string; actorId?: string; clientId?: string; count?: number; detail?: EventDetail } = {},
  ): Promise<boolean> {
    const kept = await this.guard.appendEvent(userId, { eventId: randomUUID(), type, ...origin, ...more });
    this.nudge.drain(userId);
    return kept;
  }
}
