import type { WireEvent } from '#contracts';
import type { EventPage } from './audit-client.js';

const COLUMNS = [
  'timestamp', 'eventType', 'userId', 'sessionId', 'attemptId', 'clientId', 'reason', 'charged', 'count', 'deviceModel',
  'ipAddress', 'modelDigest', 'thresholdId', 'lockEpoch', 'actorId', 'detail', 'eventId',
] as const satisfies readonly (keyof WireEvent)[]; // prettier-ignore

/** RFC 4180: a header, then a line an event, newest first; the pages are asked for as the reader takes them. */
export async function* csvOf(
  first: EventPage,
  ask: (cursor: string) => Promise<EventPage>,
  withSimilarity: boolean,
): AsyncGenerator<string> {
  const columns: readonly (keyof WireEvent)[] = withSimilarity ? [...COLUMNS, 'similarity'] : COLUMNS;
  yield line(columns);
  for (let page = first; ; page = await ask(page.nextCursor)) {
    yield page.events.map((event) => line(columns.map((column) => event[column]))).join('');
    if (page.nextCursor === null) return;
  }
}

type Cell = WireEvent[keyof WireEvent];

const line = (cells: readonly Cell[]): string => `${cells.map(cell).join(',')}\r\n`;

/** A device's name comes from outside: where a spreadsheet would read a formula stands a text. */
function cell(value: Cell): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return cell(JSON.stringify(value));
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
