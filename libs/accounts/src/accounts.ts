import { randomUUID } from 'node:crypto';
import type { mongo } from 'mongoose';
import type { EventDetail, MailRow, Origin, Role } from '#contracts';
import type { GuardStore } from '#guard';
import { AdminOffice, isInOffice } from './admin-office.js';
import { LinkTokenRepository } from './link-token.repository.js';
import { MailRepository } from './mail.repository.js';
import { type GuardChange, PendingDraft } from './pending.js';
import { PendingChanges, type PendingReports } from './pending.repository.js';
import { RoleRequestRepository } from './role-requests.js';
import type { Renewal, UserRow } from './user.js';
import { UserRepository } from './user.repository.js';

export interface NewAccount {
  /** As `readEmail` leaves it. */
  email: string;
  /** Null: the person is invited, or finishes a registration, and chooses one. */
  passwordHash: string | null;
  roles?: readonly Role[];
  locale?: string;
  emailVerified?: boolean;
  /** Policy: whether protected actions ask for a face. */
  faceRequired?: boolean;
  /** Who of the staff made it. */
  actorId?: string;
  /** What follows from it, put together before it is there. */
  follows?: (user: UserRow, draft: PendingDraft) => Promise<unknown>;
  /** By the person, who has yet to prove the mailbox: no invitation. */
  isSelf?: boolean;
  /** By the operator at the command line: no session and no actor. Invitations without an actor are always so. */
  isOperator?: boolean;
  /** The user of the system whose command it was. */
  operator?: string;
  origin?: Origin;
  /** The places from which the person is no stranger (`UserRow.knownPlaces`), by the id that the account gets. */
  placesOf?: (userId: string) => string[];
}

export type Created = { kind: 'created'; user: UserRow } | { kind: 'email_taken' };

/** Who changes roles. `operator`: at the command line, as which user of the system. `askedBy`: the first of two persons. */
interface RoleActor {
  actorId?: string | undefined;
  operator?: string | undefined;
  askedBy?: string | undefined;
}

type RolesChanged =
  | { kind: 'changed'; user: UserRow; added: Role[]; removed: Role[] }
  /** Neither is the address verified nor was the person invited. */
  | { kind: 'not_proved' }
  /** The account is about to be erased: its roles stay what they are. */
  | { kind: 'erasing' };

/** Makes and changes accounts; the same for the gateway and for the command line. */
export class Accounts {
  constructor(
    readonly users: UserRepository,
    readonly links: LinkTokenRepository,
    private readonly guard: GuardStore,
    readonly pending: PendingChanges,
    readonly office: AdminOffice,
    readonly roleRequests: RoleRequestRepository,
  ) {}

  /** Of a change to be made: what follows from it, to be written with it and done by `pending.finish` afterwards. */
  draft(userId: string, origin: Origin): PendingDraft {
    return new PendingDraft(this.guard, userId, origin);
  }

  async create(account: NewAccount): Promise<Created> {
    const { email, passwordHash, locale, actorId } = account;
    if (await this.users.findByEmail(email)) return { kind: 'email_taken' };
    const userId = randomUUID();
    const user: UserRow = {
      _id: userId,
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
      barredPasswordHash: null,
      ...(locale === undefined ? {} : { locale }),
      invite: passwordHash === null && !account.isSelf ? { by: actorId ?? null, at: new Date() } : null,
      invitedBy: actorId ?? null,
      adminSince: account.roles?.includes('admin') ? new Date() : null,
      promotedBy: actorId === undefined ? [] : [actorId],
      newEmail: null,
      hasNewEmail: false,
      formerEmails: [],
      addressDispute: null,
      erasure: null,
      hasErasure: false,
      endedSessions: [],
      knownPlaces: account.placesOf?.(userId) ?? [],
    };
    // The guard first: a user without one could not be protected, a guard without a user is swept.
    await this.guard.create(user._id, {
      faceRequired: account.faceRequired ?? true,
      event: {
        eventId: randomUUID(),
        type: 'registered',
        ...account.origin,
        ...(actorId === undefined ? {} : { actorId }),
        detail: { by: makerOf(account), roles: user.roles, ...operatorOf(account) },
      },
    });
    const draft = this.draft(user._id, account.origin ?? {});
    await account.follows?.(user, draft);
    if (!(await this.users.insert(user, account.follows && draft.done()))) return { kind: 'email_taken' };
    if (account.follows) await this.pending.finish(user._id);
    await this.office.enter(user._id);
    return { kind: 'created', user };
  }

