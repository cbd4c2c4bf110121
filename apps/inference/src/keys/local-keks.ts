import { createHmac } from 'node:crypto';
import { type KeySet, newestOf, open, seal } from '#sealing';
import { type KekProvider, UnknownKekError } from './kek-provider.js';

/** Names a key without telling anything about it. */
export const keyVersionOf = (kek: Uint8Array): string =>
  createHmac('sha256', kek).update('countersign/key-version').digest('hex').slice(0, 16);

/** Keys of this process's own environment or files (TEMPLATE_KEK): AES-256-GCM, the first one wraps. */
export class LocalKeks implements KekProvider {
  private readonly keks: ReadonlyMap<string, Buffer>;
  private readonly newestVersion: string;

  constructor(keys: KeySet) {
    this.keks = new Map(keys.map(({ bytes }) => [keyVersionOf(bytes), bytes]));
    this.newestVersion = keyVersionOf(newestOf(keys).bytes);
  }

  newest(): Promise<string> {
    return Promise.resolve(this.newestVersion);
  }

  has(version: string): Promise<boolean> {
    return Promise.resolve(this.keks.has(version));
  }

  async wrap(version: string, aad: string, dek: Uint8Array): Promise<Buffer> {
    return seal(this.kek(version), aad, dek);
  }

  async unwrap(version: string, aad: string, wrapped: Uint8Array): Promise<Buffer> {
    return open(this.kek(version), aad, wrapped);
  }

  private kek(version: string): Buffer {
    const kek = this.keks.get(version);
    if (!kek) throw new UnknownKekError();
    return kek;
  }
}
