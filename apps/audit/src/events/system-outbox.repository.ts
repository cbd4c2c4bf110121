import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Collection, Connection } from 'mongoose';

/** One document a process: events that belong to no guard, such as logins of unknown users. */
interface SystemOutbox {
  _id: string;
  entries?: unknown[];
  hasOutbox?: boolean;
}

@Injectable()
export class SystemOutboxRepository {
  private readonly outboxes: Collection<SystemOutbox>;

  constructor(@InjectConnection() connection: Connection) {
    this.outboxes = connection.collection<SystemOutbox>('system_outboxes');
  }

  /** Process ids whose outbox waits, without those given. */
  async findWaiting(limit: number, except: readonly string[]): Promise<string[]> {
    const found = await this.outboxes
      .find({ hasOutbox: true, _id: { $nin: [...except] } }, { projection: { _id: 1 }, limit, maxTimeMS: 2_000 })
      .toArray();
    return found.map((outbox) => outbox._id);
  }

  async read(processId: string): Promise<unknown[]> {
    const outbox = await this.outboxes.findOne({ _id: processId }, { maxTimeMS: 2_000 });
    return outbox?.entries ?? [];
  }

  /**
   * Removes what has been stored, by its eventId; an entry without one goes if it is still the same as it was read. The
   * flag falls in the same update, and only if nothing came meanwhile.
   */
  async pull(processId: string, stored: readonly unknown[]): Promise<void> {
    const ids = stored.map((entry) => (entry as { eventId?: unknown } | null)?.eventId);
    const known = ids.filter((id) => typeof id === 'string');
    const without = stored.filter((_, index) => typeof ids[index] !== 'string');
    const isStored = {
      $or: [{ $in: ['$$this.eventId', { $literal: known }] }, { $in: ['$$this', { $literal: without }] }],
    };
    await this.outboxes.updateOne({ _id: processId }, [
      { $set: { entries: { $filter: { input: { $ifNull: ['$entries', []] }, cond: { $not: [isStored] } } } } },
      { $set: { hasOutbox: { $gt: [{ $size: '$entries' }, 0] } } },
    ]);
  }
}