  /**
   * Makes an account without a password and mails its owner a link that sets one. An open invitation of the same
   * address is sent once more; an account that has a password is `email_taken`.
   */
  async invite(account: Omit<NewAccount, 'passwordHash' | 'follows'>, mails: MailRepository): Promise<Created> {
    const made = await this.openInvitation(account, mails);
    return made.kind === 'created' ? { kind: 'created', user: made.user } : made;
  }

  /** Without `mails` nobody is mailed: `secret` is the token of the link, which whoever asked hands over. */
  async openInvitation(
    account: Omit<NewAccount, 'passwordHash' | 'follows'>,
    mails?: MailRepository,
  ): Promise<{ kind: 'created'; user: UserRow; secret: string } | { kind: 'email_taken' }> {
    let secret = '';
    const { actorId } = account;
    const by = makerOf({ ...account, passwordHash: null });
    const follows = async (user: UserRow, draft: PendingDraft, again: boolean): Promise<void> => {
      secret = await this.links.issue('invite', user);
      const detail = { by, roles: user.roles, again, ...operatorOf(account) };
      await draft.event('invited', { ...(actorId === undefined ? {} : { actorId }), detail });
      const request = { userId: user._id, template: 'account_invite', params: {}, secret } as const;
      if (mails) await draft.mail((key) => mails.compose(request, key));
    };
    const first = (user: UserRow, draft: PendingDraft): Promise<void> => follows(user, draft, false);
    const made = await this.create({ ...account, passwordHash: null, follows: first });
    if (made.kind === 'created') return { ...made, secret };
    const before = await this.users.findByEmail(account.email);
    if (before?.invite == null) return { kind: 'email_taken' };
    // An invitation that is made anew says what the person shall be: roles of the one before that it does not name go.
    const changed = await this.setRoles(before, account.roles ?? [], account);
    const user = changed.kind === 'changed' ? changed.user : before;
    await this.links.replace(user._id, 'invite');
    const draft = this.draft(user._id, account.origin ?? {});
    await follows(user, draft, true);
    await this.users.intend(user._id, draft.done());
    await this.pending.finish(user._id);
    return { kind: 'created', user, secret };
  }

  /** So that these and no others are the account's roles, beside `user`. */
  private setRoles(user: UserRow, roles: readonly Role[], actor: RoleActor): Promise<RolesChanged> {
    const wanted = new Set<Role>(['user', ...roles]);
    return this.changeRoles(user, { add: [...wanted], remove: user.roles.filter((role) => !wanted.has(role)) }, actor);
  }

