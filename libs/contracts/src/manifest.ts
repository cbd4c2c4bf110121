import { z } from 'zod';

export const MODEL_ROLES = ['detector', 'mesh', 'recogniser', 'antispoof', 'expression', 'eye'] as const;
export type ModelRole = (typeof MODEL_ROLES)[number];

const modelEntrySchema = z.object({
  file: z.string().regex(/^[a-z0-9][a-z0-9._-]*\.onnx$/, 'a plain file name beside the manifest'),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.int().positive(),
});

/**
 * What the processes read of `models/manifest.json`. `digest` is the SHA-256 over the lines `role:sha256\n` sorted by
 * role: templates and thresholds belong to it.
 */
export const manifestSchema = z.object({
  manifestVersion: z.literal(1),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  models: z.record(z.enum(MODEL_ROLES), modelEntrySchema),
  thresholds: z.object({
    match: z.object({ id: z.string().min(1), metric: z.literal('cosine'), value: z.number().min(-1).max(1) }),
  }),
});
export type ModelManifest = z.infer<typeof manifestSchema>;
