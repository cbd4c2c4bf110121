import { randomBytes } from 'node:crypto';
import { dekAad, type SealedTemplate, templateAad } from '#contracts';
import { open, seal } from '#sealing';
import type { KekProvider } from '../keys/kek-provider.js';

export interface TemplatePlace {
  userId: string;
  templateId: string;
  modelDigest: string;
}

/** Seals a face under a key of its own, and that key under the newest KEK: destroying the row's key destroys the face. */
export async function sealTemplate(
  keks: KekProvider,
  place: TemplatePlace,
  face: Float32Array,
): Promise<SealedTemplate> {
  const { userId, templateId, modelDigest } = place;
  const dek = randomBytes(32);
  const plain = Buffer.from(Uint8Array.from(Buffer.from(face.buffer, face.byteOffset, face.byteLength)));
  try {
    const keyVersion = await keks.newest();
    const wrapped = await keks.wrap(keyVersion, dekAad({ userId, templateId, keyVersion }), dek);
    return {
      userId,
      templateId,
      modelDigest,
      keyVersion,
      ciphertext: seal(dek, templateAad(place), plain).toString('base64url'),
      wrappedDek: wrapped.toString('base64url'),
    };
  } finally {
    dek.fill(0);
    plain.fill(0);
  }
}

/**
 * The only place where a template is opened; the caller overwrites the face after use.
 *
 * @throws SealError when anything of the row is not as it was sealed; UnknownKekError.
 */
export async function openTemplate(keks: KekProvider, template: SealedTemplate): Promise<Float32Array> {
  const dek = await keks.unwrap(template.keyVersion, dekAad(template), Buffer.from(template.wrappedDek, 'base64url'));
  let plain: Buffer | null = null;
  try {
    plain = open(dek, templateAad(template), Buffer.from(template.ciphertext, 'base64url'));
    const face = new Float32Array(plain.length >> 2);
    Buffer.from(face.buffer).set(plain.subarray(0, face.byteLength));
    return face;
  } finally {
    dek.fill(0);
    plain?.fill(0);
  }
}

/**
 * The row's key wrapped by another version; the face is not touched and not opened.
 *
 * @throws SealError, UnknownKekError.
 */
export async function rewrapDek(
  keks: KekProvider,
  row: Pick<SealedTemplate, 'userId' | 'templateId' | 'keyVersion' | 'wrappedDek'>,
  target: string,
): Promise<string> {
  const dek = await keks.unwrap(row.keyVersion, dekAad(row), Buffer.from(row.wrappedDek, 'base64url'));
  try {
    const { userId, templateId } = row;
    const wrapped = await keks.wrap(target, dekAad({ userId, templateId, keyVersion: target }), dek);
    return wrapped.toString('base64url');
  } finally {
    dek.fill(0);
  }
}
