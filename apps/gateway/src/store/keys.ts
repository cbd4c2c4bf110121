import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';

const PURPOSES = [
  'session-record',
  'session-token',
  'session-unused',
  'client-token',
  'frame-digest',
  'recovery-code',
  'address',
  'idempotency',
  'known-device',
  'login-place',
] as const;
type KeyPurpose = (typeof PURPOSES)[number];

/**
 * Keyed digests, a key for each purpose, all derived from SESSION_KEY (HKDF, RFC 5869): one never opens another. While
 * two keys overlap the first makes, and what either made is known again.
 */
@Injectable()
export class Keys {
  private readonly keys: Record<KeyPurpose, readonly [Buffer, ...Buffer[]]>;

  constructor(@Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    const derive = (purpose: KeyPurpose) =>
      config.SESSION_KEY.map(({ bytes }) => Buffer.from(hkdfSync('sha256', bytes, '', `countersign/${purpose}`, 32)));
    this.keys = Object.fromEntries(
      PURPOSES.map((purpose) => [purpose, derive(purpose)]),
    ) as unknown as typeof this.keys;
  }

  /** HMAC-SHA-256 over the parts, each with its length, so that no two lists of parts read the same. */
  mac(purpose: KeyPurpose, ...parts: (string | Uint8Array)[]): Buffer {
    return macOf(this.keys[purpose][0], parts);
  }

  /** Whether this or an older key made that digest. */
  isMac(given: Uint8Array, purpose: KeyPurpose, ...parts: (string | Uint8Array)[]): boolean {
    return this.keys[purpose].some((key) => sameBytes(given, macOf(key, parts)));
  }
}

function macOf(key: Buffer, parts: (string | Uint8Array)[]): Buffer {
  const mac = createHmac('sha256', key);
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part, 'utf8') : part;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    mac.update(length).update(bytes);
  }
  return mac.digest();
}

export const sha256Hex = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
