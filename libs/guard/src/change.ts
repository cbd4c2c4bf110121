import { ADDRESS_LIMITS, type EventType, type KnownOfEvent, type MailTemplate } from '#contracts';
import {
  add,
  and,
  concat,
  cond,
  eq,
  type Expr,
  field,
  ifNull,
  list,
  max,
  maybe,
  merge,
  object,
  type Operand,
  or,
  present,
  text,
} from './expressions.js';
import { eventEntry, givenEventEntry, mailEntry } from './outbox.js';
import type { SealedOrigin } from './sealer.js';
import { live, now, set, type Update, w } from './pipeline.js';
import { settle } from './settle.js';
import type { GuardSettings } from './settings.js';
import type { EpochChange, Preferences, PreparedEvent } from './types.js';

interface Effect {
  event: EventType;
  by: 'own_change' | 'officer_change';
  actorId?: string | undefined;
  /** Of the event, beside who did it. */
  detail?: Readonly<Record<string, Operand>>;
  fields: Readonly<Record<string, Operand>>;
  /** The template goes; if there was one, its owner is told. */
  removesTemplate?: boolean;
  /** The mail that tells of it. Where staff acted, without where they sat. */
  mail?: Extract<
    MailTemplate,
    | 'password_changed'
    | 'recovery_used'
    | 'face_demanded'
    | 'face_unlocked'
    | 'account_disabled'
    | 'account_enabled'
    | 'roles_changed'
  >;
  /** What it says beside when. */
  mailParams?: Readonly<Record<string, string>>;
}

const HOUR = 3_600_000;

function effectOf(change: EpochChange, s: GuardSettings): Effect {
  switch (change.kind) {
    case 'unlock':
      return {
        event: 'unlocked',
        by: 'officer_change',
        actorId: change.actorId,
        fields: { lockedUntil: null, strikes: 0 },
        mail: 'face_unlocked',
      };
    case 'consent_given':
      return { event: 'consent_given', by: 'own_change', fields: { consentVersion: change.version } };
    case 'consent_withdrawn':
      return { event: 'consent_withdrawn', by: 'own_change', fields: { consentVersion: null }, removesTemplate: true };
    case 'unenrol':
      return { event: 'unenrolled', by: 'own_change', fields: {}, removesTemplate: true };
    case 're_enrolment_required':
      return {
        event: 're_enrolment_required',
        by: change.by === 'officer' ? 'officer_change' : 'own_change',
        actorId: change.actorId,
        fields: { reEnrolBy: now },
        mail: change.by === 'recovery' ? 'recovery_used' : 'face_demanded',
      };
    case 'password_changed':
      return { event: 'password_changed', by: 'own_change', fields: {}, mail: 'password_changed' };
    case 'disable':
      return {
        event: 'disabled',
        by: 'officer_change',
        actorId: change.actorId,
        fields: { state: cond(eq(field('state'), 'active'), 'disabled', field('state')) },
        mail: 'account_disabled',
      };
    case 'enable':
      return {
        event: 'enabled',
        by: 'officer_change',
        actorId: change.actorId,
        // An erasure is not undone.
        fields: { state: cond(eq(field('state'), 'disabled'), 'active', field('state')) },
        mail: 'account_enabled',
      };
    case 'roles_changed':
      return {
        event: 'roles_changed',
        by: 'officer_change',
        actorId: change.actorId,
        detail: {
          ...(change.operator === undefined ? {} : { by: 'command_line', operator: change.operator }),
          added: change.added,
          removed: change.removed,
          ...(change.askedBy === undefined ? {} : { askedBy: change.askedBy }),
        },
        fields: change.added.length === 0 ? {} : { template: heldIfFromPassword(s) },
        mail: 'roles_changed',
        mailParams: rolesTold(change),
      };
    case 'address_disputed': {
      const heldUntil = max(field('template.heldUntil'), add(now, ADDRESS_LIMITS.holdHours * HOUR));
      const held = merge(field('template'), object({ heldUntil }));
      return {
        event: change.event,
        ...(change.event === 'email_change_undone'
          ? { by: 'own_change' }
          : { by: 'officer_change', actorId: change.actorId, detail: change.detail }),
        fields: { template: cond(present(field('template')), held, field('template')) },
      };
    }
    case 'erase':
      return { event: 'erasure_begun', by: 'own_change', fields: { state: 'erasing', template: null } };
  }
}

