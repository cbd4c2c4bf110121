import { Readable } from 'node:stream';
import { Controller, Get, Query, StreamableFile } from '@nestjs/common';
import { z } from 'zod';
import { UserRepository, type UserRow } from '#accounts';
import { eventTypeSchema, type Origin, timeSchema, type WireEvent, wireEventSchema } from '#contracts';
import { StaffReads } from '../audit-trail/staff-reads.js';
import { Accepts } from '../http/accepts.js';
import { Answers } from '../http/answers.js';
import { RequestOrigin } from '../http/origin.js';
import { type Principal } from '../http/principal.js';
import { CurrentSession, CurrentUser } from '../http/session.guard.js';
import { AuditClient, type EventPage } from './audit-client.js';
import { csvOf } from './csv.js';

const LIMIT_DEFAULT = 50;
const EXPORT_PAGE = 200;

const filterShape = {
  from: timeSchema.optional(),
  to: timeSchema.optional(),
  type: eventTypeSchema.optional(),
  cursor: z.string().min(1).max(200).optional(),
  limit: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(200))
    .default(LIMIT_DEFAULT),
};
const ownQuery = z.strictObject(filterShape);
const adminQuery = z.strictObject({
  ...filterShape,
  userId: z.uuid().optional(),
  device: z.string().min(1).max(120).optional(),
  /** An address, or a network as it is shown (192.0.2.0/24). */
  address: z.string().min(1).max(50).optional(),
});
const exportQuery = adminQuery.omit({ cursor: true, limit: true });
const FILTERS = ['from', 'to', 'type', 'userId', 'device', 'address'] as const;

const eventsSchema = z
  .strictObject({ events: z.array(wireEventSchema), nextCursor: z.string().nullable() })
  .meta({ id: 'SecurityEvents' });
type EventsView = z.infer<typeof eventsSchema>;

@Controller('v1')
export class SecurityEventsController {
  constructor(
    private readonly audit: AuditClient,
    private readonly reads: StaffReads,
    private readonly users: UserRepository,
  ) {}

  /** One's own, without similarity: it would tell how close a forgery came. */
  @Get('security/events')
  @Accepts({ query: ownQuery })
  @Answers({ summary: "What happened to one's own account", schema: eventsSchema, safe: true })
  async own(@CurrentSession() session: Principal, @Query() query: z.infer<typeof ownQuery>): Promise<EventsView> {
    const page = await this.audit.listEvents({ ...query, userId: session.record.userId, withSimilarity: false });
    return { events: page.events.map(withoutSimilarity), nextCursor: page.nextCursor };
  }

  /** A read of others' events is an event itself, written before anything is shown. */
  @Get('admin/security-events')
  @Accepts({ query: adminQuery })
  @Answers({ summary: 'What happened to all accounts; the read is itself recorded', schema: eventsSchema })
  async all(
    @CurrentUser() user: UserRow,
    @Query() query: z.infer<typeof adminQuery>,
    @RequestOrigin() origin: Origin,
  ): Promise<EventsView> {
    const withSimilarity = await this.recordStaffRead(user, 'events', query, origin);
    const page = await this.audit.listEvents({ ...query, withSimilarity });
    const events = withSimilarity ? page.events : page.events.map(withoutSimilarity);
    return { events, nextCursor: page.nextCursor };
  }

  /** All pages of it, as they come. The first is there before the answer begins, so that a refusal is still one. */
  @Get('admin/security-events.csv')
  @Accepts({ query: exportQuery })
  @Answers({ summary: 'The same as CSV, all of the period; the read is itself recorded', media: 'text/csv' })
  async export(
    @CurrentUser() user: UserRow,
    @Query() query: z.infer<typeof exportQuery>,
    @RequestOrigin() origin: Origin,
  ): Promise<StreamableFile> {
    const withSimilarity = await this.recordStaffRead(user, 'events_csv', query, origin);
    const ask = (cursor?: string): Promise<EventPage> =>
      this.audit.listEvents({ ...query, cursor, limit: EXPORT_PAGE, withSimilarity });
    const rows = csvOf(await ask(), ask, withSimilarity);
    return new StreamableFile(Readable.from(rows), {
      type: 'text/csv; charset=utf-8; header=present',
      disposition: 'attachment; filename="security-events.csv"',
    });
  }

  /** Whether the reader may see similarities, which is a read of its own. */
  private async recordStaffRead(
    user: UserRow,
    object: string,
    query: z.infer<typeof exportQuery>,
    origin: Origin,
  ): Promise<boolean> {
    const withSimilarity = user.roles.includes('auditor');
    const { from, to, type } = query;
    // Which filters there were; of the personal ones not what they were.
    const filter = FILTERS.filter((name) => query[name] !== undefined);
    const period = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
    const detail = { object, filter, ...period, ...(type === undefined ? {} : { type }) };
    const person = query.userId && (await this.users.findById(query.userId))?._id;
    await this.reads.record(user, { detail, person, role: 'security' }, origin);
    if (withSimilarity) {
      await this.reads.record(user, { type: 'similarity_read', detail, person, role: 'auditor' }, origin);
    }
    return withSimilarity;
  }
}

/** The audit service was asked to leave it out; this holds whatever it answers. */
function withoutSimilarity({ similarity: _similarity, ...event }: WireEvent): WireEvent {
  return event;
}
