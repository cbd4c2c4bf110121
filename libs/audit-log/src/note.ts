import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/**
 * Signed notes of C2SP (https://c2sp.org/signed-note) and the checkpoints that they carry
 * (https://c2sp.org/tlog-checkpoint), with Ed25519 (signature type 1).
 */

const ED25519 = 1;
const KEY_ID_BYTES = 4;
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export interface NoteVerifier {
  name: string;
  keyId: Buffer;
  publicKey: KeyObject;
}
export interface NoteSigner extends NoteVerifier {
  privateKey: KeyObject;
  /** The verifier key as tools take it: `name+hash+key`. */
  vkey: string;
}

/** What a checkpoint says: the log's name, how many entries it has, and the root of their tree. */
export interface Checkpoint {
  origin: string;
  size: number;
  root: Buffer;
}

/** @param seed 32 bytes, the private key of RFC 8032. */
export function noteSigner(name: string, seed: Uint8Array): NoteSigner {
  assertName(name);
  if (seed.length !== 32) throw new RangeError('an Ed25519 seed has 32 bytes');
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const publicKey = createPublicKey(privateKey);
  const typed = Buffer.concat([Buffer.of(ED25519), publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)]);
  const keyId = keyIdOf(name, typed);
  return { name, keyId, publicKey, privateKey, vkey: `${name}+${keyId.toString('hex')}+${typed.toString('base64')}` };
}

/** @throws Error if this is no verifier key of Ed25519. */
export function noteVerifier(vkey: string): NoteVerifier {
  const [, name, id, key] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(vkey.trim()) ?? [];
  const typed = Buffer.from(key ?? '', 'base64');
  if (!name || typed.length !== 33 || typed[0] !== ED25519 || keyIdOf(name, typed).toString('hex') !== id) {
    throw new Error('no verifier key of the form name+hash+key (Ed25519)');
  }
  const publicKey = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, typed.subarray(1)]),
    format: 'der',
    type: 'spki',
  });
  return { name, keyId: Buffer.from(id, 'hex'), publicKey };
}

export function signCheckpoint(signer: NoteSigner, checkpoint: Checkpoint): string {
  assertName(checkpoint.origin);
  const text = `${checkpoint.origin}\n${checkpoint.size}\n${checkpoint.root.toString('base64')}\n`;
  const signature = sign(null, Buffer.from(text), signer.privateKey);
  return `${text}\n— ${signer.name} ${Buffer.concat([signer.keyId, signature]).toString('base64')}\n`;
}

const SIGNATURE_LINE = /^— ([^+\s]+) ([A-Za-z0-9+/]+=*)$/;

/**
 * The checkpoint of a note that this key has signed, else null. Strict: of the ways to write one note only one is
 * taken. Signatures by other names (witnesses) are passed over.
 */
export function openCheckpoint(verifier: NoteVerifier, note: string): Checkpoint | null {
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) return null;
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split('\n');
  const signatures = lines.map((line) => SIGNATURE_LINE.exec(line));
  if (signatures.some((found) => !found || !isBase64(found[2]!))) return null;
  const ours = signatures.filter((found) => found?.[1] === verifier.name);
  const isSigned = ours.some((found) => {
    const bytes = Buffer.from(found![2]!, 'base64');
    if (bytes.length !== KEY_ID_BYTES + 64 || !bytes.subarray(0, KEY_ID_BYTES).equals(verifier.keyId)) return false;
    return verify(null, Buffer.from(text), verifier.publicKey, bytes.subarray(KEY_ID_BYTES));
  });
  return isSigned ? readBody(text) : null;
}

function readBody(text: string): Checkpoint | null {
  const [origin, size, root] = text.split('\n');
  if (!origin || !/^(0|[1-9]\d{0,15})$/.test(size ?? '') || !root || !isBase64(root)) return null;
  const bytes = Buffer.from(root, 'base64');
  return bytes.length === 32 ? { origin, size: Number(size), root: bytes } : null;
}

const isBase64 = (text: string): boolean => Buffer.from(text, 'base64').toString('base64') === text;

const keyIdOf = (name: string, typedKey: Uint8Array): Buffer =>
  createHash('sha256').update(`${name}\n`).update(typedKey).digest().subarray(0, KEY_ID_BYTES);

function assertName(name: string): void {
  if (!/^[^+\s]+$/u.test(name)) throw new Error('the name of a key or log holds no space and no plus');
}
