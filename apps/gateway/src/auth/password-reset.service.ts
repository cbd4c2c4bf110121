import { Injectable } from '@nestjs/common';
import {
  addressHeldUntil,
  hashPassword,
  isContested,
  LinkTokenRepository,
  UserRepository,
  type UserRow,
} from '#accounts';
import { mailLocaleOf, type Origin } from '#contracts';
import { AppLogger } from '#observability';
import { Refusals } from '../audit-trail/refusals.js';
import { SystemOutbox } from '../audit-trail/system-outbox.js';
import { Mails } from '../mail/mail.module.js';
import { CredentialRenewal } from '../sessions/credential-renewal.js';
import { LoginPlaces } from './login-places.js';
import { assertNewPassword } from './new-password.js';
import { RequestThrottle } from './request-throttle.js';

/** `languages`: an Accept-Language field. Who follows a mailed link has the mailbox, so mails follow it. */
interface Chosen {
  password: string;
  languages: string | undefined;
}

/** What renews the credentials when a password is chosen by such a link. */
const RENEWED_BY = { reset_password: 'password_reset', invite: 'invitation', registration: 'registration' } as const;

/** A forgotten password, by a mailed link. The face and its lock are not touched. */
@Injectable()
export class PasswordResetService {
  constructor(
    private readonly users: UserRepository,
    private readonly links: LinkTokenRepository,
    private readonly mails: Mails,
    private readonly renewal: CredentialRenewal,
    private readonly throttle: RequestThrottle,
    private readonly refusals: Refusals,
    private readonly places: LoginPlaces,
    private readonly outbox: SystemOutbox,
    private readonly logger: AppLogger,
  ) {}

  /** Nothing of what is done for an account that exists is waited for, so neither answer nor time tells of it. */
  async request(email: string, origin: Origin): Promise<void> {
    await this.throttle.take('anonymous', origin.ipAddress);
    void this.send(email, origin).catch((err: unknown) => this.logger.warn({ err }, 'reset mail not written'));
  }

  /** The account as it is afterwards. */
  confirm(token: string, chosen: Chosen, origin: Origin): Promise<UserRow> {
    return this.choose('reset_password', token, chosen, origin);
  }

  /** The same. */
  acceptInvitation(token: string, chosen: Chosen, origin: Origin): Promise<UserRow> {
    return this.choose('invite', token, chosen, origin);
  }

  /** The same. */
  finishRegistration(token: string, chosen: Chosen, origin: Origin): Promise<UserRow> {
    return this.choose('registration', token, chosen, origin);
  }

  private async choose(
    kind: keyof typeof RENEWED_BY,
    token: string,
    { password, languages }: Chosen,
    origin: Origin,
  ): Promise<UserRow> {
    const link = await this.links.find(kind, token);
    if (!link) {
      const refused = this.refusals.ofLink(kind, null, origin);
      // Only wrong ones count: everybody of an office may accept an invitation in the same hour.
      await this.throttle.take('anonymous', origin.ipAddress);
      throw refused;
    }
    const before = await this.users.findById(link.userId);
    if (!before) throw this.refusals.ofLink(kind, link, origin);
    await assertNewPassword(password, before);
    const passwordHash = await hashPassword(password);
    const by = RENEWED_BY[kind];
    const locale = mailLocaleOf(languages);
    const places = this.places.of(link.userId, origin);
    const language = locale === undefined ? {} : { locale };
    // The link is used up by the renewal: it counts for the credentials of then and no others.
    const user = await this.renewal.renew(link.userId, { by, passwordHash, link, places, ...language }, origin);
    if (!user) throw this.refusals.ofLink(kind, link, origin);
    return user;
  }

  private async send(email: string, origin: Origin): Promise<void> {
    const user = await this.users.findByEmail(email);
    // By nobody who is known, so counted and not in the guard. For an unknown address it is of nobody.
    this.outbox.record({ type: 'password_reset_asked', userId: user?._id ?? null, origin });
    if (!user || user.disabled || isBarred(user) || !(await this.throttle.mayMail(user._id, 'reset'))) return;
    await this.mails.send({
      userId: user._id,
      template: 'password_reset',
      params: {},
      secret: await this.links.issue('reset_password', user),
    });
  }
}

/** While nobody knows whose the mailbox is, it opens nothing. */
const isBarred = (user: UserRow): boolean => isContested(user) || addressHeldUntil(user, new Date()) !== null;
