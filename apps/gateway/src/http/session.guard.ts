import { type CanActivate, createParamDecorator, type ExecutionContext, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { UserRepository, type UserRow } from '#accounts';
import { ACR, type Role } from '#contracts';
import { type ActiveSession, SessionService } from '../sessions/session.service.js';
import { Problem } from './problem.js';

const PUBLIC = 'countersign:public';
const REQUIRES = 'countersign:requires';
const PRINCIPAL = Symbol('principal');

export interface Requirement {
  /** The account is read and the session's epoch compared, so that an ended session that Redis revived is refused. */
  account?: true;
  /** Implies `account`. */
  role?: Role;
  /** At least `pwd+otp`; else 403 `step_up_required`. */
  raised?: true;
}

export type Principal = ActiveSession & { user?: UserRow };

/** A route without a session. Everything else needs one. */
export const Public = (): MethodDecorator & ClassDecorator => SetMetadata(PUBLIC, true);
export const Requires = (requirement: Requirement): MethodDecorator => SetMetadata(REQUIRES, requirement);

@Injectable()
export class SessionGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly sessions: SessionService,
    private readonly users: UserRepository,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, targets)) return true;
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const session = await this.sessions.find(bearer(request));
    if (!session) throw new Problem('unauthenticated');

    const required = this.reflector.getAllAndOverride<Requirement | undefined>(REQUIRES, targets) ?? {};
    const principal: Principal = session;
    if (required.account || required.role) principal.user = await this.account(session);
    if (required.role && !principal.user?.roles.includes(required.role)) throw new Problem('forbidden');
    if (required.raised && session.record.acr === ACR.pwd) throw stepUpRequired();
    (request as { [PRINCIPAL]?: Principal })[PRINCIPAL] = principal;
    return true;
  }

  private async account(session: ActiveSession): Promise<UserRow> {
    const user = await this.users.findById(session.record.userId);
    if (!user || user.sessionEpoch !== session.record.epoch) {
      await this.sessions.end(session);
      throw new Problem('unauthenticated');
    }
    return user;
  }
}

/** Which levels would do: RFC 9470 names the parameter `acr_values`. */
export const stepUpRequired = (): Problem =>
  new Problem('step_up_required', { extras: { acrValues: [ACR.face, ACR.otp] } });

export const principalOf = (request: FastifyRequest): Principal | undefined =>
  (request as { [PRINCIPAL]?: Principal })[PRINCIPAL];

/** The session of the request; only on routes that need one. */
export const CurrentSession = createParamDecorator((_: unknown, context: ExecutionContext): Principal => {
  const principal = principalOf(context.switchToHttp().getRequest<FastifyRequest>());
  if (!principal) throw new Problem('unauthenticated');
  return principal;
});

/** The account of the request; only on routes with `@Requires({ account: true })` or a role. */
export const CurrentUser = createParamDecorator((_: unknown, context: ExecutionContext): UserRow => {
  const user = principalOf(context.switchToHttp().getRequest<FastifyRequest>())?.user;
  if (!user) throw new Error('this route did not ask for the account');
  return user;
});

function bearer(request: FastifyRequest): string | null {
  const match = /^Bearer ([A-Za-z0-9_-]{43})$/i.exec(request.headers.authorization ?? '');
  return match?.[1] ?? null;
}
