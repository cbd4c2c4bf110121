import { randomBytes } from 'node:crypto';
import { SealError } from '#sealing';
import { type Evidence, evidenceKey, openEvidence, sealEvidence, wipeEvidence } from './evidence.js';

const kek = randomBytes(32);
const key = evidenceKey(kek);
const place = { attemptId: 'a', step: 1, framesDigest: 'f', modelDigest: 'm' };
const evidence = (): Evidence => ({
  version: 1,
  action: 'smile',
  verdict: { kind: 'quality', code: 'too_dark' },
  embeddings: [{ tMs: 1, yaw: 2, pitch: 3, sharpness: 4, fitness: 5, embedding: Float32Array.of(0.6, -0.8) }],
  antispoof: [{ tMs: 40, near: 0.9, far: 0.8 }],
});

describe('evidence', () => {
  it('comes out as it went in, at its own place only', () => {
    const sealed = sealEvidence(key, place, evidence());
    expect(openEvidence(key, place, sealed)).toEqual(evidence());
    for (const other of [{ attemptId: 'b' }, { step: 2 }, { framesDigest: 'g' }, { modelDigest: 'n' }])
      expect(() => openEvidence(key, { ...place, ...other }, sealed)).toThrow(SealError);
    expect(() => openEvidence(kek, place, sealed)).toThrow(SealError);
    expect(sealed.includes('smile')).toBe(false);
  });

  it('is under another key than templates', () => {
    expect(key.length).toBe(32);
    expect(key.equals(kek)).toBe(false);
    expect(evidenceKey(kek).equals(key)).toBe(true);
  });

  it('is overwritten after use', () => {
    const e = evidence();
    wipeEvidence([e]);
    expect([...e.embeddings[0]!.embedding]).toEqual([0, 0]);
  });
});
