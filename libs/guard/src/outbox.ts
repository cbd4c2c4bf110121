import type { EventType, MailTemplate, Origin } from '#contracts';
import { field, ifNull, isoTime, merge, object, type Expr, type Operand, optional } from './expressions.js';
import { now } from './pipeline.js';
import type { AuditEventInput } from './types.js';

/** An event as an outbox entry. `more` are optional fields: absent when null. */
export const eventEntry = (o: {
  eventId: string;
  type: EventType | Expr;
  origin: Operand;
  more?: Readonly<Record<string, Operand>>;
}): Expr =>
  object({
    kind: 'event',
    event: merge(
      object({ eventId: o.eventId, userId: field('_id'), type: o.type, timestamp: now }),
      o.origin,
      ...Object.entries(o.more ?? {}).map(([key, value]) => optional(key, value)),
    ),
  });

/** An event that a caller made; the guard adds whose it is and the database's time. */
export const givenEventEntry = (event: AuditEventInput): Expr =>
  object({
    kind: 'event',
    event: merge(withoutUndefined(event), object({ userId: field('_id'), timestamp: now })),
  });

/** A mail as an outbox entry. Every security mail names the device, the address and the time. */
export const mailEntry = (o: {
  mailId: Operand;
  template: MailTemplate;
  origin: (path: 'deviceModel' | 'ipAddress') => Operand;
  params?: Readonly<Record<string, Operand>>;
  optionalParams?: Readonly<Record<string, Operand>>;
}): Expr =>
  object({
    kind: 'mail',
    mailId: o.mailId,
    template: o.template,
    params: merge(
      object({ deviceModel: ifNull(o.origin('deviceModel'), 'an unknown device'), at: isoTime(now), ...o.params }),
      ...Object.entries({ ...o.optionalParams, ipAddress: o.origin('ipAddress') }).map(([key, value]) =>
        optional(key, value),
      ),
    ),
    at: now,
  });

/** The fields of an origin that are ours, without those that are not there. */
export const cleanOrigin = (origin: Origin): Origin =>
  withoutUndefined({
    sessionId: origin.sessionId,
    deviceModel: origin.deviceModel,
    ipAddress: origin.ipAddress,
  });

export const withoutUndefined = (from: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined));
