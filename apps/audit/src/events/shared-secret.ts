import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares in a time that depends on neither text; hashing makes both the same length first. */
export function isSameSecret(given: unknown, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();
  return timingSafeEqual(digest(typeof given === 'string' ? given : ''), digest(expected)) && typeof given === 'string';
}
