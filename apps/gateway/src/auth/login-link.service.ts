import { Injectable } from '@nestjs/common';
import { LinkTokenRepository, UserRepository, type UserRow } from '#accounts';
import type { Origin } from '#contracts';
import { AppLogger } from '#observability';
import { Refusals } from '../audit-trail/refusals.js';
import { SystemOutbox } from '../audit-trail/system-outbox.js';
import { Problem } from '../http/problem.js';
import { Mails } from '../mail/mail.module.js';
import { AuthService } from './auth.service.js';
import { RequestThrottle } from './request-throttle.js';

/**
 * The way in for whom strangers' guesses keep out on a device that is not known: a mailed link opens one try with the
 * password, past every limit. It is no login by mail: without the password it is worth nothing.
 */
@Injectable()
export class LoginLinkService {
  constructor(
    private readonly users: UserRepository,
    private readonly links: LinkTokenRepository,
    private readonly mails: Mails,
    private readonly auth: AuthService,
    private readonly throttle: RequestThrottle,
    private readonly logger: AppLogger,
    private readonly refusals: Refusals,
    private readonly outbox: SystemOutbox,
  ) {}

  /** Nothing of what is done for an account that exists is waited for, so neither answer nor time tells of it. */
  async request(email: string, origin: Origin): Promise<void> {
    await this.throttle.take('anonymous', origin.ipAddress);
    void this.send(email, origin).catch((err: unknown) => this.logger.warn({ err }, 'login link not written'));
  }

  /** The link is used up by the try, whatever comes of it. */
  async enter(token: string, password: string, origin: Origin): Promise<UserRow> {
    const link = await this.links.take('login', token);
    if (!link) {
      const refused = this.refusals.ofLink('login', null, origin);
      await this.throttle.take('anonymous', origin.ipAddress);
      throw refused;
    }
    const user = await this.auth.authenticate(link.email, password, origin);
    if (user?._id !== link.userId || user.credentialEpoch !== link.credentialEpoch)
      throw new Problem('invalid_credentials');
    return user;
  }

  /**
   * A budget of its own, so that whoever asks for other mails in the person's name does not take this way from him; and
   * links stay valid beside each other: what a stranger asked for, the person can use.
   */
  private async send(email: string, origin: Origin): Promise<void> {
    const user = await this.users.findByEmail(email);
    this.outbox.record({ type: 'login_link_asked', userId: user?._id ?? null, origin });
    if (!user || user.disabled || !(await this.throttle.mayMail(user._id, 'login_link'))) return;
    const secret = await this.links.issue('login', user);
    await this.mails.send({ userId: user._id, template: 'login_link', params: {}, secret });
  }
}
