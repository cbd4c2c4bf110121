import { createHmac, randomBytes } from 'node:crypto';
import { dekAad, type SealedTemplate, templateAad } from '#contracts';
import { open, seal } from '#sealing';

/** Names the key that wraps, without telling anything about it: a template of another key is seen before opening. */
export const keyVersionOf = (kek: Uint8Array): string =>
  createHmac('sha256', kek).update('countersign/key-version').digest('hex').slice(0, 16);

export interface TemplatePlace {
  userId: string;
  templateId: string;
  modelDigest: string;
}

/** Seals a face under a key of its own, and that key under the KEK: destroying the row's key destroys the face. */
export function sealTemplate(kek: Uint8Array, place: TemplatePlace, face: Float32Array): SealedTemplate {
  const { userId, templateId, modelDigest } = place;
  const keyVersion = keyVersionOf(kek);
  const dek = randomBytes(32);
  const plain = Buffer.from(Uint8Array.from(Buffer.from(face.buffer, face.byteOffset, face.byteLength)));
  try {
    return {
      userId,
      templateId,
      modelDigest,
      keyVersion,
      ciphertext: seal(dek, templateAad(place), plain).toString('base64url'),
      wrappedDek: seal(kek, dekAad({ userId, templateId, keyVersion }), dek).toString('base64url'),
    };
  } finally {
    dek.fill(0);
    plain.fill(0);
  }
}

/** The only place where a template is opened. Throws SealError; the caller overwrites the face after use. */
export function openTemplate(kek: Uint8Array, template: SealedTemplate): Float32Array {
  const dek = open(kek, dekAad(template), Buffer.from(template.wrappedDek, 'base64url'));
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
