import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** By this beginning a secret that leaked into a repository or a log is found. */
const PREFIX = 'countersign_';
const SECRET = /^countersign_[A-Za-z0-9_-]{43}$/;

export const newSecret = (): string => PREFIX + randomBytes(32).toString('base64url');

/** SHA-256, hex. With 256 random bits there is nothing to guess, so that a slow hash would only cost time. */
export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** Compares with every hash, whichever fits. */
export function matchesAny(secret: string, hashes: readonly string[]): boolean {
  if (!SECRET.test(secret)) return false;
  const given = Buffer.from(hashOf(secret));
  let matches = false;
  for (const hash of hashes) {
    const known = Buffer.from(hash);
    if (known.length === given.length && timingSafeEqual(known, given)) matches = true;
  }
  return matches;
}
