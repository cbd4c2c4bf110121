import { randomBytes } from 'node:crypto';
import { openWith, sealingPublicKey, sealTo } from './seal-to.js';
import { SealError } from './seal.js';

const pair = (id: string) => {
  const bytes = randomBytes(32);
  return { secret: { id, bytes }, open: { id, bytes: sealingPublicKey(bytes) } };
};
const frames = Buffer.from('frames of one step');

describe('sealing to a public key', () => {
  const worker = pair('w1');

  it('opens with the private key at its own place only', () => {
    const sealed = sealTo(worker.open, 'place:1', frames);
    expect(openWith([worker.secret], 'place:1', sealed)).toEqual(frames);
    expect(() => openWith([worker.secret], 'place:2', sealed)).toThrow(SealError);
    expect(sealed.includes(frames)).toBe(false);
  });

  it('does not open with another key, of another name or of the same one, nor with the public key', () => {
    const sealed = sealTo(worker.open, 'a', frames);
    expect(() => openWith([pair('w2').secret], 'a', sealed)).toThrow(SealError);
    expect(() => openWith([pair('w1').secret], 'a', sealed)).toThrow(SealError);
    expect(() => openWith([worker.open], 'a', sealed)).toThrow(SealError);
    expect(() => openWith([], 'a', sealed)).toThrow(SealError);
  });

  it('refuses every flipped byte, the header included, and every truncation', () => {
    const sealed = sealTo(worker.open, 'a', frames);
    for (let i = 0; i < sealed.length; i++) {
      const bad = Buffer.from(sealed);
      bad[i] = (bad[i] ?? 0) ^ 1;
      expect(() => openWith([worker.secret], 'a', bad)).toThrow(SealError);
      expect(() => openWith([worker.secret], 'a', sealed.subarray(0, i))).toThrow(SealError);
    }
  });

  it('while keys overlap, what was sealed to either opens; afterwards only the new', () => {
    const next = pair('w2');
    const [old, fresh] = [sealTo(worker.open, 'a', frames), sealTo(next.open, 'a', frames)];
    for (const sealed of [old, fresh]) expect(openWith([next.secret, worker.secret], 'a', sealed)).toEqual(frames);
    expect(openWith([next.secret], 'a', fresh)).toEqual(frames);
    expect(() => openWith([next.secret], 'a', old)).toThrow(SealError);
  });

  it('uses a key pair of its own each time', () => {
    const ephemeral = () => sealTo(worker.open, 'a', frames).toString('hex', 4, 36);
    expect(new Set(Array.from({ length: 50 }, ephemeral)).size).toBe(50);
  });
});
