import { actionSchema, stepVerdictSchema } from '#contracts';
import { type KeySet, newestOf, openWithAny, seal } from '#sealing';
import { z } from 'zod';

const unitVector = z
  .string()
  .transform((text) => toFloats(Buffer.from(text, 'base64url')))
  .refine((v) => v.length > 0);

const evidenceSchema = z.strictObject({
  version: z.literal(1),
  action: actionSchema,
  verdict: stepVerdictSchema,
  embeddings: z.array(
    z.strictObject({
      tMs: z.number(),
      yaw: z.number(),
      pitch: z.number(),
      sharpness: z.number(),
      fitness: z.number(),
      embedding: unitVector,
    }),
  ),
  antispoof: z.array(z.strictObject({ tMs: z.number(), near: z.number(), far: z.number() })),
});
/** What one step leaves for the decision: the verdict, the chosen faces as unit vectors, the anti-spoof's answers. */
export type Evidence = z.infer<typeof evidenceSchema>;

/** Where evidence belongs: it opens nowhere else. */
export interface EvidencePlace {
  attemptId: string;
  step: number;
  framesDigest: string;
  modelDigest: string;
}

/** The one place where evidence leaves the worker's memory. */
export function sealEvidence(keys: KeySet, place: EvidencePlace, evidence: Evidence): Buffer {
  const plain = Buffer.from(
    JSON.stringify({
      ...evidence,
      embeddings: evidence.embeddings.map((e) => ({ ...e, embedding: fromFloats(e.embedding).toString('base64url') })),
    }),
  );
  try {
    return seal(newestOf(keys).bytes, aad(place), plain);
  } finally {
    plain.fill(0);
  }
}

/** Throws SealError when the bytes do not belong to this place, or were altered. */
export function openEvidence(keys: KeySet, place: EvidencePlace, sealed: Uint8Array): Evidence {
  const plain = openWithAny(keys, aad(place), sealed);
  try {
    return evidenceSchema.parse(JSON.parse(plain.toString('utf8')));
  } finally {
    plain.fill(0);
  }
}

/** Overwrites the faces of evidence that is no longer needed. */
export function wipeEvidence(evidence: readonly Evidence[]): void {
  for (const { embeddings } of evidence) for (const { embedding } of embeddings) embedding.fill(0);
}

const aad = (p: EvidencePlace): string => `evid:v1:${p.attemptId}:${p.step}:${p.framesDigest}:${p.modelDigest}`;

const fromFloats = (v: Float32Array): Buffer => Buffer.from(v.buffer, v.byteOffset, v.byteLength);

function toFloats(bytes: Buffer): Float32Array {
  const out: Float32Array = new Float32Array(bytes.length >> 2);
  Buffer.from(out.buffer).set(bytes.subarray(0, out.byteLength));
  return out;
}
