import { randomBytes } from 'node:crypto';
import { type SealedTemplate, sealedTemplateSchema } from '#contracts';
import { SealError } from '#sealing';
import { UnknownKekError } from '../keys/kek-provider.js';
import { keyVersionOf, LocalKeks } from '../keys/local-keks.js';
import { openTemplate, rewrapDek, sealTemplate } from './template.js';

const key = (id: string) => ({ id, bytes: randomBytes(32) });
const old = key('k1');
const next = key('k2');
const keks = new LocalKeks([old]);
const both = new LocalKeks([next, old]);
const place = {
  userId: '7e1c2a56-9a54-4f0e-8d5c-0c9a2b9a4e11',
  templateId: '0b6f1d7a-63c5-4c4f-9d6e-2b1d0f6c7a22',
  modelDigest: 'm',
};
const elsewhere = { ...place, templateId: '0b6f1d7a-63c5-4c4f-9d6e-2b1d0f6c7a23' };
const face = Float32Array.from({ length: 512 }, (_, i) => Math.sin(i));
const bytesOf = (text: string): Buffer => Buffer.from(text, 'base64url');

describe('templates', () => {
  let sealed: SealedTemplate;
  beforeAll(async () => {
    sealed = await sealTemplate(keks, place, face);
  });
  const refused = (row: Partial<SealedTemplate>, by = keks) =>
    expect(openTemplate(by, { ...sealed, ...row })).rejects.toThrow(SealError);

  it('come out bit for bit, and cross the border as the contract says', async () => {
    expect(await openTemplate(keks, sealedTemplateSchema.parse(JSON.parse(JSON.stringify(sealed))))).toEqual(face);
  });

  it.each(['userId', 'templateId', 'modelDigest'] as const)('do not open under another %s', (name) =>
    refused({ [name]: '0b6f1d7a-63c5-4c4f-9d6e-2b1d0f6c7a23' }),
  );

  it('do not open under another key version, known or not', async () => {
    await refused({ keyVersion: keyVersionOf(next.bytes) }, both);
    await expect(openTemplate(keks, { ...sealed, keyVersion: keyVersionOf(next.bytes) })).rejects.toThrow(
      UnknownKekError,
    );
    await expect(openTemplate(new LocalKeks([next]), sealed)).rejects.toThrow(UnknownKekError);
  });

  it('T39: do not open with the key or the face of another row, an older one of the same person included', async () => {
    const older = await sealTemplate(keks, elsewhere, face);
    expect(older.ciphertext).not.toBe(sealed.ciphertext);
    await refused({ wrappedDek: older.wrappedDek });
    await refused({ ciphertext: older.ciphertext });
    await refused({ ciphertext: older.ciphertext, wrappedDek: older.wrappedDek });
    await refused({ ...older, templateId: place.templateId });
  });

  it.each(['ciphertext', 'wrappedDek'] as const)(
    'do not open with a %s altered or with a tag cut short',
    async (name) => {
      const bytes = bytesOf(sealed[name]);
      for (let at = 0; at < bytes.length; at += 7) {
        const altered = Buffer.from(bytes);
        altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
        await refused({ [name]: altered.toString('base64url') });
      }
      for (const cut of [1, 4, 12, 15, 16, bytes.length]) {
        await refused({ [name]: bytes.subarray(0, bytes.length - cut).toString('base64url') });
      }
    },
  );

  it('never have a nonce or a key twice: each key seals one face, and wrapping it anew takes a new nonce', async () => {
    const rows = await Promise.all(Array.from({ length: 500 }, () => sealTemplate(keks, place, face)));
    const rewrapped = await Promise.all(rows.slice(0, 250).map((row) => rewrapDek(both, row, row.keyVersion)));
    const wraps = [...rows.map((row) => row.wrappedDek), ...rewrapped].map((text) => text.slice(0, 16));
    expect(new Set(wraps).size).toBe(750);
    expect(new Set(rows.map((row) => row.ciphertext.slice(0, 16))).size).toBe(500);
    expect(new Set(rows.map((row) => row.ciphertext)).size).toBe(500);
  });

  it('open as before once their key is wrapped by a newer version, without the old one, and the face untouched', async () => {
    const target = await both.newest();
    const moved = { ...sealed, keyVersion: target, wrappedDek: await rewrapDek(both, sealed, target) };
    expect(target).not.toBe(sealed.keyVersion);
    expect(await openTemplate(new LocalKeks([next]), moved)).toEqual(face);
    await refused({ ...moved, keyVersion: sealed.keyVersion }, both);
    await refused({ wrappedDek: moved.wrappedDek }, both);
  });

  it('are not wrapped anew for another row, by a key that is not there, or if they do not open', async () => {
    const target = await both.newest();
    await expect(rewrapDek(both, { ...sealed, templateId: elsewhere.templateId }, target)).rejects.toThrow(SealError);
    await expect(rewrapDek(keks, sealed, target)).rejects.toThrow(UnknownKekError);
    await expect(rewrapDek(new LocalKeks([next]), sealed, target)).rejects.toThrow(UnknownKekError);
  });

  it('name the key that wraps them without telling it', () => {
    expect(keyVersionOf(old.bytes)).toBe(sealed.keyVersion);
    expect(keyVersionOf(next.bytes)).not.toBe(sealed.keyVersion);
    expect(sealed.keyVersion).toMatch(/^[0-9a-f]{16}$/);
  });
});
