import { randomBytes } from 'node:crypto';
import { canonicalJson } from './canonical-json.js';
import { signingPublicKey, signValue, verifyValue } from './sign.js';

const pair = (id: string) => {
  const bytes = randomBytes(32);
  return { secret: { id, bytes }, open: { id, bytes: signingPublicKey(bytes) } };
};

describe('signed values', () => {
  const worker = pair('w1');
  const value = { attemptId: 'a', run: 0, inputs: [{ step: 1 }, { step: 2 }], templateId: undefined };
  const signed = signValue(worker.secret, 'result/v1', value);
  const check = (v: unknown, purpose = 'result/v1', s = signed) => verifyValue([worker.open], purpose, v, s);

  it('are genuine in any order of fields, and in no other way', () => {
    expect(check({ run: 0, inputs: [{ step: 1 }, { step: 2 }], attemptId: 'a' })).toBe('genuine');
    for (const other of [
      { ...value, run: 1 },
      { ...value, run: '0' },
      { ...value, extra: true },
      { ...value, inputs: [{ step: 2 }, { step: 1 }] },
      { attemptId: 'a', run: 0 },
      { ...value, templateId: null },
    ])
      expect(check(other)).toBe('bad_signature');
  });

  it('are genuine for their purpose only', () => {
    expect(check(value, 'similarity/v1')).toBe('bad_signature');
    expect(check(value, 'result/v2')).toBe('bad_signature');
  });

  it('name a key that must be known, and are of that key', () => {
    expect(verifyValue([pair('w2').open], 'result/v1', value, signed)).toBe('unknown_key');
    expect(verifyValue([pair('w1').open], 'result/v1', value, signed)).toBe('bad_signature');
    const next = pair('w2');
    expect(verifyValue([next.open, worker.open], 'result/v1', value, signed)).toBe('genuine');
    // The name is signed, too: it cannot be exchanged for another one of the same key.
    const renamed = { id: 'w9', bytes: worker.open.bytes };
    expect(verifyValue([renamed], 'result/v1', value, { ...signed, keyId: 'w9' })).toBe('bad_signature');
  });

  it('a signature has one spelling, and a cut one is none', () => {
    for (const signature of ['', signed.signature.slice(1), `${signed.signature}=`, `${signed.signature} `, 'AAAA'])
      expect(check(value, 'result/v1', { ...signed, signature })).toBe('bad_signature');
  });
});

describe('canonical JSON', () => {
  it('is as RFC 8785 writes it', () => {
    const value = { b: [1, 'ü', null], a: { z: true, y: -0.5 }, c: undefined, '\u20ac': 1e21 };
    expect(canonicalJson(value, 'left out')).toBe('{"a":{"y":-0.5,"z":true},"b":[1,"ü",null],"€":1e+21}');
  });

  it.each([undefined, Number.NaN, new Date(), () => 1, Symbol('x'), [undefined]])('has no word for %p', (value) => {
    expect(() => canonicalJson(value, 'left out')).toThrow(TypeError);
  });
});
