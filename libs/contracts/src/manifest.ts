import { z } from 'zod';

/** Models of which there is one each. Recognisers are listed apart: a set may hold several. */
export const MODEL_ROLES = ['detector', 'mesh', 'antispoof', 'expression', 'eye'] as const;
export type ModelRole = (typeof MODEL_ROLES)[number];

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const inputSchema = z.object({
  name: z.literal('input'),
  shape: z.tuple([z.literal(1), z.int().positive(), z.int().positive(), z.int().positive()]),
  layout: z.literal('NCHW'),
  colour: z.enum(['RGB', 'BGR', 'GREY']),
  /** The network is fed `(pixel − mean) × scale`, pixels 0..255, one mean a channel in the order of `colour`. */
  mean: z.array(z.number()).min(1).max(3),
  scale: z.number().positive(),
});

const modelEntrySchema = z.object({
  file: z.string().regex(/^[a-z0-9][a-z0-9._-]*\.onnx$/, 'a plain file name beside the manifest'),
  sha256,
  bytes: z.int().positive(),
  input: inputSchema,
});
export type ModelEntry = z.infer<typeof modelEntrySchema>;

/** How a face is brought into a recogniser's input: onto ArcFace's five points, or as dlib cuts its chips. */
export const ALIGNMENTS = ['arcface', 'dlib'] as const;
export type Alignment = (typeof ALIGNMENTS)[number];

const recogniserEntrySchema = modelEntrySchema.extend({
  alignment: z.enum(ALIGNMENTS),
  /** Its share of the similarity, relative to the other recognisers' weights. */
  weight: z.number().positive(),
  outputs: z.tuple([z.object({ name: z.literal('embedding'), shape: z.tuple([z.literal(1), z.int().positive()]) })]),
});
export type RecogniserEntry = z.infer<typeof recogniserEntrySchema>;

const cosine = z.number().min(-1).max(1);

/** What the processes read of `models/manifest.json`. Templates belong to `digest`, and so does each threshold. */
export const manifestSchema = z.object({
  manifestVersion: z.literal(2),
  digest: sha256,
  models: z.record(z.enum(MODEL_ROLES), modelEntrySchema),
  recognisers: z.array(recogniserEntrySchema).min(1).max(4),
  thresholds: z.object({
    /** The digest of the set these were measured with. */
    models: sha256,
    match: z.object({
      id: z.string().min(1).max(100),
      metric: z.literal('cosine'),
      value: cosine,
      protocol: z.string().min(1),
    }),
    /** Below these, two steps (their mean faces) or two frames of one step do not show the same person. */
    onePerson: z.object({ steps: cosine, frames: cosine }),
  }),
});
export type ModelManifest = z.infer<typeof manifestSchema>;

/**
 * The text whose SHA-256 is the digest: a sorted line a model, with all that decides what it answers, so that a template
 * made with another alignment or another weight is a template of other models.
 */
export function digestText({ models, recognisers }: Pick<ModelManifest, 'models' | 'recognisers'>): string {
  const line = (role: string, { sha256, input }: ModelEntry, ...more: readonly (string | number)[]): string =>
    [role, sha256, input.shape.join('x'), input.colour, input.mean.join(','), input.scale, ...more].join(':') + '\n';
  return [
    ...MODEL_ROLES.map((role) => line(role, models[role])),
    ...recognisers.map((r) => line('recogniser', r, r.alignment, r.weight)),
  ]
    .sort()
    .join('');
}
