import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { canonicalJson } from './canonical-json.js';
import { keyOf, type NamedKey, onceForEach } from './key-set.js';

/** DER headers of 32 bytes of Ed25519 (RFC 8410): PKCS#8 and SubjectPublicKeyInfo. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

export interface Signature {
  /** Names the public key to verify with. */
  keyId: string;
  /** Ed25519 (RFC 8032) over purpose, key id and the value's canonical form, base64url. */
  signature: string;
}

export type Verification = 'genuine' | 'unknown_key' | 'bad_signature';

/**
 * Signs a value of JSON. Two values that mean the same have the same signature, whatever the order of their fields.
 *
 * @param purpose what the signature is for, with a version: a signature for one thing is none for another.
 */
export function signValue(key: NamedKey, purpose: string, value: unknown): Signature {
  const signature = sign(null, message(purpose, key.id, value), signingKey(key)).toString('base64url');
  return { keyId: key.id, signature };
}

export function verifyValue(
  publicKeys: readonly NamedKey[],
  purpose: string,
  value: unknown,
  { keyId, signature }: Signature,
): Verification {
  const known = keyOf(publicKeys, keyId);
  if (!known) return 'unknown_key';
  const bytes = Buffer.from(signature, 'base64url');
  // Only the one spelling of a signature is taken: a second one would be a second identity of the same result.
  if (bytes.toString('base64url') !== signature) return 'bad_signature';
  return verify(null, message(purpose, keyId, value), verifyingKey(known), bytes) ? 'genuine' : 'bad_signature';
}

/** The public key (32 bytes) of an Ed25519 seed. */
export function signingPublicKey(bytes: Uint8Array): Buffer {
  return createPublicKey(seedKey(bytes)).export({ format: 'der', type: 'spki' }).subarray(SPKI.length);
}

const seedKey = (bytes: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([PKCS8, bytes]), format: 'der', type: 'pkcs8' });
const signingKey = onceForEach(({ bytes }) => seedKey(bytes));
const verifyingKey = onceForEach(({ bytes }) =>
  createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: 'der', type: 'spki' }),
);

const message = (purpose: string, keyId: string, value: unknown): Buffer =>
  Buffer.from([purpose, keyId, canonicalJson(value, 'left out')].join('\n'), 'utf8');
