import { randomBytes } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';
import { z } from 'zod';
import { COMMON_PASSWORDS } from './common-passwords.js';

/** OWASP's second choice for argon2id (19 MiB, two passes, one lane): about 10 ms a check. */
const ARGON2ID = { algorithm: 2, memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 } as const;

/**
 * NIST SP 800-63B: length is what counts, every character may be used, no composition rules; Unicode is normalised
 * before hashing. The upper bound keeps a body from buying hashing time.
 */
export const passwordSchema = z
  .string()
  .max(1_024)
  .transform((text) => text.normalize('NFKC'))
  .refine((text) => Array.from(text).length >= 12 && Array.from(text).length <= 256);

/** At login any text is tried: rules of today must not lock out a password of yesterday. */
export const passwordAttemptSchema = z
  .string()
  .min(1)
  .max(1_024)
  .transform((text) => text.normalize('NFKC'));

export const hashPassword = (password: string): Promise<string> => hash(password, ARGON2ID);

const DISTINCT_MIN = 5;

/** NIST SP 800-63B: not a password that everybody tries, not the same few characters over and over, not the address. */
export function isCommonPassword(password: string, email: string): boolean {
  const text = password.toLowerCase();
  if (COMMON_PASSWORDS.has(text) || new Set(text).size < DISTINCT_MIN) return true;
  const [name = ''] = email.split('@');
  return text === email || text.replaceAll(name, '').length < DISTINCT_MIN;
}

/** Nobody's password: an unknown user costs the same work as a wrong password. */
const nobodysHash = hashPassword(randomBytes(16).toString('base64url'));

export async function verifyPassword(passwordHash: string | null | undefined, password: string): Promise<boolean> {
  const matches = await verify(passwordHash ?? (await nobodysHash), password, ARGON2ID);
  return matches && typeof passwordHash === 'string';
}
