import { z } from 'zod';

/** Levels (`acr`) that a session can have. */
export const ACR = {
  pwd: 'urn:countersign:pwd',
  recovery: 'urn:countersign:pwd+recovery',
  face: 'urn:countersign:pwd+face',
} as const;
export type Acr = (typeof ACR)[keyof typeof ACR];
export const acrSchema = z.enum([ACR.pwd, ACR.recovery, ACR.face]);

/**
 * Authentication method references of RFC 8176. A mailed code has none: `otp` means the codes of RFC 4226 and 6238, and
 * mail is no second factor (OWASP ASVS 5.0, 6.3.6).
 */
export const amrSchema = z.array(z.enum(['pwd', 'face', 'mfa']));
export type Amr = z.infer<typeof amrSchema>;

/** What a session has shown, and when: ms since 1970. `recovery`: a mailed code. `face`: a verified attempt, not held. */
export const methodsSchema = z.strictObject({
  pwd: z.int(),
  recovery: z.int().optional(),
  face: z.int().optional(),
});
export type Methods = z.infer<typeof methodsSchema>;

/** One level that a session has. `at`, in ms since 1970: when the method that gives it was shown, which ages are told by. */
export interface ReachedLevel {
  acr: Acr;
  at: number;
  amr: Amr;
}

/** How far apart the clocks of two machines may be. */
const CLOCK_SKEW_MS = 60_000;

/**
 * The levels of a session at a moment (ms since 1970), highest first; a password is always among them. Each is a demand on
 * the set of methods, and none implies another. What was shown later than now (and more than a minute, by which clocks may
 * differ) raises nothing, so that a clock that was put back keeps nothing fresh.
 */
export function reached({ pwd, recovery, face }: Methods, now: number): [ReachedLevel, ...ReachedLevel[]] {
  const password: ReachedLevel = { acr: ACR.pwd, at: pwd, amr: ['pwd'] };
  const raised: ReachedLevel[] = [
    ...(wasShown(face, now) ? [{ acr: ACR.face, at: face, amr: ['pwd', 'face', 'mfa'] } satisfies ReachedLevel] : []),
    ...(wasShown(recovery, now) ? [{ acr: ACR.recovery, at: recovery, amr: ['pwd'] } satisfies ReachedLevel] : []),
  ];
  const [highest, ...others] = raised;
  return highest ? [highest, ...others, password] : [password];
}

const wasShown = (at: number | undefined, now: number): at is number => at !== undefined && at <= now + CLOCK_SKEW_MS;

/**
 * What whoever enrolled a face had shown for being the account's owner. `invitation`: the session was opened by an
 * accepted invitation, or has verified the address. `pwd`: a password alone, or a face that came from no more.
 */
export const boundFromSchema = z.enum(['pwd', 'recovery', 'invitation', 'face']);
export type BoundFrom = z.infer<typeof boundFromSchema>;

/** How whoever decides about another person's account made sure of who that person is. Never free text: it is signed for ever. */
export const IDENTITY_PROOFS = [
  'in_person',
  'identity_document',
  'video_call',
  'known_telephone',
  'vouched_by_superior',
] as const;
export type IdentityProof = (typeof IDENTITY_PROOFS)[number];
export const identityProofSchema = z.enum(IDENTITY_PROOFS);

export const ROLES = ['user', 'security', 'auditor', 'privacy', 'admin'] as const;
export type Role = (typeof ROLES)[number];
export const roleSchema = z.enum(ROLES);
