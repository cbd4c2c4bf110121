import { randomBytes } from 'node:crypto';
import { type KeySet, type NamedKey, SealError } from '#sealing';
import { type Evidence, openEvidence, sealEvidence, wipeEvidence } from './evidence.js';

const named = (id: string): NamedKey => ({ id, bytes: randomBytes(32) });
const [old, fresh] = [named('e1'), named('e2')];
const keys: KeySet = [old];
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
    const sealed = sealEvidence(keys, place, evidence());
    expect(openEvidence(keys, place, sealed)).toEqual(evidence());
    for (const other of [{ attemptId: 'b' }, { step: 2 }, { framesDigest: 'g' }, { modelDigest: 'n' }])
      expect(() => openEvidence(keys, { ...place, ...other }, sealed)).toThrow(SealError);
    expect(() => openEvidence([fresh], place, sealed)).toThrow(SealError);
    expect(sealed.includes('smile')).toBe(false);
  });

  it('opens under the new and the old key while they overlap, and is made under the new', () => {
    const before = sealEvidence([old], place, evidence());
    const after = sealEvidence([fresh, old], place, evidence());
    for (const sealed of [before, after]) expect(openEvidence([fresh, old], place, sealed)).toEqual(evidence());
    expect(() => openEvidence([fresh], place, before)).toThrow(SealError);
    expect(openEvidence([fresh], place, after)).toEqual(evidence());
  });

  it('is overwritten after use', () => {
    const e = evidence();
    wipeEvidence([e]);
    expect([...e.embeddings[0]!.embedding]).toEqual([0, 0]);
  });
});
