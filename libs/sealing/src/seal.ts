import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const NO_HEADER = new Uint8Array(0);

/** A sealed value that does not open: wrong key, wrong AAD, or altered bytes. Says nothing about which. */
export class SealError extends Error {
  constructor() {
    super('sealed value does not open');
    this.name = 'SealError';
  }
}

/**
 * AES-256-GCM (NIST SP 800-38D): nonce (12 bytes, random) ‖ ciphertext ‖ tag (16 bytes).
 *
 * @param key 32 bytes; throws RangeError otherwise.
 * @param aad names what the value is and where it belongs, so that it cannot be moved to another row.
 * @param header stands before it as it is.
 */
export function seal(key: Uint8Array, aad: string, plaintext: Uint8Array, header: Uint8Array = NO_HEADER): Buffer {
  assertKey(key);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(aad, 'utf8'));
  return Buffer.concat([header, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/**
 * The reverse of `seal`, in memory that nothing else holds: who wipes it leaves no copy. Throws SealError when anything
 * differs, a shortened tag included.
 */
export function open(key: Uint8Array, aad: string, sealed: Uint8Array): Buffer {
  assertKey(key);
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new SealError();
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(aad, 'utf8'));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES));
  try {
    // In this mode it only compares the tag.
    decipher.final();
    return plain;
  } catch {
    plain.fill(0);
    throw new SealError();
  }
}

/** `seal` of a UTF-8 text, base64url. */
export const sealText = (key: Uint8Array, aad: string, text: string): string =>
  seal(key, aad, Buffer.from(text, 'utf8')).toString('base64url');

/** The reverse of `sealText`. */
export const openText = (key: Uint8Array, aad: string, sealed: string): string =>
  open(key, aad, Buffer.from(sealed, 'base64url')).toString('utf8');

function assertKey(key: Uint8Array): void {
  if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
}
