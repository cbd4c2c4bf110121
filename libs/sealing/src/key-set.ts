import { open, SealError } from './seal.js';

/** A key with the name that whatever it made carries, so that several can be in use while one replaces another. */
export interface NamedKey {
  id: string;
  /** 32 bytes: a symmetric key, an X25519 private or public key, an Ed25519 seed or public key. */
  bytes: Buffer;
}

/** The first key makes, every key opens or verifies. Never empty. */
export type KeySet = readonly [NamedKey, ...NamedKey[]];

export const KEY_ID = /^[A-Za-z0-9._-]{1,32}$/;

export const newestOf = ([newest]: KeySet): NamedKey => newest;

export const keyOf = (keys: readonly NamedKey[], id: string): NamedKey | undefined => keys.find((key) => key.id === id);

/** What is made of a key once and lives as long: to make a KeyObject takes longer than to use it. */
export function onceForEach<T extends object>(make: (key: NamedKey) => T): (key: NamedKey) => T {
  const made = new WeakMap<NamedKey, T>();
  return (key) => {
    const known = made.get(key);
    if (known) return known;
    const fresh = make(key);
    made.set(key, fresh);
    return fresh;
  };
}

/** Opens what any of them sealed with AES-256-GCM: there are two only while one replaces the other. @throws SealError */
export function openWithAny(keys: KeySet, aad: string, sealed: Uint8Array): Buffer {
  for (const { bytes } of keys) {
    try {
      return open(bytes, aad, sealed);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
    }
  }
  throw new SealError();
}
