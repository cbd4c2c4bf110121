import { z } from 'zod';
import { env, parseEnv } from '#config';

export const inferenceConfigSchema = z.object({
  REDIS_URL: env.redisUrl,
  REDIS_BLOB_URL: env.redisUrl.optional(),
  MODEL_MANIFEST: env.path.default('models/manifest.json'),
  /** Analysis threads; the cores of the machine or of its cgroup if not set. */
  INFERENCE_THREADS: env.count.optional(),
  /** The address on which the worker answers health probes. */
  HEALTH_HOST: env.host.default('127.0.0.1'),
  /** The port on which a process without a public listener answers health probes. */
  HEALTH_PORT: env.port,
  /** The address on which measurements are served to Prometheus, at /metrics. */
  METRICS_HOST: env.host.default('127.0.0.1'),
  /** The port of the measurements, one of their own: never one that people reach. Without it nothing is served. */
  METRICS_PORT: env.port.optional(),
  /** Wraps the keys of templates. */
  TEMPLATE_KEK: env.keySet,
  /** Seals what a step showed (embeddings, samples) for the worker that decides the attempt. */
  EVIDENCE_KEY: env.keySet,
  /** Opens frames that gateways sealed. */
  FRAME_PRIVATE_KEYS: env.keySet,
  /** The first key signs the results of this worker. */
  RESULT_PRIVATE_KEY: env.keySet,
  /** Similarities are sealed to the first. */
  SIMILARITY_PUBLIC_KEY: env.keySet,
  ALLOW_OLD_REDIS: env.allowOld,
  NODE_ENV: env.nodeEnv,
  LOG_LEVEL: env.logLevel,
});
export type InferenceConfig = z.output<typeof inferenceConfigSchema>;

/** @throws ConfigError naming every bad variable, never a value. */
export const loadConfig = (source?: Record<string, string | undefined>): InferenceConfig =>
  parseEnv(inferenceConfigSchema, source);
