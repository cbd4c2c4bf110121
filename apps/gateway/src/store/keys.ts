import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';

const PURPOSES = ['session-record', 'session-token', 'frame-digest', 'recovery-code', 'address'] as const;
type KeyPurpose = (typeof PURPOSES)[number];

/** Keyed digests, a key for each purpose, all derived from SESSION_KEY (HKDF, RFC 5869): one never opens another. */
@Injectable()
export class Keys {
  private readonly keys: Record<KeyPurpose, Buffer>;

  constructor(@Inject(GATEWAY_CONFIG) config: GatewayConfig) {
    const derive = (purpose: KeyPurpose): [KeyPurpose, Buffer] => [
      purpose,
      Buffer.from(hkdfSync('sha256', config.SESSION_KEY, '', `countersign/${purpose}`, 32)),
    ];
    this.keys = Object.fromEntries(PURPOSES.map(derive)) as Record<KeyPurpose, Buffer>;
  }

  /** HMAC-SHA-256 over the parts, each with its length, so that no two lists of parts read the same. */
  mac(purpose: KeyPurpose, ...parts: (string | Uint8Array)[]): Buffer {
    const mac = createHmac('sha256', this.keys[purpose]);
    for (const part of parts) {
      const bytes = typeof part === 'string' ? Buffer.from(part, 'utf8') : part;
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      mac.update(length).update(bytes);
    }
    return mac.digest();
  }
}

export const sha256Hex = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
