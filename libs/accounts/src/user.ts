import { z } from 'zod';
import { roleSchema } from '#contracts';

/** One document of `users`. `_id` is the userId: a random identifier made before the guard is. */
export const userRowSchema = z.object({
  _id: z.uuid(),
  /** As `readEmail` leaves it; unique. */
  email: z.string(),
  emailVerified: z.boolean(),
  /** Null until an invited person has chosen one. */
  passwordHash: z.string().nullable(),
  roles: z.array(roleSchema),
  /** Raised by whatever ends all sessions; compared with the session's own. */
  sessionEpoch: z.int(),
  createdAt: z.date(),
  /** What staff switched off. The guard's `state` is what decides; this is for lists and for login. */
  disabled: z.boolean().default(false),
  /** Nobody signs in until the password was reset by mail. */
  mustResetPassword: z.boolean().default(false),
  /** Language of mails, as far as it is known. */
  locale: z.string().max(16).optional(),
  /** Set while the invitation is open. `by`: who of the staff invited; null for the command line. */
  invite: z.object({ by: z.uuid().nullable(), at: z.date() }).nullable().default(null),
  /** An address that will replace the current one. `changesAt` is null until its owner has confirmed it. */
  newEmail: z
    .object({ email: z.string(), requestedAt: z.date(), changesAt: z.date().nullable() })
    .nullable()
    .default(null),
  /** Equality flag of the sweep that makes confirmed changes. */
  hasNewEmail: z.boolean().default(false),
  /** Sessions that were ended one by one, so that a Redis that forgot it cannot bring them back. */
  endedSessions: z.array(z.uuid()).default([]),
});
export type UserRow = z.infer<typeof userRowSchema>;

/** Whether the account still stands by a session: whatever Redis says. */
export const isSessionOf = (user: UserRow, session: { sessionId: string; epoch: number }): boolean =>
  user.sessionEpoch === session.epoch && !user.disabled && !user.endedSessions.includes(session.sessionId);
