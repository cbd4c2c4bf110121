import { randomUUID } from 'node:crypto';
import type { mongo } from 'mongoose';
import type { MailRow, Origin, Role } from '#contracts';
import type { EpochChange, GuardStore } from '#guard';
import { LinkTokenRepository } from './link-token.repository.js';
import { MailRepository } from './mail.repository.js';
import type { Renewal, UserRow } from './user.js';
import { UserRepository } from './user.repository.js';

export interface NewAccount {
  /** As `readEmail` leaves it. */
  email: string;
  /** Null: the person is invited and chooses one. */
  passwordHash: string | null;
  roles?: readonly Role[];
  locale?: string;
  emailVerified?: boolean;
  /** Policy: whether protected actions ask for a face. */
  faceRequired?: boolean;
  /** Who of the staff made it. */
  actorId?: string;
  /** By the operator at the command line: no session and no actor. Invitations without an actor are always so. */
  isOperator?: boolean;
  origin?: Origin;
}

export type Created = { kind: 'created'; user: UserRow } | { kind: 'email_taken' };

/** Makes and changes accounts; the same for the gateway and for the command line. */
export class Accounts {
  constructor(
    readonly users: UserRepository,
    readonly links: LinkTokenRepository,
    private readonly guard: GuardStore,
  ) {}

  async create(account: NewAccount): Promise<Created> {
    const { email, passwordHash, locale, actorId } = account;
    if (await this.users.findByEmail(email)) return { kind: 'email_taken' };
    const user: UserRow = {
      _id: randomUUID(),
      email,
      emailVerified: account.emailVerified ?? false,
      passwordHash,
      roles: [...new Set<Role>(['user', ...(account.roles ?? [])])],
      sessionEpoch: 0,
      credentialEpoch: 0,
      recoveryGeneration: 0,
      recoveryGenerationsAt: [],
      staying: null,
      createdAt: new Date(),
      disabled: false,
      mustResetPassword: false,
      ...(locale === undefined ? {} : { locale }),
      invite: passwordHash === null ? { by: actorId ?? null, at: new Date() } : null,
      newEmail: null,
      hasNewEmail: false,
      endedSessions: [],
    };
    // The guard first: a user without one could not be protected, a guard without a user is swept.
    await this.guard.create(user._id, {
      faceRequired: account.faceRequired ?? true,
      event: {
        eventId: randomUUID(),
        type: 'registered',
        ...account.origin,
        ...(actorId === undefined ? {} : { actorId }),
        detail: { by: makerOf(account), roles: user.roles },
      },
    });
    return (await this.users.insert(user)) ? { kind: 'created', user } : { kind: 'email_taken' };
  }

  /**
   * Makes an account without a password and mails its owner a link that sets one. An open invitation of the same
   * address is sent once more; an account that has a password is `email_taken`.
   */
  async invite(
    account: Omit<NewAccount, 'passwordHash'>,
    mails: MailRepository,
  ): Promise<Created & { mailId?: string }> {
    const made = await this.openInvitation(account);
    if (made.kind !== 'created') return made;
    const { user, secret } = made;
    const mailId = await mails.enqueue({ userId: user._id, template: 'account_invite', params: {}, secret });
    return { kind: 'created', user, mailId };
  }

  /** The same without the mail: `secret` is the token of the link, which whoever asked hands over. */
  async openInvitation(
    account: Omit<NewAccount, 'passwordHash'>,
  ): Promise<{ kind: 'created'; user: UserRow; secret: string } | { kind: 'email_taken' }> {
    const made = await this.create({ ...account, passwordHash: null });
    const user = made.kind === 'created' ? made.user : await this.users.findByEmail(account.email);
    if (user?.invite == null) return { kind: 'email_taken' };
    await this.links.replace(user._id, 'invite');
    await this.guard.appendEvent(user._id, {
      eventId: randomUUID(),
      type: 'invited',
      ...account.origin,
      ...(account.actorId === undefined ? {} : { actorId: account.actorId }),
      detail: { by: makerOf({ ...account, passwordHash: null }), roles: user.roles, again: made.kind !== 'created' },
    });
    const secret = await this.links.issue('invite', user);
    return { kind: 'created', user, secret };
  }

  /**
   * The record first: a role that nobody saw given must not exist. Every session ends, and a face that may have come from
   * a password alone is held, so that what was begun without the role is worth nothing with it.
   */
  async giveRoles(user: UserRow, roles: readonly Role[], actorId?: string): Promise<Role[]> {
    const added = roles.filter((role) => !user.roles.includes(role));
    if (added.length === 0) return [];
    const change = { kind: 'staff_role_given', added, ...(actorId === undefined ? {} : { actorId }) } as const;
    await this.guard.change(user._id, change, {}, randomUUID());
    await this.users.addRoles(user._id, added);
    return added;
  }

  /**
   * "Credentials renewed", the one way for all that do it: every session ends (but the one in which the password was
   * changed), and so does whatever the old credentials had begun: mailed grants, a change of address, a live recovery code.
   * The account as it is then; null when the renewal cannot be any more. Sessions in Redis are refused by their epoch.
   */
  async renew(userId: string, renewal: Renewal, origin: Origin): Promise<UserRow | null> {
    // The guard decides who may do what, so it is told first when shutting out.
    if (renewal.by === 'disable' && !(await this.tell(userId, withActor('disable', renewal.actorId), origin)))
      return null;
    const renewed = await this.users.renew(userId, renewal);
    if (!renewed) return null;
    if ('passwordHash' in renewal) await this.tell(userId, { kind: 'password_changed' }, origin);
    if (renewed.stoppedNewEmail) {
      const event = { eventId: randomUUID(), type: 'email_change_cancelled', detail: { by: renewal.by } } as const;
      await this.guard.appendEvent(userId, { ...event, ...origin });
    }
    // Dead by their epoch already.
    await this.links.removeGrants(userId);
    return renewed.user;
  }

  /** The guard is told last when letting in. */
  async enable(userId: string, origin: Origin, actorId?: string): Promise<boolean> {
    await this.users.enable(userId);
    return this.tell(userId, withActor('enable', actorId), origin);
  }

  private async tell(userId: string, change: EpochChange, origin: Origin): Promise<boolean> {
    return (await this.guard.change(userId, change, origin, randomUUID())).kind !== 'not_found';
  }
}

const withActor = (kind: 'disable' | 'enable', actorId: string | undefined): EpochChange => ({
  kind,
  ...(actorId === undefined ? {} : { actorId }),
});

function makerOf({ actorId, isOperator, passwordHash }: NewAccount): 'staff' | 'command_line' | 'self' {
  if (actorId !== undefined) return 'staff';
  return isOperator || passwordHash === null ? 'command_line' : 'self';
}

/** Everything that accounts need of a database. Indexes are made by `ensureIndexes`. */
export function openAccounts(db: mongo.Db, guard: GuardStore) {
  const users = new UserRepository(db.collection('users'));
  const links = new LinkTokenRepository(db.collection('link_tokens'));
  return {
    accounts: new Accounts(users, links, guard),
    users,
    links,
    ensureIndexes: async (): Promise<void> => {
      await users.ensureIndexes();
      await links.ensureIndexes();
    },
  };
}

/** Where mails are put for the audit service to send. `mailKey`: MAIL_KEY, which seals their codes and tokens. */
export const openMails = (db: mongo.Db, mailKey: Buffer): MailRepository =>
  new MailRepository(db.collection<MailRow>('mails'), mailKey);