  /**
   * The record first: a role that nobody saw given must not exist, so the account gets it with the last step. One that is
   * taken away goes at once. Every session ends, and a face that may have come from a password alone is held where a role
   * comes, so that what was begun without the role is worth nothing with it.
   *
   * @throws LastAdminError where nobody would be left who is administrator.
   */
  async changeRoles(
    user: UserRow,
    { add = [], remove = [] }: { add?: readonly Role[]; remove?: readonly Role[] },
    actor: RoleActor,
  ): Promise<RolesChanged> {
    const added = [...new Set(add)].filter((role) => !user.roles.includes(role));
    const removed = [...new Set(remove)].filter((role) => role !== 'user' && user.roles.includes(role));
    if (added.length + removed.length === 0) return { kind: 'changed', user, added, removed };
    if (added.length > 0 && !user.emailVerified && user.invite === null) return { kind: 'not_proved' };
    if (user.erasure) return { kind: 'erasing' };
    const leaves = removed.includes('admin');
    if (leaves) await this.leaveOffice(user);
    const { actorId, operator, askedBy } = actor;
    const who = Object.fromEntries(Object.entries({ actorId, operator, askedBy }).filter(([, value]) => value !== undefined)); // prettier-ignore
    const draft = await this.draft(user._id, {}).tell({ kind: 'roles_changed', added, removed, ...who });
    const by = [actorId, askedBy].flatMap((id) => id ?? []);
    const pending = draft.done({ roles: added, by, enters: true });
    if (!(await this.users.changeRoles(user._id, { added, removed }, pending))) {
      await this.office.enter(user._id);
      return (await this.users.findById(user._id))?.erasure ? { kind: 'erasing' } : { kind: 'not_proved' };
    }
    if (leaves) await this.office.left(user._id);
    await this.pending.finish(user._id);
    const now = await this.users.findById(user._id);
    return { kind: 'changed', user: now ?? user, added, removed };
  }

  /**
   * Before an account is stripped of its office, shut or erased.
   *
   * @throws LastAdminError
   */
  async leaveOffice(user: UserRow): Promise<void> {
    if (!user.roles.includes('admin')) return;
    if (isInOffice(user)) await this.office.leave(user._id);
    await this.roleRequests.dropAskedBy(user._id);
  }

  /**
   * "Credentials renewed", the one way for all that do it: every session ends (but the one in which the password was
   * changed), and so does whatever the old credentials had begun: mailed grants, a change of address, a live recovery code.
   * The account as it is then; null when the renewal cannot be any more. Sessions in Redis are refused by their epoch.
   * `follows`: what else does.
   *
   * @throws LastAdminError where the only administrator would be disabled.
   */
  async renew(
    userId: string,
    renewal: Renewal,
    origin: Origin,
    follows?: (draft: PendingDraft) => Promise<unknown>,
  ): Promise<UserRow | null> {
    const draft = this.draft(userId, origin);
    const shut = renewal.by === 'disable' ? await this.users.findById(userId) : null;
    if (shut) await this.leaveOffice(shut);
    if (renewal.by === 'disable') await draft.tell(withActor('disable', renewal.actorId));
    if ('passwordHash' in renewal) await draft.tell({ kind: 'password_changed' });
    const disputed = disputeOf(renewal);
    if (disputed) await draft.tell(disputed);
    if (renewal.by === 'address_contested') await draft.event('email_contested');
    await follows?.(draft);
    const ifStopped = await this.draft(userId, origin).event('email_change_cancelled', { detail: { by: renewal.by } });
    // Who was invited as administrator comes into office by accepting.
    const pending = draft.done('link' in renewal ? { enters: true } : {});
    const stopped = await this.draft(userId, origin).event('erasure_cancelled', { detail: { by: renewal.by } });
    const ifKept = stopped.done().steps;
    const renewed = await this.users.renew(userId, renewal, pending, { ifStopped: ifStopped.done().steps, ifKept });
    if (shut) await this.office.left(userId);
    if (renewed) await this.pending.finish(userId);
    return renewed;
  }

  /**
   * An erasure that waits: from here on the address and the roles are frozen and nothing biometric is kept; the account goes on
   * until the hold is over. One account, one erasure: a repeat is answered with the first. Null: the account is gone, or shut.
   *
   * @throws LastAdminError
   */
  async requestErasure(
    user: UserRow,
    holdMs: number,
    origin: Origin,
    follows: (draft: PendingDraft) => Promise<unknown>,
  ): Promise<UserRow | null> {
    if (user.roles.includes('admin')) await this.office.assertNotAlone(user._id);
    const draft = this.draft(user._id, origin);
    await draft.event('erasure_requested', { detail: { holdHours: holdMs / 3_600_000 } });
    await draft.tell({ kind: 'consent_withdrawn' });
    await follows(draft);
    if (await this.users.requestErasure(user._id, randomUUID(), holdMs, draft.done())) {
      await this.pending.finish(user._id);
    }
    const now = await this.users.findById(user._id);
    return now?.erasure ? now : null;
  }

