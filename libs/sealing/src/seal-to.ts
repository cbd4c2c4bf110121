import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { keyOf, type NamedKey, onceForEach } from './key-set.js';
import { open, seal, SealError } from './seal.js';

const VERSION = 1;
const PUBLIC_BYTES = 32;
const CONTEXT = 'countersign/seal-to/v1';
/** DER headers of 32 bytes of X25519 (RFC 8410): PKCS#8 and SubjectPublicKeyInfo. */
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');

/**
 * Seals to the holder of a private key (X25519, HKDF-SHA-256, AES-256-GCM), with a key pair of its own each time: who
 * seals cannot open. version ‖ length of the key's id ‖ id ‖ ephemeral public key (32 bytes) ‖ sealed bytes (`seal`).
 *
 * @param recipient the public key, named as its private half is.
 * @param aad names what the value is and where it belongs; the header is bound beside it.
 */
export function sealTo(recipient: NamedKey, aad: string, plaintext: Uint8Array): Buffer {
  const ephemeral = generateKeyPairSync('x25519');
  const ephemeralPublic = rawPublic(ephemeral.publicKey);
  const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: recipientKey(recipient) });
  const header = headerOf(recipient.id, ephemeralPublic);
  const key = derive(shared, ephemeralPublic, recipient.bytes);
  try {
    return seal(key, bound(header, aad), plaintext, header);
  } finally {
    key.fill(0);
    shared.fill(0);
  }
}

/** The reverse of `sealTo`. Throws SealError for an unknown key, another AAD and any altered or missing byte. */
export function openWith(privateKeys: readonly NamedKey[], aad: string, sealed: Uint8Array): Buffer {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  const idBytes = bytes[1] ?? 0;
  const headerBytes = 2 + idBytes + PUBLIC_BYTES;
  if (bytes[0] !== VERSION || bytes.length < headerBytes) throw new SealError();
  const mine = keyOf(privateKeys, bytes.toString('latin1', 2, 2 + idBytes));
  if (!mine) throw new SealError();
  const header = bytes.subarray(0, headerBytes);
  const ephemeralPublic = header.subarray(2 + idBytes);
  const own = ownPair(mine);
  const shared = agree(own.privateKey, ephemeralPublic);
  const key = derive(shared, ephemeralPublic, own.publicBytes);
  try {
    return open(key, bound(header, aad), bytes.subarray(headerBytes));
  } finally {
    key.fill(0);
    shared.fill(0);
  }
}

/** The public key (32 bytes) of an X25519 private one. */
export const sealingPublicKey = (bytes: Uint8Array): Buffer => rawPublic(createPublicKey(privateKey(bytes)));

function agree(mine: KeyObject, theirs: Uint8Array): Buffer {
  try {
    return diffieHellman({ privateKey: mine, publicKey: publicKey(theirs) });
  } catch {
    // A point of low order: nobody who seals has one.
    throw new SealError();
  }
}

const derive = (shared: Uint8Array, ephemeral: Uint8Array, recipient: Uint8Array): Buffer =>
  Buffer.from(hkdfSync('sha256', shared, Buffer.concat([ephemeral, recipient]), CONTEXT, 32));

const headerOf = (id: string, ephemeral: Buffer): Buffer =>
  Buffer.concat([Buffer.from([VERSION, id.length]), Buffer.from(id, 'latin1'), ephemeral]);

const bound = (header: Buffer, aad: string): string => `${header.toString('hex')}:${aad}`;

const privateKey = (bytes: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([PKCS8, bytes]), format: 'der', type: 'pkcs8' });
const publicKey = (bytes: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: 'der', type: 'spki' });
const recipientKey = onceForEach(({ bytes }) => publicKey(bytes));
const ownPair = onceForEach(({ bytes }) => ({ privateKey: privateKey(bytes), publicBytes: sealingPublicKey(bytes) }));
const rawPublic = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' }).subarray(SPKI.length);
