import { Inject, Injectable } from '@nestjs/common';
import { decodeEntry, nobodyOf, SearchTags, type StoredEntry } from '#audit-log';
import type { ListEventsAnswer, ListEventsQuery, WireEvent } from '#contracts';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import { SubjectsRepository } from '../log/subjects.repository.js';
import { EventsRepository } from './events.repository.js';
import { decodeCursor, encodeCursor, readPage, windowOf } from './paging.js';
import { Subjects, wireEvent } from './wire-event.js';

@Injectable()
export class QueryService {
  private readonly tags: SearchTags;

  constructor(
    @Inject(AUDIT_CONFIG) { EVENT_KEK }: Pick<AuditConfig, 'EVENT_KEK'>,
    private readonly events: EventsRepository,
    private readonly subjects: SubjectsRepository,
  ) {
    this.tags = new SearchTags(EVENT_KEK);
  }

  /** One page of events, newest first. The similarity is opened only when asked for. */
  async list(query: Omit<ListEventsQuery, 'secret'>): Promise<ListEventsAnswer> {
    const cursor = query.cursor === undefined ? null : decodeCursor(query.cursor);
    if (query.cursor !== undefined && !cursor) return { status: 'refused', code: 'invalid_query' };
    const window = windowOf(query, new Date());
    if (cursor && query.from === undefined) window.from = cursor.from;

    const { type, userId, device, address, withSimilarity } = query;
    const tags = [
      ...(device === undefined ? [] : [this.tags.device(device)]),
      ...(address === undefined ? [] : [this.tags.address(address)]),
    ];
    const after = cursor?.position ?? null;
    const page =
      userId === undefined && tags.length === 0
        ? await readPage(
            {
              days: (first, last) => this.events.listDays(first, last),
              read: (day, o) => this.events.readDay(day, { type }, o),
            },
            window,
            after,
            query.limit,
          )
        : await this.foundPage(
            { type, tags, ...(userId === undefined ? {} : { subject: await this.pseudonymOf(userId) }) },
            { window, after, limit: query.limit },
          );
    return {
      status: 'ok',
      events: await this.toWire(page.rows, withSimilarity),
      nextCursor: page.next && encodeCursor(page.next, window),
    };
  }

  /** Who is not known by this id may be known by it as a pseudonym: that is what is shown of the erased. */
  private async pseudonymOf(userId: string): Promise<string> {
    return (await this.subjects.findOne(userId))?.pseudonym ?? userId;
  }

  private async foundPage(
    filter: Parameters<EventsRepository['readFound']>[0],
    o: Parameters<EventsRepository['readFound']>[1],
  ): Promise<{ rows: StoredEntry[]; next: StoredEntry | null }> {
    const rows = await this.events.readFound(filter, { ...o, limit: o.limit + 1 });
    const more = rows.length > o.limit;
    return { rows: rows.slice(0, o.limit), next: more ? (rows[o.limit - 1] ?? null) : null };
  }

  private async toWire(rows: StoredEntry[], withSimilarity: boolean): Promise<WireEvent[]> {
    const entries = rows.flatMap((row) => decodeEntry(row.entry) ?? []);
    const pseudonyms = entries.flatMap(({ subjectPseudonym, actor }) => [subjectPseudonym ?? [], actor ?? []].flat());
    const nobody = entries.flatMap((e) => (e.subjectPseudonym === null ? [nobodyOf(e.ts)] : []));
    const subjects = new Subjects(await this.subjects.whoAre([...new Set(pseudonyms)], [...new Set(nobody)]));
    return rows.map((row) => wireEvent(row, subjects, withSimilarity));
  }
}
