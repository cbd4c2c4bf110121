import { ADDRESS_LIMITS, type IdentityProof, type MailRow, type MailTemplate, type Origin } from '#contracts';
import type { LinkTokenRepository } from './link-token.repository.js';
import type { MailRequest } from './mail.repository.js';
import { isDuplicateKey } from './mongo.js';
import type { PendingDraft } from './pending.js';
import { isContested, type Renewal, type UserRow } from './user.js';
import type { UserRepository } from './user.repository.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What a process has for it: the gateway ends sessions in Redis as well, and seals where a request came from. */
export interface DisputeTools {
  users: UserRepository;
  links: LinkTokenRepository;
  renew: (
    userId: string,
    renewal: Renewal,
    origin: Origin,
    follows: (draft: PendingDraft) => Promise<unknown>,
  ) => Promise<UserRow | null>;
  /** For `PendingDraft.mail`. */
  compose: (mail: MailRequest, origin: Origin) => (key: string) => MailRow | Promise<MailRow>;
}

export interface Decision {
  keep: 'current' | 'other';
  proof: IdentityProof;
  /** Of the staff; nobody for the command line. */
  actorId?: string;
}

/**
 * Whose account it is when two mailboxes say so. The one that the account had may undo a change for seven days; the other
 * may object for a day, in which nothing is reset or recovered by mail; then staff or the operator decide.
 */
export class AddressDisputes {
  constructor(private readonly tools: DisputeTools) {}

  /** By the link that was mailed to the address before. Null when there is nothing (any more) to undo. */
  async undo(link: { userId: string; email: string }, origin: Origin): Promise<UserRow | null> {
    const account = await this.tools.users.findById(link.userId);
    const since = Date.now() - ADDRESS_LIMITS.undoDays * DAY_MS;
    const former = account?.formerEmails.findLast((one) => one.email === link.email && one.changedAt.getTime() > since);
    if (!account || !former || account.disabled) return null;
    const params = { hours: ADDRESS_LIMITS.holdHours };
    const about = { userId: account._id, params };
    return this.renewed(account, { by: 'address_undone', account, former }, origin, async (draft) => {
      await draft.mail(this.tools.compose({ ...about, template: 'email_undone', to: former.email }, origin));
      const secret = await this.objection(account);
      const told = { ...about, template: 'email_objection', to: account.email, secret } as const;
      await draft.mail(this.tools.compose(told, origin));
    });
  }

  /** By the link that was mailed to the address that gave way, while the hold lasts. */
  async object(link: { userId: string; email: string }, origin: Origin): Promise<UserRow | null> {
    const account = await this.tools.users.findById(link.userId);
    if (account?.addressDispute?.other !== link.email) return null;
    return this.renewed(account, { by: 'address_contested', account }, origin, async (draft) => {
      for (const to of [account.email, link.email]) await draft.mail(this.mailOf(account, 'email_contested', to));
    });
  }

  /** The address that is decided for is the account's; its owner chooses a password by a reset. Null: nothing to decide. */
  async decide(account: UserRow, decision: Decision, origin: Origin): Promise<UserRow | null> {
    const { addressDispute } = account;
    if (!addressDispute || !isContested(account)) return null;
    const { other } = addressDispute;
    const [winner, loser] = decision.keep === 'current' ? [account.email, other] : [other, account.email];
    return this.renewed(account, { by: 'address_decided', account, ...decision }, origin, async (draft) => {
      await draft.mail(this.mailOf(account, 'email_decided', winner));
      await draft.mail(this.mailOf(account, 'email_decided_other', loser));
    });
  }

  /** A mail that says nothing of where it came from: what staff did, or what both sides are told. */
  private mailOf({ _id: userId }: UserRow, template: MailTemplate, to: string) {
    return this.tools.compose({ userId, template, params: {}, to }, {});
  }

  /** The token by which the mailbox that gives way objects: it is a defence, so the renewal leaves it. */
  private objection(account: UserRow): Promise<string> {
    const holdMs = ADDRESS_LIMITS.holdHours * HOUR_MS;
    return this.tools.links.issue('object_email_change', account, { email: account.email, holdMs });
  }

  /** Null too where the address has become another account's: nobody else can have it, but for a race. */
  private async renewed(
    account: UserRow,
    renewal: Renewal,
    origin: Origin,
    follows: (draft: PendingDraft) => Promise<unknown>,
  ): Promise<UserRow | null> {
    try {
      return await this.tools.renew(account._id, renewal, origin, follows);
    } catch (error) {
      if (isDuplicateKey(error)) return null;
      throw error;
    }
  }
}