/** Lists that are not empty, as the mail takes them. */
function rolesTold(change: { added: readonly string[]; removed: readonly string[] }): Record<string, string> {
  const lists = Object.entries({ added: change.added, removed: change.removed });
  return Object.fromEntries(
    lists.filter(([, roles]) => roles.length > 0).map(([name, roles]) => [name, roles.join(', ')]),
  );
}

/** What is known of a change's event before it is written. */
export function knownOf(what: EpochChange, s: GuardSettings): KnownOfEvent {
  const { event, actorId } = effectOf(what, s);
  return { types: [event], fields: actorId === undefined ? {} : { actorId } };
}

const heldIfFromPassword = (s: GuardSettings): Operand =>
  cond(
    and(present(field('template')), eq(ifNull(field('template.boundFrom'), 'pwd'), 'pwd')),
    merge(field('template'), object({ heldUntil: add(now, s.limits.holdHours * HOUR) })),
    field('template'),
  );

/** Rule 6: the epoch rises, a live reservation is settled, one event tells of the change. */
export function change(what: EpochChange, from: SealedOrigin, opId: string, s: GuardSettings): Update {
  const effect = effectOf(what, s);
  const removes = effect.removesTemplate === true;
  return {
    opId,
    stages: [
      ...settle({
        when: live,
        cause: { kind: effect.by },
        limits: s.limits,
      }),
      set({ 'w.removed': field('template.id'), lockEpoch: add(field('lockEpoch'), 1) }),
      set({
        ...effect.fields,
        ...(removes
          ? {
              template: null,
              // A password alone must never lead away from the face: whoever had one still needs one.
              faceRequired: or(field('faceRequired'), present(field('firstEnrolledAt'))),
            }
          : {}),
        outbox: concat(
          field('outbox'),
          list(eventOf(effect.event, from, moreOf(effect))),
          removes ? maybe(present(w('removed')), removedMail(from)) : [],
          effect.mail === undefined ? [] : list(changeMail(effect, effect.mail, from)),
        ),
      }),
    ],
    last: { kind: 'changed', id: orNull(w('removed'), removes || what.kind === 'erase') },
  };
}

const orNull = (value: Expr, shown: boolean): Operand => (shown ? cond(present(value), value, null) : null);
const moreOf = (effect: Effect): Readonly<Record<string, Operand>> => ({
  lockEpoch: field('lockEpoch'),
  ...(effect.by === 'officer_change' ? { detail: { by: byOf(effect.actorId), ...effect.detail } } : {}),
  ...(effect.actorId === undefined ? {} : { actorId: effect.actorId }),
});
/** Who without an account acts on other people's is at the command line. */
const byOf = (actorId: string | undefined): 'staff' | 'command_line' =>
  actorId === undefined ? 'command_line' : 'staff';
const eventOf = (type: EventType, { eventId, sessionId, sealed }: SealedOrigin, more = {}): Expr =>
  eventEntry({ eventId, type, sealed, more: { sessionId, ...more } });
/** One a change: the epoch rose with it. */
const changeMail = ({ by, mailParams }: Effect, template: MailTemplate, { mail }: SealedOrigin): Expr =>
  mailEntry({
    mailId: text(`${template.replaceAll('_', '-')}-`, field('_id'), '-', field('lockEpoch')),
    template,
    sealedOrigin: by === 'own_change' ? mail : null,
    ...(mailParams === undefined ? {} : { params: mailParams }),
  });
const removedMail = ({ mail }: SealedOrigin): Expr =>
  mailEntry({
    mailId: text('removed-', field('_id'), '-', w('removed')),
    template: 'face_removed',
    sealedOrigin: mail,
  });

/** Preferences raise no epoch: a running attempt keeps the gestures it drew. */
export const setPreferences = (p: Preferences, from: SealedOrigin, opId: string): Update => ({
  opId,
  stages: [
    set({
      optOuts: [...p.optOuts],
      extraTime: p.extraTime,
      shortChallenges: p.shortChallenges,
      outbox: concat(
        field('outbox'),
        list(eventOf('preferences_changed', from, { detail: { shortChallenges: p.shortChallenges } })),
      ),
    }),
  ],
  last: { kind: 'changed', id: null },
});

export const appendEvent = (event: PreparedEvent): Update => ({
  opId: event.eventId,
  stages: [set({ outbox: concat(field('outbox'), list(givenEventEntry(event))) })],
  last: { kind: 'appended' },
});
