import { z } from 'zod';
import { type IdentityProof, type MailLocale, roleSchema } from '#contracts';

const formerEmailSchema = z.object({
  email: z.string(),
  emailVerified: z.boolean(),
  changedAt: z.date(),
  /** The account's at that time: a newer one tells that the credentials were renewed by way of the new address. */
  credentialEpoch: z.int(),
});
export type FormerEmail = z.infer<typeof formerEmailSchema>;

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
  /** Raised by every renewal of the credentials (`Renewal`): what was begun under an older one comes to nothing. */
  credentialEpoch: z.int().default(0),
  /** Whose budgets of recovery codes and tries count: raised by a reset by mail and by "not me", three times a day. */
  recoveryGeneration: z.int().default(0),
  /** When it was raised, the last day. */
  recoveryGenerationsAt: z.array(z.date()).default([]),
  /** The session that went on when the password was changed in it, and the `sessionEpoch` that this raised. */
  staying: z.object({ sessionId: z.uuid(), epoch: z.int() }).nullable().default(null),
  createdAt: z.date(),
  /** What staff switched off. The guard's `state` is what decides; this is for lists and for login. */
  disabled: z.boolean().default(false),
  /** Nobody signs in until the password was reset by mail. */
  mustResetPassword: z.boolean().default(false),
  /** The password that a demanded reset was about: it never comes back. */
  barredPasswordHash: z.string().nullable().default(null),
  /** Language of mails, as far as it is known. */
  locale: z.string().max(16).optional(),
  /** Set while the invitation is open. `by`: who of the staff invited; null for the command line. */
  invite: z.object({ by: z.uuid().nullable(), at: z.date() }).nullable().default(null),
  /** Who of the staff invited: stays when the invitation was accepted. Null: nobody, or the command line. */
  invitedBy: z.uuid().nullable().default(null),
  /** Since when administrator; null: is none, or was one before this was kept. */
  adminSince: z.date().nullable().default(null),
  /** Who had part in making him administrator: who asked, who confirmed. */
  promotedBy: z.array(z.uuid()).default([]),
  /** An address that will replace the current one. `changesAt` is null until its owner has confirmed it. */
  newEmail: z
    .object({ email: z.string(), requestedAt: z.date(), changesAt: z.date().nullable() })
    .nullable()
    .default(null),
  /** Equality flag of the sweep that makes confirmed changes. */
  hasNewEmail: z.boolean().default(false),
  /** What was the address within the last days, newest last: nobody else gets it, and its mailbox may take it back. */
  formerEmails: z.array(formerEmailSchema).default([]),
  /** Two mailboxes and one account: what came of a change that was undone, or made by staff. */
  addressDispute: z
    .object({
      by: z.enum(['undo', 'readdress']),
      /** The address that gave way to the account's. */
      other: z.string(),
      otherVerified: z.boolean(),
      /** Until then nothing is reset or recovered by mail, and the other mailbox may object. */
      holdUntil: z.date(),
      /** When it did. From then on nobody signs in until staff or the operator decide. */
      contestedAt: z.date().nullable(),
    })
    .nullable()
    .default(null),
  /**
   * An erasure that waits. `dueAt`: by the database's clock. `begun`: its row in the ledger follows, and nothing stops it any
   * more.
   */
  erasure: z
    .object({ id: z.uuid(), requestedAt: z.date(), dueAt: z.date(), begun: z.boolean() })
    .nullable()
    .default(null),
  /** Equality flag of the sweep that begins them. */
  hasErasure: z.boolean().default(false),
  /** Sessions that were ended one by one, so that a Redis that forgot it cannot bring them back. */
  endedSessions: z.array(z.uuid()).default([]),
  /**
   * Devices and networks from which the account was entered, as keyed digests (`LoginPlaces`), oldest first. Only what was
   * seen since the credentials were renewed last. Absent: the account is older than the list.
   */
  knownPlaces: z.array(z.string().max(64)).optional(),
});
export type UserRow = z.infer<typeof userRowSchema>;

/**
 * Whether the account still stands by a session: whatever Redis says. The one in which the password was changed goes on,
 * also where its record has not been told yet.
 */
export function isSessionOf(user: UserRow, session: { sessionId: string; epoch: number }): boolean {
  const stays =
    user.staying?.sessionId === session.sessionId &&
    user.staying.epoch === user.sessionEpoch &&
    session.epoch < user.sessionEpoch;
  return (
    !isContested(user) &&
    (stays || user.sessionEpoch === session.epoch) &&
    !user.disabled &&
    !user.endedSessions.includes(session.sessionId)
  );
}

/** Two mailboxes claim the account, and nobody has decided yet. */
export const isContested = ({ addressDispute }: Pick<UserRow, 'addressDispute'>): boolean =>
  addressDispute !== null && addressDispute.contestedAt !== null;

/** Until when an address that just came back, or was given by staff, recovers nothing; null when it is not so. */
export function addressHeldUntil({ addressDispute }: Pick<UserRow, 'addressDispute'>, now: Date): Date | null {
  return addressDispute && addressDispute.holdUntil > now ? addressDispute.holdUntil : null;
}

/** What renews an account's credentials. Whatever the old ones had begun ends with it, by whichever of them. */
export type Renewal =
  /** By whoever knows the password; `epoch`: the account's `sessionEpoch`, as read. That session stays. */
  | {
      by: 'password_change';
      passwordHash: string;
      session: { sessionId: string; epoch: number };
      /** From where: of all places that the account knew, these alone stay (`knownPlaces`). */
      places?: string[];
    }
  /** By a mailed link, which shows that the address is the person's. */
  | {
      by: 'password_reset' | 'invitation' | 'registration';
      passwordHash: string;
      /** The language of the person's mails from here on, where the request names one of ours. */
      locale?: MailLocale;
      link: { email: string; credentialEpoch: number };
      places?: string[];
    }
  /** Bars the password until it was reset by mail. */
  | { by: 'not_me' }
  | { by: 'disable'; actorId?: string }
  /** By the mailbox before. `account`: as read. A password that was chosen since is the other mailbox's, and is barred. */
  | { by: 'address_undone'; account: UserRow; former: FormerEmail }
  /** By the mailbox that gave way: both claim the account. */
  | { by: 'address_contested'; account: UserRow }
  /** By staff or the operator. */
  | { by: 'address_decided'; account: UserRow; keep: 'current' | 'other'; proof: IdentityProof; actorId?: string };
