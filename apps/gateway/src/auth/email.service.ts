import { type BeforeApplicationShutdown, Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { LinkTokenRepository, UserRepository, type UserRow } from '#accounts';
import type { Origin } from '#contracts';
import { AppLogger } from '#observability';
import { Refusals } from '../audit-trail/refusals.js';
import { UserEvents } from '../audit-trail/user-events.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
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
    private readonly users: UserRepository,
    private readonly links: LinkTokenRepository,
    private readonly mails: Mails,
    private readonly throttle: RequestThrottle,
    private readonly events: UserEvents,
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
  async sendVerification(user: UserRow): Promise<void> {
    await this.links.replace(user._id, 'verify_email');
    await this.mails.send({
      userId: user._id,
      template: 'email_verify',
      params: {},
      secret: await this.links.issue('verify_email', user),
    });
  }

  async resendVerification(user: UserRow, origin: Origin): Promise<void> {
    await this.throttle.takeMail(user);
    if (user.emailVerified) return;
    await this.events.append(user._id, 'verification_sent', origin);
    await this.sendVerification(user);
  }

  /** Whose it is. The link's token is taken even if the address changed meanwhile: a link works once. */
  async verify(token: string, origin: Origin): Promise<string> {
    const link = await this.links.take('verify_email', token);
    if (!link || !(await this.users.setEmailVerified(link))) {
      throw this.refusals.ofLink('verify_email', link, origin);
    }
    await this.events.append(link.userId, 'email_verified', origin);
    return link.userId;
  }

  /** Says the same whether or not the new address has an account: its owner would learn who else is here. */
  async askForChange(user: UserRow, email: string, origin: Origin): Promise<void> {
    await this.throttle.takeMail(user);
    // The links that stop it stay: whoever asks again takes none of them away.
    await this.links.replace(user._id, 'confirm_new_email');
    await this.events.append(user._id, 'email_change_asked', origin);
    if (!(await this.users.askForNewEmail(user, email))) throw new Problem('unauthenticated');
    const [userId, params] = [user._id, { hours: this.config.EMAIL_CHANGE_HOLD_HOURS }];
    await this.mails.send({
      userId,
      template: 'email_change_notice',
      params,
      origin,
      to: user.email,
      secret: await this.links.issue('cancel_new_email', user, { holdMs: this.holdMs }),
    });
    if (await this.users.findByEmail(email)) return;
    await this.mails.send({
      userId,
      template: 'email_change_confirm',
      params,
      origin,
      to: email,
      secret: await this.links.issue('confirm_new_email', user, { email }),
    });
  }

  async confirmChange(token: string, origin: Origin): Promise<void> {
    const link = await this.links.take('confirm_new_email', token);
    if (!link || !(await this.users.confirmNewEmail(link, this.holdMs))) {
      throw this.refusals.ofLink('confirm_new_email', link, origin);
    }
    await this.events.append(link.userId, 'email_change_confirmed', origin);
  }

  /** A link with which there is nothing to stop is not used up: the next change may be the thief's. */
  async cancelChange(token: string, origin: Origin): Promise<void> {
    const link = await this.links.find('cancel_new_email', token);
    if (!link || !(await this.users.dropNewEmail(link.userId, link.email)))
      throw this.refusals.ofLink('cancel_new_email', link, origin);
    await this.links.take('cancel_new_email', token);
    await this.events.append(link.userId, 'email_change_cancelled', origin);
    await this.links.replace(link.userId, 'confirm_new_email');
  }

  private get holdMs(): number {
    return this.config.EMAIL_CHANGE_HOLD_HOURS * HOUR_MS;
  }

  /** Any gateway may do it, at any time: each change is one conditional update. */
  async applyDue(): Promise<void> {
    for (const user of await this.users.findEmailChangesDue(SWEEP_PAGE)) {
      if ((await this.users.applyNewEmail(user)) !== 'changed' || user.newEmail === null) continue;
      // Of the address before; those that stop something stop nothing at the new one.
      await this.links.removeGrants(user._id);
      await this.events.append(user._id, 'email_changed', {});
      for (const to of [user.email, user.newEmail.email]) {
        await this.mails.send({ userId: user._id, template: 'email_changed', params: {}, to });
      }
    }
  }
}
