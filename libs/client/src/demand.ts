import type { Introspection } from './api.js';

/** Session levels in rising order. */
export const ACR = {
  pwd: 'urn:countersign:pwd',
  otp: 'urn:countersign:pwd+otp',
  face: 'urn:countersign:pwd+face',
} as const;

/** What an action asks of a session. */
export interface Demand {
  /** Any of them. */
  acrValues: readonly (typeof ACR)[keyof typeof ACR][];
  /** How long ago, in seconds, the face may have been shown; then only a level with a face will do. */
  maxAge?: number;
}

/** Whether a session is worth what an action asks. `now`: this machine's clock, in ms since 1970. */
export function meets(session: Introspection, demand: Demand, now = Date.now()): boolean {
  if (!session.active || !demand.acrValues.includes(session.acr)) return false;
  if (demand.maxAge === undefined) return true;
  if (session.faceAuthTime === null) return false;
  return now - Date.parse(session.faceAuthTime) <= demand.maxAge * 1_000;
}

/** The value of `WWW-Authenticate` for a session that does not (RFC 9470, section 3); status 401. */
export function insufficientAuthentication({ acrValues, maxAge }: Demand): string {
  const parts = [
    'Bearer error="insufficient_user_authentication"',
    'error_description="A higher or more recent authentication is needed"',
    `acr_values="${acrValues.join(' ')}"`,
  ];
  return [...parts, ...(maxAge === undefined ? [] : [`max_age="${maxAge}"`])].join(', ');
}
