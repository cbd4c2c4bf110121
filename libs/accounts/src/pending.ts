import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import {
  type EventDetail,
  type EventType,
  type MailRow,
  mailRowSchema,
  type Origin,
  outboxEventSchema,
  roleSchema,
  sealedPersonalSchema,
} from '#contracts';
import type { EpochChange, GuardStore } from '#guard';
import { uuidOf } from '#sealing';

const actor = { actorId: z.uuid().optional() };
/** Those changes of a guard that belong to one of the account. */
const guardChangeSchema = z.union([
  z.strictObject({ kind: z.literal('password_changed') }),
  z.strictObject({ kind: z.literal('unenrol') }),
  z.strictObject({ kind: z.literal('consent_withdrawn') }),
  z.strictObject({ kind: z.enum(['disable', 'enable']), ...actor }),
  z.strictObject({ kind: z.literal('address_disputed'), event: z.literal('email_change_undone') }),
  z.strictObject({
    kind: z.literal('address_disputed'),
    event: z.literal('email_decided'),
    detail: z.record(z.string(), z.string()),
    ...actor,
  }),
  z.strictObject({
    kind: z.literal('roles_changed'),
    added: z.array(roleSchema),
    removed: z.array(roleSchema),
    operator: z.string().optional(),
    askedBy: z.uuid().optional(),
    ...actor,
  }),
]);
export type GuardChange = z.infer<typeof guardChangeSchema> & EpochChange;

const fromSchema = z.strictObject({
  eventId: z.uuid(),
  sessionId: z.uuid().nullable(),
  sealed: sealedPersonalSchema,
  mail: z.string().nullable(),
});

const stepSchema = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('guard'), opId: z.string(), change: guardChangeSchema, from: fromSchema }),
  z.strictObject({ do: z.literal('event'), event: outboxEventSchema.omit({ userId: true, timestamp: true }) }),
  z.strictObject({ do: z.literal('mail'), row: mailRowSchema }),
  /** Mailed links that grant something: those of older credentials, or those that went to an address. */
  z.strictObject({ do: z.literal('remove_grants'), below: z.int().optional(), email: z.string().optional() }),
  z.strictObject({ do: z.literal('remove_not_me_links') }),
]);
export type Step = z.infer<typeof stepSchema>;

/**
 * What a change of an account still has to do elsewhere. It is written by the very update that changes the account, so
 * neither is without the other; whoever wrote it does its steps at once, and a sweep does them if he could not. Each step
 * may be done twice: its ids are derived from the change's.
 */
export const pendingSchema = z.strictObject({
  id: z.uuid(),
  at: z.date(),
  steps: z.array(stepSchema).max(20),
  /** Given to the account with the last step, where the guard has to know beforehand. */
  roles: z.array(roleSchema).optional(),
  /** Who of the staff had part in giving them. */
  by: z.array(z.uuid()).optional(),
  /** Whoever is administrator by it comes into office with the last step. */
  enters: z.literal(true).optional(),
});
export type Pending = z.infer<typeof pendingSchema>;

/** A change of one account, as it is put together before anything is written. */
export class PendingDraft {
  private readonly id = randomUUID();
  private readonly steps: Step[] = [];

  constructor(
    private readonly guard: Pick<GuardStore, 'prepare' | 'prepareEvent'>,
    readonly userId: string,
    private readonly origin: Origin,
  ) {}

  /** An event in the person's trail. */
  async event(type: EventType, more: { detail?: EventDetail; actorId?: string } = {}): Promise<this> {
    const given = { eventId: uuidOf(this.nextKey()), type, ...this.origin, ...more };
    this.steps.push({ do: 'event', event: await this.guard.prepareEvent(this.userId, given) });
    return this;
  }

  /** A change of the guard, which leaves an event and a mail of its own. */
  async tell(change: GuardChange): Promise<this> {
    const opId = this.nextKey();
    const from = await this.guard.prepare(this.userId, change, this.origin, opId);
    this.steps.push({ do: 'guard', opId, change, from });
    return this;
  }

  /** `compose`: the row of this id. */
  async mail(compose: (mailKey: string) => MailRow | Promise<MailRow>): Promise<this> {
    this.steps.push({ do: 'mail', row: await compose(uuidOf(this.nextKey())) });
    return this;
  }

  removeGrants(which: { below?: number; email?: string }): this {
    this.steps.push({ do: 'remove_grants', ...which });
    return this;
  }

  removeNotMeLinks(): this {
    this.steps.push({ do: 'remove_not_me_links' });
    return this;
  }

  done(more: Pick<Pending, 'roles' | 'by' | 'enters'> = {}): Pending {
    return { id: this.id, at: new Date(), steps: this.steps, ...more };
  }

  private nextKey(): string {
    return `${this.id}:${this.steps.length}`;
  }
}
