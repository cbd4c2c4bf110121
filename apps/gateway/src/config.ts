import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { env, parseEnv } from '#config';
import { GUARD_LIMITS, manifestSchema } from '#contracts';

/** Injection token of the parsed configuration. */
export const GATEWAY_CONFIG = Symbol('gateway config');

const trustedProxiesSchema = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  )
  // `true` would let every client choose its own address (CWE-348): only addresses and networks are taken.
  .refine((parts) => parts.every(isAddressOrNetwork), { error: 'must be addresses or CIDR networks, comma separated' });

export const gatewayEnvSchema = z.object({
  GATEWAY_HOST: env.host.default('127.0.0.1'),
  GATEWAY_PORT: env.port.default(8080),
  PUBLIC_URL: env.publicUrl.default('http://localhost:8080'),
  MONGODB_URI: env.mongoUri,
  /**
   * Longest that a request waits for one operation of MongoDB, milliseconds; then it is answered with 503. Half a second
   * below the 2 s in which that is promised: on a busy machine the answer itself takes its time.
   */
  MONGODB_WAIT_MS: env.count.default(1_500),
  REDIS_URL: env.redisUrl,
  REDIS_BLOB_URL: env.redisUrl.optional(),
  AUDIT_HOST: env.host.default('127.0.0.1'),
  AUDIT_PORT: env.port,
  AUDIT_SHARED_SECRET: env.secret,
  AUDIT_TLS_CA_FILE: env.path.optional(),
  /** Records of sessions, and the other keyed digests. */
  SESSION_KEY: env.keySet,
  /** Frames are sealed to the first; the workers have the private halves. */
  FRAME_PUBLIC_KEY: env.keySet,
  /** What a worker signed with one of these is believed. */
  RESULT_PUBLIC_KEYS: env.keySet,
  /** Opens similarities. */
  SIMILARITY_PRIVATE_KEYS: env.keySet,
  MAIL_KEY: env.keySet,
  /** Opens the key that seals a person's part of his events; audit has the same one. */
  EVENT_KEK: env.keySet,
  MODEL_MANIFEST: env.path.default('models/manifest.json'),
  /** `verified`: no answer tells who has an account; a person enters after the mailed link was followed. */
  REGISTRATION: z.enum(['open', 'verified', 'closed'], 'must be open, verified or closed').default('open'),
  /** From one address. */
  REGISTRATIONS_PER_HOUR: env.count.default(60),
  /** How long a confirmed change of address waits, so that the owner of the old one can stop it. */
  EMAIL_CHANGE_HOLD_HOURS: env.count.default(24),
  /** How long a face counts before it must be enrolled again. The audit service reads the same, for its reminders. */
  RE_ENROLMENT_DAYS: env.count.default(GUARD_LIMITS.reEnrolDays),
  /** How long a face that was enrolled after a recovery raises nothing to pwd+face. */
  ENROLMENT_HOLD_HOURS: env.count.default(GUARD_LIMITS.holdHours),
  TRUSTED_PROXIES: trustedProxiesSchema,
  /** Captures that may be live at the same time, over all gateways. */
  CAPTURES_MAX: env.count.default(200),
  /** Jobs that may wait or run for each connected worker. */
  JOBS_PER_WORKER_MAX: env.count.default(24),
  /** What the Redis of the blobs may hold in all. */
  BLOB_BYTES_MAX: env.count.default(1024 * 1024 * 1024),
  /** For so long after SIGTERM requests are still taken, until balancers know that this gateway is not ready. */
  SHUTDOWN_DRAIN_SECONDS: z.coerce.number('must be a number of seconds').min(0).max(60).default(5),
  ALLOW_OLD_REDIS: env.allowOld,
  ALLOW_OLD_MONGODB: env.allowOld,
  NODE_ENV: env.nodeEnv,
  LOG_LEVEL: env.logLevel,
});

export type GatewayConfig = z.infer<typeof gatewayEnvSchema> & { REDIS_BLOB_URL: string; modelDigest: string };

/** Parses the environment and reads which models templates must belong to. Throws before anything is connected. */
export function loadConfig(source?: Record<string, string | undefined>): GatewayConfig {
  const parsed = parseEnv(gatewayEnvSchema, source);
  const manifest = manifestSchema.parse(JSON.parse(readFileSync(parsed.MODEL_MANIFEST, 'utf8')));
  return { ...parsed, REDIS_BLOB_URL: parsed.REDIS_BLOB_URL ?? parsed.REDIS_URL, modelDigest: manifest.digest };
}

function isAddressOrNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  if (bits === undefined) return true;
  if (!/^\d{1,3}$/.test(bits)) return false;
  try {
    new BlockList().addSubnet(address, Number(bits), version === 6 ? 'ipv6' : 'ipv4');
    return Number(bits) > 0;
  } catch {
    return false;
  }
}
