import type { Introspection } from './api.js';

/** Levels that a session can have. None implies another: a demand names all that would do. */
export const ACR = {
  pwd: 'urn:countersign:pwd',
  recovery: 'urn:countersign:pwd+recovery',
  face: 'urn:countersign:pwd+face',
} as const;

/** The name that `ACR.recovery` had in 0.1. Understood in demands until 0.3, never answered. */
const NAME_OF_0_1 = 'urn:countersign:pwd+otp';

/** What an action asks of a session. */
export interface Demand {
  /** Any of them. */
  acrValues: readonly ((typeof ACR)[keyof typeof ACR] | typeof NAME_OF_0_1)[];
  /** How long ago, in seconds, what gives the level may have been shown: the password, the code or the face. */
  maxAge?: number;
}

/** How far this machine's clock may be behind the gateway's. */
const CLOCK_SKEW_MS = 60_000;

/**
 * Whether a session is worth what an action asks: one of the levels, and that one not older than `maxAge`. `now`: this
 * machine's clock, in ms since 1970. A time later than that by more than a minute is the age of nothing.
 */
export function meets(session: Introspection, demand: Demand, now = Date.now()): boolean {
  if (!session.active) return false;
  const { maxAge } = demand;
  const asked = namesOf(demand);
  const isFresh = (ageMs: number): boolean =>
    maxAge === undefined || (ageMs <= maxAge * 1_000 && ageMs >= -CLOCK_SKEW_MS);
  return session.levels.some(({ acr, at }) => asked.includes(acr) && isFresh(now - Date.parse(at)));
}

/** The value of `WWW-Authenticate` for a session that does not (RFC 9470, section 3); status 401. */
export function insufficientAuthentication(demand: Demand): string {
  const { maxAge } = demand;
  const parts = [
    'Bearer error="insufficient_user_authentication"',
    'error_description="A higher or more recent authentication is needed"',
    `acr_values="${namesOf(demand).join(' ')}"`,
  ];
  return [...parts, ...(maxAge === undefined ? [] : [`max_age="${maxAge}"`])].join(', ');
}

const namesOf = ({ acrValues }: Demand): string[] => [
  ...new Set(acrValues.map((acr) => (acr === NAME_OF_0_1 ? ACR.recovery : acr))),
];
