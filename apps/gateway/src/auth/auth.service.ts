import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import {
  Accounts,
  hashPassword,
  isContested,
  isCommonPassword,
  isSessionOf,
  type NewAccount,
  type Renewal,
  UserRepository,
  type UserRow,
  verifyPassword,
} from '#accounts';
import type { Origin } from '#contracts';
import { type GuardStore, nextReleaseDelayMs } from '#guard';
import { AppLogger } from '#observability';
import { recordThrottled, Refusals } from '../audit-trail/refusals.js';
import { UserEvents } from '../audit-trail/user-events.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { GUARD } from '../face/guard.module.js';
import { Problem } from '../http/problem.js';
import type { Principal } from '../http/principal.js';
import { Mails } from '../mail/mail.module.js';
import { CredentialRenewal } from '../sessions/credential-renewal.js';
import { provedByLink, withPassword } from '../sessions/session-record.js';
import { type ActiveSession, SessionService } from '../sessions/session.service.js';
import { EmailService } from './email.service.js';
import { LoginPlaces } from './login-places.js';
import { LoginThrottle, type Trier } from './login-throttle.js';
import { assertNewPassword } from './new-password.js';
import { RequestThrottle } from './request-throttle.js';

/** Whom nobody is: looked up for an unknown e-mail, so that it takes as many reads as a known one. */
const NOBODY = randomUUID();

@Injectable()
export class AuthService {
  constructor(
    private readonly users: UserRepository,
    private readonly sessions: SessionService,
    private readonly renewal: CredentialRenewal,
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly refusals: Refusals,
    private readonly events: UserEvents,
    private readonly throttle: LoginThrottle,
    private readonly requests: RequestThrottle,
    private readonly places: LoginPlaces,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  /** The user, or null: unknown, wrong and disabled are one answer after the same work and the same time. */
  async authenticate(email: string, password: string, origin: Origin): Promise<UserRow | null> {
    const came = new Date();
    const user = await this.users.findByEmail(email);
    const matches = await verifyPassword(user?.passwordHash, password);
    const summary = await this.guard.summary(user?._id ?? NOBODY);
    const mayEnter = user && matches && !user.disabled && summary?.state === 'active' && this.mayEnter(user);
    const isDisputed = user !== null && isContested(user);
    if (mayEnter && !isDisputed && !user.mustResetPassword) return user;
    const reason = matches ? 'account_barred' : 'wrong_credential';
    this.refusals.record('password', reason, { userId: user?._id ?? null, origin });
    // Only who knows the password learns it, and the way out is the mailbox. The try counts: it is no login.
    if (mayEnter) throw new Problem(isDisputed ? 'address_contested' : 'password_reset_required');
    // The grid is longer than the work takes: the reads do not show.
    await sleep(nextReleaseDelayMs(came, new Date()));
    return null;
  }

  /** A login that was not even tried. Whose it was is looked up afterwards: the answer does not wait for it. */
  noteThrottled(email: string, origin: Origin): void {
    const record = (userId: string | null): void => this.refusals.record('password', 'throttled', { userId, origin });
    void this.users.findByEmail(email).then(
      (user) => record(user?._id ?? null),
      () => record(null),
    );
  }

  /** Where registering tells nobody anything, a password must not either before the address was confirmed. */
  private mayEnter(user: UserRow): boolean {
    return user.emailVerified || this.config.REGISTRATION !== 'verified';
  }

  /** `proved`: by a link that only the owner has. A login's language is that of whoever knows the password: no mail follows it. */
  async openSession(user: UserRow, origin: Origin, { proved = false } = {}): Promise<ActiveSession> {
    await this.requests.takeLogin(user._id);
    const session = await this.sessions.open(user._id, user.sessionEpoch, { deviceModel: origin.deviceModel, proved });
    for (const sessionId of session.ended) {
      // MongoDB knows it, too: what Redis might bring back is refused.
      await this.users.endSession(user._id, sessionId);
      await this.events.append(user._id, 'session_ended', { ...origin, sessionId });
    }
    const fresh = this.places.newTo(user, origin);
    const detail = fresh.length > 0 ? { detail: { newPlace: fresh } } : {};
    await this.events.append(user._id, 'login_ok', { ...origin, sessionId: session.record.sessionId }, detail);
    await this.places.tell(user, origin, fresh);
    return session;
  }

  /** The session of a token, if it is a live one of that person, proved by the link that he has just followed. */
  async proved(token: string | null, userId: string, link: string): Promise<ActiveSession | null> {
    const session = await this.sessions.find(token);
    if (session?.record.userId !== userId) return null;
    const user = await this.users.findById(userId);
    if (!user || !isSessionOf(user, session.record)) return null;
    const face = await this.guard.summary(userId);
    return face && this.sessions.rotate(session, provedByLink(session.record), ['mailed_link', link], face.lockEpoch);
  }

  async logout(session: ActiveSession, origin: Origin): Promise<void> {
    const { userId, sessionId } = session.record;
    await this.sessions.end(session);
    await this.users.endSession(userId, sessionId);
    await this.events.append(userId, 'logout', origin);
  }

  /**
   * A session must not be a way to guess the password faster than at login; nor do those who guess there keep out who is
   * in already.
   */
  async assertPassword(user: UserRow, password: string, origin: Origin): Promise<void> {
    const trier: Trier = { kind: 'known', id: origin.sessionId ?? user._id };
    const refused = (reason: 'throttled' | 'wrong_credential'): void =>
      this.refusals.record('current_password', reason, { userId: user._id, origin });
    await recordThrottled(this.throttle.take(trier), () => refused('throttled'));
    if (!(await verifyPassword(user.passwordHash, password))) {
      refused('wrong_credential');
      throw new Problem('invalid_credentials');
    }
    await this.throttle.giveBack(trier);
  }

  /** The session's password is from now on as old as this request. */
  async renewPassword(session: Principal, user: UserRow, password: string, origin: Origin): Promise<void> {
    await this.assertPassword(user, password, origin);
    await this.sessions.update(session, withPassword(session.record));
    await this.events.append(user._id, 'password_verified', origin);
  }

  /** Ends every other session; this one goes on under the new epoch, which is returned. */
  async changePassword(
    session: Principal,
    user: UserRow,
    passwords: { current: string; next: string },
    origin: Origin,
  ): Promise<number> {
    await this.assertPassword(user, passwords.current, origin);
    if (passwords.next === passwords.current) throw new Problem('password_reused');
    await assertNewPassword(passwords.next, user);
    const { sessionId } = session.record;
    const passwordHash = await hashPassword(passwords.next);
    const renewal: Renewal = {
      by: 'password_change',
      passwordHash,
      session: { sessionId, epoch: user.sessionEpoch },
      places: this.places.of(user._id, origin),
    };
    const renewed = await this.renewal.renew(user._id, renewal, origin, { stays: session });
    if (!renewed) throw new Problem('unauthenticated');
    return renewed.sessionEpoch;
  }
}

/** A request answers so whatever became of it, where the operator wants nobody to learn who has an account. */
export type Registered = { kind: 'created'; user: UserRow } | { kind: 'mailed' };

@Injectable()
export class RegistrationService {
  constructor(
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    private readonly accounts: Accounts,
    private readonly emails: EmailService,
    private readonly mails: Mails,
    private readonly throttle: RequestThrottle,
    private readonly places: LoginPlaces,
    private readonly logger: AppLogger,
  ) {}

