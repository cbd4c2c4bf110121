import { z } from 'zod';

/** RFC 3339, 5.6, with the space that its note allows, and the space that a `+` of a query becomes. */
const RFC_3339 = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?)(?:[Zz]|([-+ ])([01]\d|2[0-3]):?([0-5]\d))$/;
const MINUTE_MS = 60_000;

/** A time with any offset; after parsing the same instant in UTC, as `Date.toISOString` writes it. */
export const timeSchema = z
  .string()
  .max(64)
  .meta({ format: 'date-time' })
  .transform((text, context) => {
    const instant = instantOf(text);
    if (instant !== undefined) return instant;
    context.addIssue({ code: 'custom', message: 'is no RFC 3339 time' });
    return z.NEVER;
  });

function instantOf(text: string): string | undefined {
  const [, date, time = '', sign, hours = '0', minutes = '0'] = RFC_3339.exec(text.trim()) ?? [];
  // A leap second is the last one of its minute here: no clock of this program knows it.
  const local = z.iso.datetime().safeParse(`${date}T${time.replace(/^(\d\d:\d\d):60.*$/, '$1:59')}Z`).data;
  if (local === undefined) return undefined;
  const offset = (Number(hours) * 60 + Number(minutes)) * MINUTE_MS * (sign === '-' ? -1 : 1);
  const instant = new Date(Date.parse(local) - offset);
  const { data } = z.iso.datetime().safeParse(instant.toISOString());
  return data;
}
