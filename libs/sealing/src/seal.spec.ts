import { randomBytes } from 'node:crypto';
import { open, openText, seal, SealError, sealText } from './seal.js';

describe('sealing', () => {
  const key = randomBytes(32);

  it('opens what it sealed, only with the same key and the same AAD', () => {
    const sealed = sealText(key, 'row:1', 'Grüße');
    expect(openText(key, 'row:1', sealed)).toBe('Grüße');
    expect(() => openText(key, 'row:2', sealed)).toThrow(SealError);
    expect(() => openText(randomBytes(32), 'row:1', sealed)).toThrow(SealError);
  });

  it('opens into memory that holds nothing else, however little it is', () => {
    for (const length of [0, 1, 100, 1_000_000]) {
      const plain = open(key, 'a', seal(key, 'a', randomBytes(length)));
      expect(plain.buffer.byteLength).toBe(length);
    }
  });

  it('refuses any flipped byte and any truncation', () => {
    const sealed = seal(key, 'a', Buffer.from('template'));
    for (let i = 0; i < sealed.length; i++) {
      const bad = Buffer.from(sealed);
      bad[i] = (bad[i] ?? 0) ^ 1;
      expect(() => open(key, 'a', bad)).toThrow(SealError);
      expect(() => open(key, 'a', sealed.subarray(0, i))).toThrow(SealError);
    }
  });

  it('never uses a nonce twice and never takes a short key', () => {
    const nonces = new Set(Array.from({ length: 1000 }, () => seal(key, 'a', Buffer.alloc(1)).toString('hex', 0, 12)));
    expect(nonces.size).toBe(1000);
    expect(() => seal(key.subarray(1), 'a', Buffer.alloc(1))).toThrow(RangeError);
  });
});