  /**
   * `open`: with a password. `verified`: without, as whoever reads the mailbox chooses it. The other one is 400: a client
   * that sends a password there would take it for set.
   */
  async register(email: string, password: string | undefined, origin: Origin, locale?: string): Promise<Registered> {
    const { REGISTRATION } = this.config;
    if (REGISTRATION === 'closed') throw new Problem('registration_closed');
    if ((password === undefined) !== (REGISTRATION === 'verified'))
      throw new Problem('invalid_request', { extras: { fields: ['password'] } });
    await this.throttle.take('registration', origin.ipAddress);
    const account = { email, origin, ...(locale === undefined ? {} : { locale }) };
    if (password === undefined) {
      // Not waited for: neither answer nor time tells whether there was such an account.
      void this.inSilence(account).catch((err: unknown) => this.logger.warn({ err }, 'registration not finished'));
      return { kind: 'mailed' };
    }
    if (isCommonPassword(password, email)) throw new Problem('password_too_common');
    const passwordHash = await hashPassword(password);
    const placesOf = (userId: string): string[] => this.places.of(userId, origin);
    const created = await this.accounts.create({
      ...account,
      passwordHash,
      placesOf,
      follows: this.emails.verification,
    });
    if (created.kind === 'email_taken') throw new Problem('email_taken');
    return created;
  }

  /** Who registers again before the mailbox was proved gets the link again: what was there is nobody's yet. */
  private async inSilence(account: Omit<NewAccount, 'passwordHash'>): Promise<void> {
    const registration = this.emails.registration;
    const made = { ...account, passwordHash: null, isSelf: true, follows: registration };
    if ((await this.accounts.create(made)).kind === 'created') return;
    const owner = await this.accounts.users.findByEmail(account.email);
    if (!owner || !(await this.throttle.mayMail(owner._id, 'reset'))) return;
    if (owner.emailVerified || owner.invite || owner.disabled)
      return this.mails.send({ userId: owner._id, template: 'account_exists', params: {} });
    const draft = this.accounts.draft(owner._id, account.origin ?? {});
    await this.emails.registration(owner, draft);
    await this.accounts.users.intend(owner._id, draft.done());
    await this.accounts.pending.finish(owner._id);
  }
}
