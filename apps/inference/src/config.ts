import { z } from 'zod';
import { env, parseEnv } from '#config';

const inferenceConfigSchema = z.object({
  REDIS_URL: env.redisUrl,
  REDIS_BLOB_URL: env.redisUrl.optional(),
  MODEL_MANIFEST: env.path.default('models/manifest.json'),
  /** Analysis threads; the cores of the machine or of its cgroup if not set. */
  INFERENCE_THREADS: env.count.optional(),
  HEALTH_HOST: env.host.default('127.0.0.1'),
  HEALTH_PORT: env.port,
  /** Wraps the keys of templates; the key of evidence is derived from it. */
  TEMPLATE_KEK: env.key32,
  LOG_LEVEL: env.logLevel,
});
export type InferenceConfig = z.output<typeof inferenceConfigSchema>;

/** @throws ConfigError naming every bad variable, never a value. */
export const loadConfig = (source?: Record<string, string | undefined>): InferenceConfig =>
  parseEnv(inferenceConfigSchema, source);
