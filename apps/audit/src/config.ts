import { z } from 'zod';
import { env, parseEnv } from '#config';
import { GUARD_LIMITS } from '#contracts';

const mailFrom = z
  .string('must be set: the sender of security mail')
  .regex(/^[^\p{Cc}]*@[^\p{Cc}]*$/u, 'must be an address, or a name and an address in angle brackets');

export const auditConfigSchema = z.object({
  MONGODB_URI: env.mongoUri,
  REDIS_URL: env.redisUrl,
  REDIS_BLOB_URL: env.redisUrl.optional(),
  AUDIT_HOST: env.host.default('127.0.0.1'),
  AUDIT_PORT: env.port,
  AUDIT_SHARED_SECRET: env.secret,
  /** The certificate of the audit service, together with its key; without both, queries are in clear. */
  AUDIT_TLS_CERT_FILE: env.path.optional(),
  /** The private key of that certificate. */
  AUDIT_TLS_KEY_FILE: env.path.optional(),
  /** The mail server that security mails are handed to. */
  SMTP_URL: env.smtpUrl,
  /** The sender of security mails. */
  MAIL_FROM: mailFrom,
  /** Opens the secrets of mail rows; the gateway has the same one. */
  MAIL_KEY: env.keySet,
  PUBLIC_URL: env.publicUrl,
  /** Wraps the key of each person's part of the log. */
  EVENT_KEK: env.keySet,
  /** Shows that an event was made by a process and not by whoever writes in the database. Without one every event is believed. */
  EVENT_MAC_KEY: env.keySet.optional(),
  /** Ed25519 seed that signs checkpoints of the log. */
  CHECKPOINT_KEY: env.key32,
  /** The log's name in its checkpoints; by default made from PUBLIC_URL. */
  CHECKPOINT_ORIGIN: z
    .string()
    .regex(/^[^+\s]+$/, 'must be a name without spaces and plus signs')
    .optional(),
  /** Where checkpoints go outside the database: a file that only grows, or `stdout`. */
  AUDIT_CHECKPOINT_FILE: env.path.default('stdout'),
  /** With `stdout`: a file that holds the last checkpoint, so that audit can compare it with the database when it starts. */
  AUDIT_CHECKPOINT_PIN: env.path.optional(),
  /** How long an enrolled face counts; the gateway has the same figure. */
  RE_ENROLMENT_DAYS: env.count.default(GUARD_LIMITS.reEnrolDays),
  /** How long events say from which address they came, then only from which network. */
  EVENT_ADDRESS_DAYS: env.count.default(30),
  /** How long they say from which network and device, and how similar the face was. */
  EVENT_DETAIL_DAYS: env.count.default(365),
  /** The address on which a process without a public listener answers health probes. */
  HEALTH_HOST: env.host.default('127.0.0.1'),
  HEALTH_PORT: env.port,
  /** The address on which measurements are served to Prometheus, at /metrics. */
  METRICS_HOST: env.host.default('127.0.0.1'),
  /** The port of the measurements, one of their own: never one that people reach. Without it nothing is served. */
  METRICS_PORT: env.port.optional(),
  ALLOW_OLD_REDIS: env.allowOld,
  ALLOW_OLD_MONGODB: env.allowOld,
  NODE_ENV: env.nodeEnv,
  LOG_LEVEL: env.logLevel,
});
export type AuditConfig = z.output<typeof auditConfigSchema>;

/** @throws ConfigError naming every bad variable, never a value. */
export const loadConfig = (source?: Record<string, string | undefined>): AuditConfig =>
  parseEnv(auditConfigSchema, source);

export const AUDIT_CONFIG = Symbol('audit config');
