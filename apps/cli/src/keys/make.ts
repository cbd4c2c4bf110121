import { randomBytes } from 'node:crypto';
import { sealingPublicKey, signingPublicKey } from '#sealing';

/** What can be made: a pair's public half is computed from its private one; a lone key has none. */
const KINDS = {
  frame: sealingPublicKey,
  similarity: sealingPublicKey,
  result: signingPublicKey,
  session: null,
  mail: null,
  evidence: null,
  template: null,
  event: null,
  'event-mac': null,
  checkpoint: null,
} as const satisfies Record<string, ((bytes: Uint8Array) => Buffer) | null>;
export type KeyKind = keyof typeof KINDS;

export const KEY_KINDS = Object.keys(KINDS) as KeyKind[];

/** A new key as its variable takes it, `name:key` with a newline. */
export interface MadeKey {
  /** The day on which it was made, and four digits by chance: 20261129-a1b2. */
  id: string;
  key: string;
  /** The public half of a pair; null for a key that is none. */
  publicKey: string | null;
}

export function makeKey(kind: KeyKind): MadeKey {
  const id = `${new Date().toISOString().slice(0, 10).replaceAll('-', '')}-${randomBytes(2).toString('hex')}`;
  const bytes = randomBytes(32);
  const line = (content: Uint8Array): string => `${id}:${Buffer.from(content).toString('base64url')}\n`;
  const publicOf = KINDS[kind];
  const made = { id, key: line(bytes), publicKey: publicOf === null ? null : line(publicOf(bytes)) };
  bytes.fill(0);
  return made;
}
