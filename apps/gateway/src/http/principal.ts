import type { FastifyRequest } from 'fastify';
import type { UserRow } from '#accounts';
import type { GuardSummary } from '#guard';
import type { ActiveSession } from '../sessions/session.service.js';

const PRINCIPAL = Symbol('principal');
const REPLACED = Symbol('replaced token');

/** Who calls: the session and, where the policy asks for it, its account and the guard by which it was judged. */
export type Principal = ActiveSession & { user?: UserRow; face?: GuardSummary };

/** Who may call once more, for the answer that he lost: the dead token, and the refusal if it was not for this request. */
export interface Replaced {
  replaced: string;
  refuse: () => Error;
}

export const principalOf = (request: FastifyRequest): Principal | undefined =>
  (request as { [PRINCIPAL]?: Principal })[PRINCIPAL];

/** Set once, by the guard that judged the session. */
export function setPrincipal(request: FastifyRequest, principal: Principal): void {
  (request as { [PRINCIPAL]?: Principal })[PRINCIPAL] = principal;
}

export const replacedOf = (request: FastifyRequest): Replaced | undefined =>
  (request as { [REPLACED]?: Replaced })[REPLACED];

/** Instead of a principal, on routes whose policy says that they rotate. */
export function setReplaced(request: FastifyRequest, replaced: Replaced): void {
  (request as { [REPLACED]?: Replaced })[REPLACED] = replaced;
}
