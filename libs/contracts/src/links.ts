const HOUR_MS = 3_600_000;

/**
 * What ends a mailed link beside its use and its time. A *grant* gives something by the mailbox and dies whenever the
 * account's credentials are renewed, used or not: whoever had it mailed may have been a thief. A *defence* stops
 * something, and nothing but its use or its time ends it: a thief must not be able to take it away.
 */
export type LinkClass = 'grant' | 'defence';

/** Every kind of mailed link: its class, and how long it works, in ms. */
export const MAILED_LINKS = {
  verify_email: { class: 'grant', lifeMs: 48 * HOUR_MS },
  /** Of whoever registers where addresses are verified first: sets the first password. */
  registration: { class: 'grant', lifeMs: 48 * HOUR_MS },
  reset_password: { class: 'grant', lifeMs: HOUR_MS },
  /** Opens one try with the password. */
  login: { class: 'grant', lifeMs: HOUR_MS },
  invite: { class: 'grant', lifeMs: 7 * 24 * HOUR_MS },
  confirm_new_email: { class: 'grant', lifeMs: 24 * HOUR_MS },
  /** The time to confirm and a day more; the hold comes on top of it. */
  cancel_new_email: { class: 'defence', lifeMs: 48 * HOUR_MS },
  /** The mailbox before undoes a change of address. */
  undo_email_change: { class: 'defence', lifeMs: 7 * 24 * HOUR_MS },
  /** The mailbox that lost the account by an undone change, or by staff, objects. The hold comes on top of it. */
  object_email_change: { class: 'defence', lifeMs: HOUR_MS },
  /** Stops an erasure. The hold comes on top of it. */
  cancel_erasure: { class: 'defence', lifeMs: HOUR_MS },
  /** "This was not me". The audit service makes it as it sends the mail. */
  not_me: { class: 'defence', lifeMs: 7 * 24 * HOUR_MS },
} as const satisfies Record<string, { class: LinkClass; lifeMs: number }>;
export type MailedLink = keyof typeof MAILED_LINKS;
export type GrantLink = {
  [K in MailedLink]: (typeof MAILED_LINKS)[K]['class'] extends 'grant' ? K : never;
}[MailedLink];

export const MAILED_LINK_KINDS = Object.keys(MAILED_LINKS) as MailedLink[];
export const isGrant = (kind: MailedLink): kind is GrantLink => MAILED_LINKS[kind].class === 'grant';
