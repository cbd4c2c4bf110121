import { z } from 'zod';
import { actionSchema, CHALLENGE_STEPS_MAX, purposeSchema, stepVerdictSchema } from './face.js';
import { CAPTURE_LIMITS } from './limits.js';

const digestSchema = z.string().regex(/^[0-9a-f]{64}$/);
const stepNumberSchema = z.int().min(1).max(CHALLENGE_STEPS_MAX);

/** Longest life of what belongs to a decision or a batch, seconds. Deleted earlier. */
export const BLOB_TTL_SECONDS = 120;

/** Frames and evidence outlive the time for filming by so much, so that the decision finds them. Deleted earlier, at the decision. */
const DECIDING_SECONDS = 30;
/** Longest life of frames and evidence of an attempt, seconds: 120 for three steps, and as long are its frames known again. */
export const framesTtlSeconds = (attempt: { begunAt: Date; captureUntil: Date }): number =>
  Math.ceil((attempt.captureUntil.getTime() - attempt.begunAt.getTime()) / 1_000) + DECIDING_SECONDS;
/** That of the longest attempt there is. */
export const FRAMES_TTL_SECONDS_MAX = (CHALLENGE_STEPS_MAX * CAPTURE_LIMITS.stepMsExtraTime) / 1_000 + DECIDING_SECONDS;

/**
 * What a job is about; a result must repeat it, and the gateway compares every field with the guard's reservation.
 * `run` counts how often the decision of this attempt was queued (0 first), so a late result of an earlier run is stale.
 */
const attemptTupleSchema = z.strictObject({
  attemptId: z.uuid(),
  userId: z.uuid(),
  challengeId: z.string().regex(/^[0-9a-f]{32}$/),
  purpose: purposeSchema,
  lockEpoch: z.int().nonnegative(),
  run: z.int().nonnegative(),
});
export type AttemptTuple = z.infer<typeof attemptTupleSchema>;

/** The tuple alone, of whatever carries it. */
export const attemptTupleOf = (source: AttemptTuple): AttemptTuple => ({
  attemptId: source.attemptId,
  userId: source.userId,
  challengeId: source.challengeId,
  purpose: source.purpose,
  lockEpoch: source.lockEpoch,
  run: source.run,
});

const inputSchema = z.strictObject({ step: stepNumberSchema, action: actionSchema, framesDigest: digestSchema });

export const faceStepPayload = attemptTupleSchema.extend({
  step: stepNumberSchema,
  action: actionSchema,
  /** SHA-256 of the body as received, hex. Part of the blob's key. */
  framesDigest: digestSchema,
  /** Life of the evidence, seconds. Absent in jobs of a gateway of 0.1. */
  keepSeconds: z.int().min(1).max(FRAMES_TTL_SECONDS_MAX).optional(),
});
export type FaceStepPayload = z.infer<typeof faceStepPayload>;

export const faceEnrolPayload = attemptTupleSchema.extend({ inputs: z.array(inputSchema), templateId: z.uuid() });
export type FaceEnrolPayload = z.infer<typeof faceEnrolPayload>;

export const faceMatchPayload = attemptTupleSchema.extend({
  inputs: z.array(inputSchema),
  /** Absent for purpose `practice`: nothing is compared. The sealed template itself travels as a blob. */
  templateId: z.uuid().optional(),
  /** SHA-256 (hex) of the canonical JSON of its `templateIdentity`: a worker takes no other row for it. */
  templateDigest: digestSchema.optional(),
});
export type FaceMatchPayload = z.infer<typeof faceMatchPayload>;

/** Result of `face.step`. Evidence (embeddings) stays in a sealed blob. */
const stepResultSchema = attemptTupleSchema.extend({
  kind: z.literal('step'),
  step: stepNumberSchema,
  action: actionSchema,
  framesDigest: digestSchema,
  verdict: stepVerdictSchema,
  modelDigest: z.string(),
});

const judgementSchema = z.enum(['ok', 'not_one_person', 'spoof', 'mismatch', 'not_compared', 'too_few_samples']);

