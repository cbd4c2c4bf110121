/** Injection token of the KekProvider. */
export const KEK_PROVIDER = Symbol('kek provider');

/**
 * Who wraps the keys of templates. Key-encryption keys may live in this process (`LocalKeks`) or in a KMS or HSM that
 * never gives them away (docs/keys.md says how to add one); nothing else in the service knows the difference.
 */
export interface KekProvider {
  /** Names the key that wraps now. At most 64 characters; stored beside what it wrapped, so it tells nothing of the key. */
  newest(): Promise<string>;
  /** Whether what this version wrapped can be unwrapped here. */
  has(version: string): Promise<boolean>;
  /**
   * @param aad what the result belongs to; unwrapping with another one fails (in a KMS: its encryption context).
   * @param dek 32 bytes; stays the caller's, who overwrites it.
   * @throws UnknownKekError
   */
  wrap(version: string, aad: string, dek: Uint8Array): Promise<Buffer>;
  /**
   * The 32 bytes that were wrapped; the caller overwrites them after use.
   *
   * @throws UnknownKekError; SealError when key, aad or bytes do not fit, and only then. A provider that cannot be
   * reached throws anything else, and the job is tried again.
   */
  unwrap(version: string, aad: string, wrapped: Uint8Array): Promise<Buffer>;
}

/** No key of this version here. */
export class UnknownKekError extends Error {
  override name = 'UnknownKekError';
}
