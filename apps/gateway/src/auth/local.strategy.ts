import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { AuthGuard, PassportStrategy } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { Strategy } from 'passport-local';
import type { UserRow } from '#accounts';
import { recordThrottled } from '../audit-trail/refusals.js';
import { originOf } from '../http/origin.js';
import { Problem } from '../http/problem.js';
import { AuthService } from './auth.service.js';
import { KnownDevices } from './known-devices.js';
import { LoginThrottle, type Trier } from './login-throttle.js';

/** E-mail and password. The body has been parsed before: the input guard runs on every route, ahead of this one. */
@Injectable()
export class LocalStrategy extends PassportStrategy(Strategy) {
  constructor(
    private readonly auth: AuthService,
    private readonly throttle: LoginThrottle,
    private readonly devices: KnownDevices,
  ) {
    super({ usernameField: 'email', passwordField: 'password', session: false, passReqToCallback: true });
  }

  async validate(request: unknown, email: string, password: string): Promise<UserRow> {
    const origin = originOf(request as FastifyRequest);
    const id = await this.devices.find((request as FastifyRequest).headers.cookie, email);
    const trier: Trier = id === null ? { kind: 'stranger', email, address: origin.ipAddress } : { kind: 'known', id };
    await recordThrottled(this.throttle.take(trier), () => this.auth.noteThrottled(email, origin));
    const user = await this.auth.authenticate(email, password, origin);
    if (!user) throw new Problem('invalid_credentials');
    await this.throttle.giveBack(trier);
    return user;
  }
}

const PassportLocalGuard = AuthGuard('local');

@Injectable()
export class LoginGuard extends PassportLocalGuard implements CanActivate {
  override getAuthenticateOptions(): { session: false } {
    return { session: false };
  }
  override handleRequest<T>(error: unknown, user: T | false | undefined): T {
    if (error) throw error instanceof Error ? error : new Problem('internal', { cause: error });
    if (!user) throw new Problem('invalid_credentials');
    return user;
  }
}

/** Whom passport found. */
export const loggedIn = (context: ExecutionContext): UserRow =>
  (context.switchToHttp().getRequest<FastifyRequest>() as unknown as { user: UserRow }).user;
