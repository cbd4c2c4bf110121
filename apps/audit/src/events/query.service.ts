import { Injectable } from '@nestjs/common';
import {
  type AuditEvent,
  type ListEventsAnswer,
  type ListEventsQuery,
  type WireEvent,
  wireEventSchema,
} from '#contracts';
import type { StoredEvent } from './event.schema.js';
import { EventsRepository } from './events.repository.js';
import { malformedEvent } from './malformed.js';
import { decodeCursor, encodeCursor, readPage, windowOf } from './paging.js';

@Injectable()
export class QueryService {
  constructor(private readonly events: EventsRepository) {}

  /** One page of events, newest first. The similarity is read only when asked for. */
  async list(query: Omit<ListEventsQuery, 'secret'>): Promise<ListEventsAnswer> {
    const cursor = query.cursor === undefined ? null : decodeCursor(query.cursor);
    if (query.cursor !== undefined && !cursor) return { status: 'refused', code: 'invalid_query' };
    const window = windowOf(query, new Date());
    if (cursor && query.from === undefined) window.from = cursor.from;

    const { type, userId, withSimilarity } = query;
    const after = cursor?.position ?? null;
    const page =
      userId === undefined
        ? await readPage(
            {
              days: (first, last) => this.events.listDays(first, last),
              read: (day, o) => this.events.readDay(day, { type }, { ...o, withSimilarity }),
            },
            window,
            after,
            query.limit,
          )
        : await this.userPage({ type, userId }, { window, after, limit: query.limit, withSimilarity });
    return {
      status: 'ok',
      events: page.rows.map(wireEvent),
      nextCursor: page.next && encodeCursor(page.next, window),
    };
  }

  private async userPage(
    filter: Parameters<EventsRepository['readUser']>[0],
    o: Parameters<EventsRepository['readUser']>[1],
  ): Promise<{ rows: StoredEvent[]; next: StoredEvent | null }> {
    const rows = await this.events.readUser(filter, { ...o, limit: o.limit + 1 });
    const more = rows.length > o.limit;
    return { rows: rows.slice(0, o.limit), next: more ? (rows[o.limit - 1] ?? null) : null };
  }
}

/** A row that does not parse is shown as `malformed` with what is sound of it: one bad row must not hide its page. */
function wireEvent(row: StoredEvent): WireEvent {
  const parsed = wireEventSchema.safeParse(toWire(row));
  if (parsed.success) return parsed.data;
  return wireEventSchema.parse(toWire(malformedEvent(row, { userId: null, receivedAt: row.timestamp })));
}

/** Only the fields of the contract: what else a row may hold one day stays here. */
function toWire(row: StoredEvent | AuditEvent): unknown {
  const fields = { ...row, timestamp: row.timestamp.toISOString(), eventType: row.type };
  return Object.fromEntries(Object.entries(fields).filter(([name]) => name in wireEventSchema.shape));
}
