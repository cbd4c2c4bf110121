import type { FastifyRequest } from 'fastify';
import type { UserRow } from '#accounts';
import type { GuardSummary } from '#guard';
import type { ActiveSession } from '../sessions/session.service.js';

const PRINCIPAL = Symbol('principal');
const ANSWERED = Symbol('answered');

/** Who calls: the session and, where the policy asks for it, its account and the guard by which it was judged. */
export type Principal = ActiveSession & { user?: UserRow; face?: GuardSummary };

/** Who calls once more for an answer that was lost: the session that it gave, instead of the one that it ended. */
export interface Answered {
  answered: ActiveSession;
}

export const principalOf = (request: FastifyRequest): Principal | undefined =>
  (request as { [PRINCIPAL]?: Principal })[PRINCIPAL];

/** Set once, by the guard that judged the session. */
export function setPrincipal(request: FastifyRequest, principal: Principal): void {
  (request as { [PRINCIPAL]?: Principal })[PRINCIPAL] = principal;
}

export const answeredOf = (request: FastifyRequest): Answered | undefined =>
  (request as { [ANSWERED]?: Answered })[ANSWERED];

/** Instead of a principal. */
export function setAnswered(request: FastifyRequest, answered: Answered): void {
  (request as { [ANSWERED]?: Answered })[ANSWERED] = answered;
}
