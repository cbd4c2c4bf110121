import { randomBytes } from 'node:crypto';
import { sealedTemplateSchema } from '#contracts';
import { SealError } from '#sealing';
import { keyVersionOf, openTemplate, sealTemplate } from './template.js';

const kek = randomBytes(32);
const place = {
  userId: '7e1c2a56-9a54-4f0e-8d5c-0c9a2b9a4e11',
  templateId: '0b6f1d7a-63c5-4c4f-9d6e-2b1d0f6c7a22',
  modelDigest: 'm',
};
const face = Float32Array.from({ length: 512 }, (_, i) => Math.sin(i));

describe('templates', () => {
  const sealed = sealTemplate(kek, place, face);

  it('come out bit for bit, and cross the border as the contract says', () => {
    expect(openTemplate(kek, sealedTemplateSchema.parse(JSON.parse(JSON.stringify(sealed))))).toEqual(face);
  });

  it.each(['userId', 'templateId', 'modelDigest', 'keyVersion'] as const)('do not open under another %s', (name) => {
    expect(() => openTemplate(kek, { ...sealed, [name]: '0b6f1d7a-63c5-4c4f-9d6e-2b1d0f6c7a23' })).toThrow(SealError);
  });

  it('do not open under another key, with the key of another row, or altered', () => {
    const other = sealTemplate(kek, place, face);
    expect(other.ciphertext).not.toBe(sealed.ciphertext);
    expect(() => openTemplate(randomBytes(32), sealed)).toThrow(SealError);
    expect(() => openTemplate(kek, { ...sealed, wrappedDek: other.wrappedDek })).toThrow(SealError);
    expect(() => openTemplate(kek, { ...sealed, ciphertext: `${sealed.ciphertext.slice(0, -4)}AAAA` })).toThrow(
      SealError,
    );
  });

  it('name the key that wraps them without telling it', () => {
    expect(keyVersionOf(kek)).toBe(sealed.keyVersion);
    expect(keyVersionOf(randomBytes(32))).not.toBe(sealed.keyVersion);
    expect(sealed.keyVersion).toMatch(/^[0-9a-f]{16}$/);
  });
});
