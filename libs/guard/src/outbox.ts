import type { EventType, KnownOfEvent, MailTemplate, Origin } from '#contracts';
import { field, isoTime, merge, object, type Expr, type Operand, optional } from './expressions.js';
import { now } from './pipeline.js';
import { personalOf, type SealedOrigin, type UserSealer } from './sealer.js';
import type { AuditEventInput, PreparedEvent } from './types.js';

/** An event as an outbox entry. `more` are optional fields: absent when null. */
export const eventEntry = (o: {
  eventId: Operand;
  type: EventType | Expr;
  sealed: Operand;
  more?: Readonly<Record<string, Operand>>;
}): Expr =>
  object({
    kind: 'event',
    event: merge(
      object({ eventId: o.eventId, userId: field('_id'), type: o.type, timestamp: now, sealed: o.sealed }),
      ...Object.entries(o.more ?? {}).map(([key, value]) => optional(key, value)),
    ),
  });

export const prepareEvent = (event: AuditEventInput, seal: UserSealer): PreparedEvent => {
  const { deviceModel, ipAddress, similarity, ...clear } = event;
  const { eventId, type, ...fields } = clear;
  const sealed = seal.event(eventId, { deviceModel, ipAddress, similarity }, { types: [type], fields });
  return withoutUndefined({ ...clear, sealed });
};

/** An event that a caller made; the guard adds whose it is and the database's time. */
export const givenEventEntry = (event: PreparedEvent): Expr =>
  object({ kind: 'event', event: merge({ ...event }, object({ userId: field('_id'), timestamp: now })) });

/** A mail as an outbox entry. Every security mail says when, and from which device and address. */
export const mailEntry = (o: {
  mailId: Operand;
  template: MailTemplate;
  sealedOrigin: Operand;
  params?: Readonly<Record<string, Operand>>;
  optionalParams?: Readonly<Record<string, Operand>>;
}): Expr =>
  merge(
    object({
      kind: 'mail',
      mailId: o.mailId,
      template: o.template,
      params: merge(
        object({ at: isoTime(now), ...o.params }),
        ...Object.entries(o.optionalParams ?? {}).map(([key, value]) => optional(key, value)),
      ),
      at: now,
    }),
    optional('sealedOrigin', o.sealedOrigin),
  );

export const sealOrigin = (eventId: string, origin: Origin, seal: UserSealer, known: KnownOfEvent): SealedOrigin => ({
  eventId,
  sessionId: origin.sessionId ?? null,
  sealed: seal.event(eventId, personalOf(origin), {
    ...known,
    fields: { ...known.fields, ...(origin.sessionId === undefined ? {} : { sessionId: origin.sessionId }) },
  }),
  mail: seal.mail(origin),
});

const withoutUndefined = <T extends object>(from: T): T =>
  Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as T;
