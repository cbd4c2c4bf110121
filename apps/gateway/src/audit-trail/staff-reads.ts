import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { UserRow } from '#accounts';
import type { EventDetail, Origin, Role } from '#contracts';
import { Problem } from '../http/problem.js';
import { SystemOutbox } from './system-outbox.js';
import { UserEvents } from './user-events.js';

interface StaffRead {
  type?: 'admin_read' | 'similarity_read';
  /** What was looked at, and by which filter. */
  detail: EventDetail & { object: string };
  /** Set when the read is of one person: his own trail then says so too. */
  person?: string | undefined;
  /** By which role, for the person's trail. */
  role: Role;
}

/**
 * What staff look at, on record before anything of it is shown. The reader's trail has who read what and by which
 * filter; the trail of a single person who was looked at has the role, never the officer. `event` in the reader's entry
 * is the id of the person's, so that an auditor finds whose data it was and nothing personal stands in the signed entry.
 */
@Injectable()
export class StaffReads {
  constructor(
    private readonly events: UserEvents,
    private readonly outbox: SystemOutbox,
  ) {}

  async record(by: UserRow, read: StaffRead, origin: Origin): Promise<void> {
    const { type = 'admin_read', detail, person, role } = read;
    const event = person === undefined ? undefined : randomUUID();
    const more = { actorId: by._id, detail: { ...detail, ...(event === undefined ? {} : { event }) } };
    if (!(await this.events.append(by._id, type, origin, more))) throw new Problem('unavailable');
    if (person === undefined || event === undefined) return;
    // Not in the guard: officers who look often must not keep a person's own captures `busy`.
    const own = { type, userId: person, origin: {}, eventId: event, detail: { object: detail.object, role } };
    await this.outbox.append(own);
  }
}
