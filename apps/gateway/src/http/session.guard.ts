import { type CanActivate, createParamDecorator, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { isSessionOf, UserRepository, type UserRow } from '#accounts';
import { ACR, type Acr } from '#contracts';
import type { GuardStore, GuardSummary } from '#guard';
import { Refusals } from '../audit-trail/refusals.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { GUARD } from '../face/guard.module.js';
import { isClientToken } from '../sessions/client-tokens.js';
import { LostAnswers } from '../sessions/lost-answers.js';
import { levelsOf } from '../sessions/session-record.js';
import { type ActiveSession, isSessionToken, SessionService } from '../sessions/session.service.js';
import { type Access, accessOf, RECENT_SECONDS } from './policy.js';
import { originOf } from './origin.js';
import { type Answered, answeredOf, type Principal, principalOf, setAnswered, setPrincipal } from './principal.js';
import { Problem } from './problem.js';
import { reasonOf } from './rotates.js';

/** Enforces the policy file on every route, before anything of the request is looked at. */
@Injectable()
export class SessionGuard implements CanActivate {
  constructor(
    private readonly sessions: SessionService,
    private readonly users: UserRepository,
    @Inject(GUARD) private readonly guard: GuardStore,
    private readonly refusals: Refusals,
    private readonly lost: LostAnswers,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const access = accessOf(request.method, request.routeOptions.url);
    if (!access) throw new Error('a route without a line in the policy');
    if (access.who === 'session') await this.admitSession(request, access, context.getHandler());
    return true;
  }

  private async admitSession(
    request: FastifyRequest,
    access: Extract<Access, { who: 'session' }>,
    handler: object,
  ): Promise<void> {
    const token = tokenOf(request);
    const session = await this.sessions.find(token);
    if (!session) {
      if (token === null && isClientToken(bearerOf(request))) throw this.refused(request, null, 'client_token');
      if (token === null) throw new Problem('unauthenticated');
      const by = request.method === 'HEAD' ? null : reasonOf(handler)?.(request);
      const answered = by ? await this.lost.find(token, by) : null;
      if (!answered) throw this.refused(request, null);
      return setAnswered(request, { answered });
    }
    const principal: Principal = session;
    if (access.account) principal.user = await this.account(session, request);
    if (access.roles.length > 0 && !access.roles.some((role) => principal.user?.roles.includes(role))) {
      throw new Problem('forbidden');
    }
    if (access.others && isAbout(request, session.record.userId)) throw new Problem('forbidden');
    if (access.level === 'manage') principal.face = await this.guardOf(session);
    const isPasswordEnough = access.level === 'pwd' || (access.level === 'reads' && this.config.STAFF_READS === 'pwd');
    const enough = isPasswordEnough || isRaised(session) || principal.face?.everHadFactor === false;
    if (!enough) throw stepUpRequired();
    if (access.recent && !isRecent(session)) throw renewalRequired();
    setPrincipal(request, principal);
  }

  private async account(session: ActiveSession, request: FastifyRequest): Promise<UserRow> {
    const user = await this.users.findById(session.record.userId);
    if (user && isSessionOf(user, session.record)) return user;
    await this.sessions.end(session);
    throw this.refused(request, user ? session : null);
  }

  /** A token of no session, or of one that its account does not stand by any more. */
  private refused(
    request: FastifyRequest,
    session: ActiveSession | null,
    credential: 'session' | 'client_token' = 'session',
  ): Problem {
    const { userId = null, sessionId } = session?.record ?? {};
    const origin = { ...originOf(request), ...(sessionId === undefined ? {} : { sessionId }) };
    this.refusals.record(credential, 'wrong_credential', { userId, origin });
    return new Problem('unauthenticated');
  }

  private async guardOf(session: ActiveSession): Promise<GuardSummary> {
    return activeGuard(await this.guard.summary(session.record.userId));
  }
}

/** As ids are compared everywhere: their letters may be written in either case. */
const isAbout = (request: FastifyRequest, userId: string): boolean =>
  String((request.params as { id?: unknown }).id).toLowerCase() === userId;

/** A session without a guard belongs to an account that is gone. */
export function activeGuard(summary: GuardSummary | null): GuardSummary {
  if (!summary || summary.state === 'erasing') throw new Problem('unauthenticated');
  if (summary.state === 'disabled') throw new Problem('account_inactive');
  return summary;
}

/** What the policy calls raised, and so which levels would do where one is refused. */
const RAISED: readonly Acr[] = [ACR.face, ACR.recovery];
const isRaised = ({ record }: ActiveSession): boolean => levelsOf(record).some(({ acr }) => RAISED.includes(acr));

/** What one can show again at any time: which of it is recent enough for what cannot be undone. */
const RENEWABLE: readonly Acr[] = [ACR.pwd, ACR.face];
const isRecent = ({ record }: ActiveSession): boolean =>
  levelsOf(record).some(({ acr, at }) => RENEWABLE.includes(acr) && at >= Date.now() - RECENT_SECONDS * 1_000);

/** RFC 9470: `max_age` says that the level is there and that it was shown too long ago. */
const renewalRequired = (): Problem =>
  new Problem('step_up_required', { extras: { acrValues: RENEWABLE, maxAge: RECENT_SECONDS } });

/** RFC 9470 names the parameter `acr_values`. */
const stepUpRequired = (): Problem => new Problem('step_up_required', { extras: { acrValues: RAISED } });

/** The session of the request; only on routes that need one. */
export const CurrentSession = createParamDecorator((_: unknown, context: ExecutionContext): Principal => {
  const principal = principalOf(context.switchToHttp().getRequest<FastifyRequest>());
  if (!principal) throw new Problem('unauthenticated');
  return principal;
});

/** The session of the request or, on a route that `Rotates`, the one that its lost answer gave. */
export const CurrentOrAnswered = createParamDecorator((_: unknown, context: ExecutionContext): Principal | Answered => {
  const request = context.switchToHttp().getRequest<FastifyRequest>();
  const presented = principalOf(request) ?? answeredOf(request);
  if (!presented) throw new Problem('unauthenticated');
  return presented;
});

/** The account of the request; only on routes whose policy reads it. */
export const CurrentUser = createParamDecorator((_: unknown, context: ExecutionContext): UserRow => {
  const user = principalOf(context.switchToHttp().getRequest<FastifyRequest>())?.user;
  if (!user) throw new Error('this route did not ask for the account');
  return user;
});

/** The session token of the request, on routes that need none. */
export const CarriedToken = createParamDecorator((_: unknown, context: ExecutionContext): string | null =>
  tokenOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** The session token that a request carries. */
export function tokenOf(request: FastifyRequest): string | null {
  const token = bearerOf(request);
  return isSessionToken(token) ? token : null;
}

const bearerOf = (request: FastifyRequest): string =>
  /^Bearer (\S{1,100})$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
