import { z } from 'zod';

const DAY_MS = 86_400_000;
const DEFAULT_WINDOW_DAYS = 31;

/** The UTC day of a time, `YYYY-MM-DD`. Days compare as text like the times they hold. */
export const dayOf = (time: Date): string => time.toISOString().slice(0, 10);

const startOfDay = (day: string): Date => new Date(`${day}T00:00:00.000Z`);

/** A place in the list, newest first: everything after it is older, or as old with a smaller eventId. */
export interface Position {
  timestamp: Date;
  eventId: string;
}

/** The place after every event of a day: an eventId is never smaller than the empty one. */
export const endOfDayBucket = (day: string): Position => ({ timestamp: startOfDay(day), eventId: '' });

/** Both ends belong to the window. Without `to` it is open: an event a moment ahead of our clock is listed too. */
export interface Window {
  from: Date;
  to: Date | null;
}

export function windowOf(query: { from?: string; to?: string }, now: Date): Window {
  const to = query.to === undefined ? null : new Date(query.to);
  const from =
    query.from === undefined ? new Date((to ?? now).getTime() - DEFAULT_WINDOW_DAYS * DAY_MS) : new Date(query.from);
  return { from, to };
}

/** `[timestamp ms, eventId, from ms]`: the window's lower end travels along, or a default one would move from page to page. */
const cursorSchema = z.tuple([z.int(), z.string().max(64), z.int()]);

export const encodeCursor = (position: Position, window: Window): string =>
  Buffer.from(JSON.stringify([position.timestamp.getTime(), position.eventId, window.from.getTime()])).toString(
    'base64url',
  );

export function decodeCursor(cursor: string): { position: Position; from: Date } | null {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return null;
  }
  const parsed = cursorSchema.safeParse(json);
  if (!parsed.success) return null;
  const [timestampMs, eventId, fromMs] = parsed.data;
  const [timestamp, from] = [new Date(timestampMs), new Date(fromMs)];
  // Past ±8.64e15 ms a Date is invalid and would throw later.
  if (Number.isNaN(timestamp.getTime()) || Number.isNaN(from.getTime())) return null;
  return { position: { timestamp, eventId }, from };
}

export interface PageRow {
  timestamp: Date;
  eventId: string;
}

/** Where the rows come from; newest first, at most `limit`, strictly after `after`. */
export interface BucketSource<R extends PageRow> {
  /** Days with events, newest first, in [first, last] (`last` null: open). */
  days(first: string, last: string | null): Promise<string[]>;
  read(day: string, o: { window: Window; after: Position | null; limit: number }): Promise<R[]>;
}

/** So many days one request looks at; a longer walk goes on with the cursor of a page that is not full. */
const DAYS_PER_PAGE_MAX = 400;

/** One page out of the day buckets, walking back from the newest day. */
export async function readPage<R extends PageRow>(
  source: BucketSource<R>,
  window: Window,
  after: Position | null,
  limit: number,
): Promise<{ rows: R[]; next: Position | null }> {
  const last = [after?.timestamp, window.to].flatMap((end) => (end ? [dayOf(end)] : [])).sort()[0] ?? null;
  const days = await source.days(dayOf(window.from), last);
  const rows: R[] = [];
  for (const [index, day] of days.entries()) {
    if (index === DAYS_PER_PAGE_MAX) return { rows, next: endOfDayBucket(days[index - 1] ?? day) };
    // One more than asked for tells whether there is another page.
    for (const row of await source.read(day, { window, after, limit: limit + 1 - rows.length })) rows.push(row);
    if (rows.length > limit) return { rows: rows.slice(0, limit), next: rows[limit - 1] ?? null };
  }
  return { rows, next: null };
}