  /** Stops an erasure that waits. False: there is none, or it has begun. */
  async cancelErasure(
    userId: string,
    by: 'own_session' | 'link',
    origin: Origin,
    follows: (draft: PendingDraft) => Promise<unknown>,
  ): Promise<boolean> {
    const draft = await this.draft(userId, origin).event('erasure_cancelled', { detail: { by } });
    await follows(draft);
    if (!(await this.users.cancelErasure(userId, draft.done()))) return false;
    await this.pending.finish(userId);
    return true;
  }

  /**
   * When the hold is over: every session ends and nothing stops it from here on. False: it was cancelled meanwhile, or its
   * time has not come.
   *
   * @throws LastAdminError where everybody else has left office since it was asked for.
   */
  async beginErasure(user: UserRow): Promise<boolean> {
    if (user.erasure === null) return false;
    if (user.erasure.begun) return true;
    await this.leaveOffice(user);
    const begun = await this.users.beginErasure(user._id, user.erasure.id);
    // Cancelled in the same moment: whoever left office for it is back.
    await (begun ? this.office.left(user._id) : this.office.enter(user._id));
    return begun;
  }

  /** False: there is no such account. */
  async enable(userId: string, origin: Origin, actorId?: string): Promise<boolean> {
    const draft = await this.draft(userId, origin).tell(withActor('enable', actorId));
    if (!(await this.users.enable(userId, draft.done({ enters: true })))) return false;
    await this.pending.finish(userId);
    return true;
  }
}

const withActor = (kind: 'disable' | 'enable', actorId: string | undefined): GuardChange => ({
  kind,
  ...(actorId === undefined ? {} : { actorId }),
});

/** What the guard hears of an address that went back, or was decided about. */
function disputeOf(renewal: Renewal): GuardChange | null {
  if (renewal.by === 'address_undone') return { kind: 'address_disputed', event: 'email_change_undone' };
  if (renewal.by !== 'address_decided') return null;
  const { actorId, keep, proof } = renewal;
  const who = actorId === undefined ? {} : { actorId };
  return { kind: 'address_disputed', event: 'email_decided', ...who, detail: { keep, proof } };
}

const operatorOf = ({ operator }: { operator?: string }): EventDetail => (operator === undefined ? {} : { operator });

function makerOf({ actorId, isOperator, isSelf, passwordHash }: NewAccount): 'staff' | 'command_line' | 'self' {
  if (actorId !== undefined) return 'staff';
  return isOperator || (passwordHash === null && !isSelf) ? 'command_line' : 'self';
}

/** Everything that accounts need of a database. Indexes are made by `ensureIndexes`. */
export function openAccounts(db: mongo.Db, guard: GuardStore, reports: PendingReports) {
  const users = new UserRepository(db.collection('users'));
  const links = new LinkTokenRepository(db.collection('link_tokens'));
  const office = new AdminOffice(db.collection('offices'), db.collection('users'));
  const roleRequests = new RoleRequestRepository(db.collection('role_requests'));
  const pending = new PendingChanges(db, links, guard, office, reports);
  return {
    accounts: new Accounts(users, links, guard, pending, office, roleRequests),
    users,
    links,
    ensureIndexes: async (): Promise<void> => {
      await users.ensureIndexes();
      await links.ensureIndexes();
      await pending.ensureIndexes();
    },
  };
}

/** Where mails are put for the audit service to send. `mailKey`: MAIL_KEY, which seals their codes and tokens. */
export const openMails = (db: mongo.Db, mailKey: Buffer): MailRepository =>
  new MailRepository(db.collection<MailRow>('mails'), mailKey);
