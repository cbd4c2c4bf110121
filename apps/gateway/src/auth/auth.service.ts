import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { Accounts, hashPassword, LinkTokenRepository, UserRepository, type UserRow, verifyPassword } from '#accounts';
import type { Origin } from '#contracts';
import type { GuardStore } from '#guard';
import { SystemOutbox } from '../audit-trail/system-outbox.js';
import { UserEvents } from '../audit-trail/user-events.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { GUARD } from '../face/guard.module.js';
import { Problem } from '../http/problem.js';
import type { Principal } from '../http/session.guard.js';
import { Mails } from '../mail/mail.module.js';
import { type ActiveSession, SessionService } from '../sessions/session.service.js';
import { LoginThrottle } from './login-throttle.js';

/** Whom nobody is: looked up for an unknown e-mail, so that it takes as many reads as a known one. */
const NOBODY = randomUUID();

@Injectable()
export class AuthService {
  constructor(
    private readonly users: UserRepository,
    private readonly sessions: SessionService,
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly systemOutbox: SystemOutbox,
    private readonly events: UserEvents,
    private readonly throttle: LoginThrottle,
  ) {}

  /** The user, or null: unknown, wrong and disabled are one answer after the same work. */
  async authenticate(email: string, password: string, origin: Origin): Promise<UserRow | null> {
    const user = await this.users.findByEmail(email);
    const matches = await verifyPassword(user?.passwordHash, password);
    const summary = await this.guard.summary(user?._id ?? NOBODY);
    if (user && matches && !user.disabled && summary?.state === 'active') return user;
    this.systemOutbox.record({ type: 'login_failed', userId: user?._id ?? null, origin });
    return null;
  }

  async openSession(user: UserRow, origin: Origin): Promise<ActiveSession> {
    const session = await this.sessions.open(user._id, user.sessionEpoch);
    await this.events.append(user._id, 'login_ok', { ...origin, sessionId: session.record.sessionId });
    return session;
  }

  async logout(session: ActiveSession, origin: Origin): Promise<void> {
    await this.sessions.end(session);
    await this.events.append(session.record.userId, 'logout', origin);
  }

  /** Ends every other session; this one goes on under the new epoch. */
  async changePassword(
    session: Principal,
    user: UserRow,
    passwords: { current: string; next: string },
    origin: Origin,
  ) {
    // A session must not be a way to guess the password faster than at login.
    const address = origin.ipAddress ?? '';
    await this.throttle.take(user.email, address);
    if (!(await verifyPassword(user.passwordHash, passwords.current))) throw new Problem('invalid_credentials');
    await this.throttle.giveBack(user.email, address);
    const epoch = await this.users.setPassword(user._id, user.sessionEpoch, await hashPassword(passwords.next));
    if (epoch === null) throw new Problem('unauthenticated');
    await this.guard.change(user._id, { kind: 'password_changed' }, origin, randomUUID());
    await this.sessions.update(session, { ...session.record, epoch });
    await this.sessions.endAll(user._id, session);
  }
}

@Injectable()
export class RegistrationService {
  constructor(
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    private readonly accounts: Accounts,
    private readonly users: UserRepository,
    private readonly links: LinkTokenRepository,
    private readonly mails: Mails,
  ) {}

  async register(email: string, password: string, origin: Origin): Promise<UserRow> {
    if (this.config.REGISTRATION === 'closed') throw new Problem('registration_closed');
    const passwordHash = await hashPassword(password);
    const created = await this.accounts.create({ email, passwordHash, origin });
    if (created.kind === 'email_taken') throw new Problem('email_taken');
    await this.sendVerification(created.user);
    return created.user;
  }

  /** The link's token is taken even if the address changed meanwhile: a link works once. */
  async verifyEmail(token: string): Promise<void> {
    const taken = await this.links.take('verify_email', token);
    if (!taken || !(await this.users.setEmailVerified(taken.userId, taken.email))) throw new Problem('token_invalid');
  }

  private async sendVerification(user: UserRow): Promise<void> {
    await this.mails.send({
      userId: user._id,
      template: 'email_verify',
      params: {},
      secret: await this.links.issue('verify_email', { userId: user._id, email: user.email }),
    });
  }
}