/**
 * Result of `face.match` and `face.enrol`: the judgement over all steps. `not_compared`: some step was not usable, so
 * nothing was compared and no similarity exists. `too_few_samples`: every step was done, and too few of its frames could
 * be looked at for an attack. `stalledTwice`: the job killed its worker twice and was not run.
 */
const matchResultSchema = attemptTupleSchema.extend({
  kind: z.literal('match'),
  inputs: z.array(inputSchema),
  templateId: z.uuid().optional(),
  templateDigest: digestSchema.optional(),
  judgement: judgementSchema,
  stalledTwice: z.boolean(),
  modelDigest: z.string(),
  thresholdId: z.string(),
});
const enrolResultSchema = attemptTupleSchema.extend({
  kind: z.literal('enrol'),
  inputs: z.array(inputSchema),
  templateId: z.uuid(),
  judgement: judgementSchema,
  stalledTwice: z.boolean(),
  modelDigest: z.string(),
});
/** No result: what lay in the blob store is not what was put there, so somebody else has written there. */
const refusedInputSchema = attemptTupleSchema.extend({
  kind: z.literal('refused_input'),
  input: z.enum(['frames', 'template']),
});
/** No judgement: the job killed its worker twice, or its time was over on every try. */
const unjudgedResultSchema = attemptTupleSchema.extend({
  kind: z.literal('unjudged'),
  reason: z.enum(['stalled_twice', 'worker_failed']),
});
const faceResultSchema = z.discriminatedUnion('kind', [
  stepResultSchema,
  matchResultSchema,
  enrolResultSchema,
  unjudgedResultSchema,
  refusedInputSchema,
]);
/** What a worker says, in a signed envelope (`signedResultSchema`). */
export type FaceResultPayload = z.infer<typeof faceResultSchema>;
export type RefusedInput = z.infer<typeof refusedInputSchema>;

/** An Ed25519 signature of a worker over the canonical JSON (RFC 8785) of a value, with the purpose of `SIGNED_AS`. */
const signatureShape = {
  keyId: z.string().max(32),
  signature: z.string().max(128),
};
export const signedResultSchema = z.strictObject({ result: faceResultSchema, ...signatureShape });
export type SignedResult = z.infer<typeof signedResultSchema>;

/** What a worker says when it starts: these models decide from now on; or those it was given are not what they should be. */
const modelsReportSchema = z.strictObject({
  reportId: z.uuid(),
  at: z.iso.datetime(),
  outcome: z.enum(['loaded', 'refused']),
  /** Of the manifest; absent when that is what was refused. */
  modelDigest: digestSchema.optional(),
});
export type ModelsReport = z.infer<typeof modelsReportSchema>;
export const signedModelsReportSchema = z.strictObject({ value: modelsReportSchema, ...signatureShape });
/** Clocks may be wrong by minutes, and a report may wait while no gateway runs; older ones somebody has kept. */
export const MODELS_REPORT_MAX_AGE_MS = 60 * 60_000;

/** The templates whose keys are to be wrapped anew, and by which key (null: none yet, only say which one is in use). */
export const templateRewrapPayload = z.strictObject({
  rotationId: z.uuid(),
  batchId: z.uuid(),
  target: z.string().max(64).nullable(),
  /** SHA-256 (hex) of the blob that holds the batch. */
  inputDigest: digestSchema,
});
export type TemplateRewrapPayload = z.infer<typeof templateRewrapPayload>;

/** What a signature is for: one made for one thing is none for another. */
export const SIGNED_AS = {
  result: 'countersign/face-result/v1',
  similarity: 'countersign/similarity/v1',
  newTemplate: 'countersign/new-template/v1',
  rewrap: 'countersign/rewrap/v1',
  models: 'countersign/models/v1',
} as const;
export type StepResult = z.infer<typeof stepResultSchema>;
export type UnjudgedResult = z.infer<typeof unjudgedResultSchema>;
export type MatchResult = z.infer<typeof matchResultSchema>;
export type EnrolResult = z.infer<typeof enrolResultSchema>;

export const QUEUES = ['face', 'results', 'audit'] as const;
export type QueueName = (typeof QUEUES)[number];

