import type { FastifyRequest } from 'fastify';
import type { UserRow } from '#accounts';
import type { GuardSummary } from '#guard';
import type { ActiveSession } from '../sessions/session.service.js';

const PRINCIPAL = Symbol('principal');

/** Who calls: the session and, where the policy asks for it, its account and the guard by which it was judged. */
export type Principal = ActiveSession & { user?: UserRow; face?: GuardSummary };

export const principalOf = (request: FastifyRequest): Principal | undefined =>
  (request as { [PRINCIPAL]?: Principal })[PRINCIPAL];

/** Set once, by the guard that judged the session. */
export function setPrincipal(request: FastifyRequest, principal: Principal): void {
  (request as { [PRINCIPAL]?: Principal })[PRINCIPAL] = principal;
}
