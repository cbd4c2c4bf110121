import { type BeforeApplicationShutdown, Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import {
  Accounts,
  AddressDisputes,
  addressHeldUntil,
  LinkTokenRepository,
  PendingChanges,
  type PendingDraft,
  UserRepository,
  type UserRow,
} from '#accounts';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { AppLogger } from '#observability';
import { Refusals } from '../audit-trail/refusals.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { GUARD } from '../face/guard.module.js';
import { Problem } from '../http/problem.js';
import { Mails } from '../mail/mail.module.js';
import { RequestThrottle } from './request-throttle.js';

const SWEEP_MS = 30_000;
const SWEEP_PAGE = 50;
const HOUR_MS = 3_600_000;

/**
 * An account's address: confirmed by a mailed link; changed only a day after the new one was confirmed, with mails to
 * both, so that whoever reads the old mailbox can still stop it.
 */
@Injectable()
export class EmailService implements OnModuleInit, BeforeApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly accounts: Accounts,
    private readonly pending: PendingChanges,
    private readonly users: UserRepository,
    private readonly links: LinkTokenRepository,
    private readonly disputes: AddressDisputes,
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly mails: Mails,
    private readonly throttle: RequestThrottle,
    private readonly refusals: Refusals,
    private readonly logger: AppLogger,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  onModuleInit(): void {
    const sweep = (): void =>
      void this.applyDue().catch((err: unknown) => this.logger.warn({ err }, 'addresses not changed'));
    this.timer = setInterval(sweep, SWEEP_MS).unref();
  }

  beforeApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** For a new account, and again for who lost the mail: the link before does nothing any more. */
  readonly verification = async (user: UserRow, draft: PendingDraft): Promise<void> => {
    await this.links.replace(user._id, 'verify_email');
    const secret = await this.links.issue('verify_email', user);
    await draft.mail(this.mails.compose({ userId: user._id, template: 'email_verify', params: {}, secret }));
  };

  /** The same where the mailbox comes first: the link sets the password. */
  readonly registration = async (user: UserRow, draft: PendingDraft): Promise<void> => {
    await this.links.replace(user._id, 'registration');
    const secret = await this.links.issue('registration', user);
    await draft.mail(this.mails.compose({ userId: user._id, template: 'registration', params: {}, secret }));
  };

  async resendVerification(user: UserRow, origin: Origin): Promise<void> {
    await this.throttle.takeMail(user);
    if (user.emailVerified) return;
    const draft = await this.accounts.draft(user._id, origin).event('verification_sent');
    await this.verification(user, draft);
    await this.users.intend(user._id, draft.done());
    await this.pending.finish(user._id);
  }

  /** Whose it is. The link's token is taken even if the address changed meanwhile: a link works once. */
  async verify(token: string, origin: Origin): Promise<string> {
    const link = await this.links.take('verify_email', token);
    const draft = link && (await this.accounts.draft(link.userId, origin).event('email_verified'));
    if (!link || !draft || !(await this.users.setEmailVerified(link, draft.done()))) {
      throw this.refusals.ofLink('verify_email', link, origin);
    }
    await this.pending.finish(link.userId);
    return link.userId;
  }

  /** Says the same whether or not the new address has an account: its owner would learn who else is here. */
  async askForChange(user: UserRow, email: string, origin: Origin): Promise<void> {
    if (user.erasure) throw new Problem('erasure_pending');
    if (addressHeldUntil(user, new Date())) throw new Problem('address_held');
    await this.throttle.takeMail(user);
    // The links that stop it stay: whoever asks again takes none of them away.
    await this.links.replace(user._id, 'confirm_new_email');
    const [userId, params] = [user._id, { hours: this.config.EMAIL_CHANGE_HOLD_HOURS }];
    const draft = await this.accounts.draft(userId, origin).event('email_change_asked');
    const about = { userId, params, origin };
    const stop = await this.links.issue('cancel_new_email', user, { holdMs: this.holdMs });
    const notice = { ...about, template: 'email_change_notice', to: user.email, secret: stop } as const;
    await draft.mail(this.mails.compose(notice));
    if (!(await this.users.findByEmail(email)) && !(await this.users.isKept(email, userId))) {
      const secret = await this.links.issue('confirm_new_email', user, { email });
      await draft.mail(this.mails.compose({ ...about, template: 'email_change_confirm', to: email, secret }));
    }
    if (!(await this.users.askForNewEmail(user, email, draft.done()))) throw new Problem('unauthenticated');
    await this.pending.finish(userId);
  }

  /** The link is used up by the change that it makes, which cannot be made twice. */
  async confirmChange(token: string, origin: Origin): Promise<void> {
    const link = await this.links.find('confirm_new_email', token);
    const draft = link && (await this.accounts.draft(link.userId, origin).event('email_change_confirmed'));
    if (!link || !draft || !(await this.users.confirmNewEmail(link, this.holdMs, draft.done()))) {
      throw this.refusals.ofLink('confirm_new_email', link, origin);
    }
    await this.pending.finish(link.userId);
  }

  /** A link with which there is nothing to stop is not used up: the next change may be the thief's. */
  async cancelChange(token: string, origin: Origin): Promise<void> {
    const link = await this.links.find('cancel_new_email', token);
    const draft = link && (await this.accounts.draft(link.userId, origin).event('email_change_cancelled'));
    if (!link || !draft || !(await this.users.dropNewEmail(link.userId, link.email, draft.done())))
      throw this.refusals.ofLink('cancel_new_email', link, origin);
    await this.pending.finish(link.userId);
    await this.links.take('cancel_new_email', token);
    await this.links.replace(link.userId, 'confirm_new_email');
  }

  /** In a session, by whoever knows the password: it gives nobody anything. */
  async stopChange({ _id: userId, email }: UserRow, origin: Origin): Promise<void> {
    const draft = this.accounts.draft(userId, origin);
    await draft.event('email_change_cancelled', { detail: { by: 'own_session' } });
    if (!(await this.users.dropNewEmail(userId, email, draft.done()))) return;
    await this.pending.finish(userId);
    await this.links.replace(userId, 'confirm_new_email');
  }

  /** A link with which nothing is to be undone is not used up. */
  async undoChange(token: string, origin: Origin): Promise<void> {
    const link = await this.links.find('undo_email_change', token);
    if (!link || !(await this.disputes.undo(link, origin)))
      throw this.refusals.ofLink('undo_email_change', link, origin);
    await this.links.take('undo_email_change', token);
  }

  async objectToChange(token: string, origin: Origin): Promise<void> {
    const link = await this.links.find('object_email_change', token);
    if (!link || !(await this.disputes.object(link, origin)))
      throw this.refusals.ofLink('object_email_change', link, origin);
    await this.links.take('object_email_change', token);
  }

  private get holdMs(): number {
    return this.config.EMAIL_CHANGE_HOLD_HOURS * HOUR_MS;
  }

  /** Any gateway may do it, at any time: each change is one conditional update. */
  async applyDue(): Promise<void> {
    for (const user of await this.users.findEmailChangesDue(SWEEP_PAGE)) {
      const guard = await this.guard.summary(user._id);
      if (user.newEmail === null || guard?.state !== 'active') continue;
      const draft = await this.accounts.draft(user._id, {}).event('email_changed');
      const about = { userId: user._id, params: {} };
      const secret = await this.links.issue('undo_email_change', user);
      await draft.mail(this.mails.compose({ ...about, template: 'email_changed_undo', to: user.email, secret }));
      await draft.mail(this.mails.compose({ ...about, template: 'email_changed', to: user.newEmail.email }));
      // Of the address before; those that stop something stop nothing at the new one.
      draft.removeGrants({});
      if ((await this.users.applyNewEmail(user, draft.done())) === 'changed') await this.pending.finish(user._id);
    }
  }
}