export interface JobDefinition<S extends z.ZodType = z.ZodType> {
  queue: QueueName;
  payload: S;
  /** How often a handler that throws is tried in all, and the delay before the second try (doubling). */
  tries: number;
  backoffMs: number;
  /** A handler that takes longer counts as failed. */
  timeoutMs: number;
}

const define = <S extends z.ZodType>(d: JobDefinition<S>): JobDefinition<S> => d;

/**
 * The job catalogue: everything about a job but its handler. Adding a job: an entry here, a handler with
 * `@JobHandler(name)`, its provider in the app's module, a spec.
 */
export const JOBS = {
  'face.step': define({ queue: 'face', payload: faceStepPayload, tries: 2, backoffMs: 200, timeoutMs: 15_000 }),
  'face.enrol': define({ queue: 'face', payload: faceEnrolPayload, tries: 2, backoffMs: 200, timeoutMs: 10_000 }),
  'face.match': define({ queue: 'face', payload: faceMatchPayload, tries: 2, backoffMs: 200, timeoutMs: 10_000 }),
  /** Rows and answer are blobs: nothing of a key, wrapped as it is, lies in the queue. */
  'template.rewrap': define({
    queue: 'face',
    payload: templateRewrapPayload,
    tries: 3,
    backoffMs: 200,
    timeoutMs: 10_000,
  }),
  /**
   * Whoever reaches Redis can put anything here. The handler itself parses (`signedResultSchema`) and verifies, so that
   * what is refused is counted and audited, and not just another failed job.
   */
  'face.result': define({
    queue: 'results',
    payload: z.custom<SignedResult>(),
    tries: 10,
    backoffMs: 100,
    timeoutMs: 5_000,
  }),
  /** Parsed and verified by its handler, like a result. */
  'worker.models': define({
    queue: 'results',
    payload: z.custom<z.infer<typeof signedModelsReportSchema>>(),
    tries: 10,
    backoffMs: 100,
    timeoutMs: 5_000,
  }),
  /** A nudge: this user's guard (or, without user, some system outbox) holds events. The events are not in the job. */
  'audit.drain': define({
    queue: 'audit',
    payload: z.strictObject({ userId: z.uuid().nullable() }),
    tries: 1,
    backoffMs: 0,
    timeoutMs: 10_000,
  }),
  /** A nudge: a mail row waits. */
  'audit.mail': define({
    queue: 'audit',
    payload: z.strictObject({ mailId: z.string() }),
    tries: 1,
    backoffMs: 0,
    timeoutMs: 30_000,
  }),
  /** A nudge: an erasure row waits. */
  'audit.erase': define({
    queue: 'audit',
    payload: z.strictObject({ erasureId: z.uuid() }),
    tries: 3,
    backoffMs: 1_000,
    timeoutMs: 60_000,
  }),
} as const;
export type JobName = keyof typeof JOBS;
export type JobPayload<N extends JobName> = z.infer<(typeof JOBS)[N]['payload']>;

/** Job ids: a repeated `add` of the same id while the job is kept is ignored, which makes enqueueing idempotent. */
export const jobIds = {
  step: (p: { attemptId: string; step: number; run: number }): string => `${p.attemptId}-${p.step}-${p.run}`,
  decide: (p: { attemptId: string; run: number }): string => `${p.attemptId}-decide-${p.run}`,
};

/** Names of the blobs of an attempt. The digest in the key keeps a losing upload from overwriting the accepted one. */
export const blobKeys = {
  frames: (attemptId: string, step: number, framesDigest: string): string =>
    `frames:${attemptId}:${step}:${framesDigest}`,
  evidence: (attemptId: string, step: number, framesDigest: string): string =>
    `evidence:${attemptId}:${step}:${framesDigest}`,
  template: (attemptId: string): string => `template:${attemptId}`,
  /** A new template on its way from the worker to the gateway: JSON of `signedTemplateSchema`. */
  newTemplate: (attemptId: string, run: number): string => `newtemplate:${attemptId}:${run}`,
  /** The similarity on its way from the worker: JSON of `signedSimilaritySchema`, sealed to the gateways' key. */
  similarity: (attemptId: string, run: number): string => `similarity:${attemptId}:${run}`,
  /** Wrapped keys on their way to a worker (JSON of `rewrapBatchSchema`) and back (JSON of `signedRewrapSchema`). */
  rewrap: (batchId: string): string => `rewrap:${batchId}`,
  rewrapped: (batchId: string): string => `rewrapped:${batchId}`,
};

/** Everything an attempt may have left in the blob store. `inputs`: its accepted steps. */
export const blobKeysOf = (
  attemptId: string,
  run: number,
  inputs: readonly { step: number; framesDigest: string }[],
): string[] => [
  blobKeys.template(attemptId),
  ...Array.from({ length: run + 1 }, (_, earlier) => [
    blobKeys.newTemplate(attemptId, earlier),
    blobKeys.similarity(attemptId, earlier),
  ]).flat(),
  ...inputs.flatMap(({ step, framesDigest }) => [
    blobKeys.frames(attemptId, step, framesDigest),
    blobKeys.evidence(attemptId, step, framesDigest),
  ]),
];

/**
 * A template as the gateway stores it and only a worker can open it: AES-256-GCM under a DEK of its own, the DEK
 * wrapped by the KEK. All binary fields base64url. AADs: `templateAad`, `dekAad`.
 */
export const sealedTemplateSchema = z.strictObject({
  templateId: z.uuid(),
  userId: z.uuid(),
  modelDigest: z.string(),
  keyVersion: z.string(),
  ciphertext: z.string(),
  wrappedDek: z.string(),
});
export type SealedTemplate = z.infer<typeof sealedTemplateSchema>;

/** What of a template never changes, and whose digest names it: its key may be wrapped anew while an attempt runs. */
export const templateIdentity = ({ templateId, userId, modelDigest, ciphertext }: SealedTemplate) => ({
  templateId,
  userId,
  modelDigest,
  ciphertext,
});

export const templateAad = (t: { userId: string; templateId: string; modelDigest: string }): string =>
  `tpl:v2:${t.userId}:${t.templateId}:${t.modelDigest}`;
export const dekAad = (t: { userId: string; templateId: string; keyVersion: string }): string =>
  `dek:v1:${t.userId}:${t.templateId}:${t.keyVersion}`;

/** Where frames belong: opened for another attempt or step they are nothing. */
export const framesAad = (p: { attemptId: string; step: number; framesDigest: string }): string =>
  `frames:v1:${p.attemptId}:${p.step}:${p.framesDigest}`;
export const similarityAad = (p: { attemptId: string; run: number }): string => `similarity:v1:${p.attemptId}:${p.run}`;

/** The gateways' public key is no secret, so that the worker's signature inside says who sealed. */
export const signedSimilaritySchema = z.strictObject({
  value: z.strictObject({ attemptId: z.uuid(), run: z.int().nonnegative(), similarity: z.number().min(-1).max(1) }),
  ...signatureShape,
});
export const signedTemplateSchema = z.strictObject({
  value: z.strictObject({ attemptId: z.uuid(), run: z.int().nonnegative(), template: sealedTemplateSchema }),
  ...signatureShape,
});

/** Rows of `face_templates` as far as wrapping is concerned. */
export const rewrapBatchSchema = z
  .array(sealedTemplateSchema.pick({ templateId: true, userId: true, keyVersion: true, wrappedDek: true }))
  .max(200);
export type RewrapBatch = z.infer<typeof rewrapBatchSchema>;

const rewrapValueSchema = templateRewrapPayload.omit({ target: true }).extend({
  /** The version that wrapped, or would; null: this worker does not have the key that was asked for. */
  keyVersion: z.string().max(64).nullable(),
  /** In the batch's order; null for a key that did not open. */
  wrappedDeks: z.array(z.string().nullable()).max(200),
});
export type RewrapValue = z.infer<typeof rewrapValueSchema>;
export const signedRewrapSchema = z.strictObject({ value: rewrapValueSchema, ...signatureShape });
