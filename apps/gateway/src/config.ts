import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { env, parseEnv } from '#config';
import { addressRangeOf, GUARD_LIMITS, manifestSchema, shareCovered } from '#contracts';

/** Injection token of the parsed configuration. */
export const GATEWAY_CONFIG = Symbol('gateway config');

/** A sixteenth of all addresses: fc00::/7 and all private networks of IPv4 are far below, 2000::/3 and 0.0.0.0/1 above. */
const TRUSTED_SHARE_MAX = 1 / 16;

const trustedProxiesSchema = z
  .string()
  .default('none')
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  )
  .transform((parts) => (parts.length === 1 && parts[0]?.toLowerCase() === 'none' ? [] : parts))
  // `true` would let every client choose its own address (CWE-348): only addresses and networks are taken.
  .refine((parts) => parts.every((part) => addressRangeOf(part) !== null), {
    error: 'must be addresses or CIDR networks, comma separated, or none',
  })
  .refine(areFewAddresses, {
    error: 'must not add up to more than a sixteenth of all addresses: whoever is in them chooses his own',
  });

export const gatewayEnvSchema = z.object({
  /** The address that the gateway listens on. */
  GATEWAY_HOST: env.host.default('127.0.0.1'),
  /** The port that the gateway listens on. */
  GATEWAY_PORT: env.port.default(8080),
  /** The address on which measurements are served to Prometheus, at /metrics. */
  METRICS_HOST: env.host.default('127.0.0.1'),
  /** The port of the measurements, one of their own: never one that people reach. Without it nothing is served. */
  METRICS_PORT: env.port.optional(),
  /** The address under which people reach the gateway: it stands in mailed links and in the API document. It has no path: pages and API are at the root of their host. */
  PUBLIC_URL: env.publicUrl.default('http://localhost:8080'),
  /** The database that holds accounts, face states, templates and the audit log. */
  MONGODB_URI: env.mongoUri,
  /**
   * Longest that a request waits for one operation of MongoDB, milliseconds; then it is answered with 503. Half a second
   * below the 2 s in which that is promised: on a busy machine the answer itself takes its time.
   */
  MONGODB_WAIT_MS: env.count.default(1_500),
  /** The Redis of sessions, limits and job queues; its maxmemory-policy must be noeviction. */
  REDIS_URL: env.redisUrl,
  /** The Redis of frames and templates in flight, one that never writes to disk; by default REDIS_URL. */
  REDIS_BLOB_URL: env.redisUrl.optional(),
  /** Where the audit service answers the gateway. */
  AUDIT_HOST: env.host.default('127.0.0.1'),
  /** The port on which the audit service answers the gateway. */
  AUDIT_PORT: env.port,
  AUDIT_SHARED_SECRET: env.secret,
  /** The authority that signed the certificate of the audit service. */
  AUDIT_TLS_CA_FILE: env.path.optional(),
  /** Records of sessions, and the other keyed digests. */
  SESSION_KEY: env.keySet,
  /** Frames are sealed to the first; the workers have the private halves. */
  FRAME_PUBLIC_KEY: env.keySet,
  /** What a worker signed with one of these is believed. */
  RESULT_PUBLIC_KEYS: env.keySet,
  /** Opens similarities that workers sealed to the gateways. */
  SIMILARITY_PRIVATE_KEYS: env.keySet,
  MAIL_KEY: env.keySet,
  /** Opens the key that seals a person's part of his events; audit has the same one. */
  EVENT_KEK: env.keySet,
  /** Shows that an event was made by a process and not by whoever writes in the database; gateways, audit and the command line have the same one. */
  EVENT_MAC_KEY: env.keySet.optional(),
  /** Which models are in use, with their digests and thresholds. */
  MODEL_MANIFEST: env.path.default('models/manifest.json'),
  /** `verified`: no answer tells who has an account; a person enters after the mailed link was followed. */
  REGISTRATION: z.enum(['open', 'verified', 'closed'], 'must be open, verified or closed').default('open'),
  /**
   * How many accounts may be registered from one network in an hour. A network is an IPv4 address or the /64 of an IPv6
   * address, here and in all limits; the /48 around it has four times as much.
   */
  REGISTRATIONS_PER_HOUR: env.count.default(60),
  /** How many requests of people without a session may set off a mail, or bring a wrong token, from one network in an hour. */
  ANONYMOUS_REQUESTS_PER_HOUR: env.count.default(600),
  /** How many logins of one account may succeed in an hour: far more than people do. */
  LOGINS_PER_ACCOUNT_PER_HOUR: env.count.default(300),
  /**
   * How many mails one account can be made to send in an hour: resets, links for a login, and what a session asks for have
   * three tenths each. Notices of what happened are not among them.
   */
  MAILS_PER_ACCOUNT_PER_HOUR: env.count.default(10),
  /** The same in a day. */
  MAILS_PER_ACCOUNT_PER_DAY: env.count.default(20),
  /** The time in which failed logins are counted, minutes. */
  LOGIN_WINDOW_MINUTES: env.count.default(15),
  /** How many wrong passwords of one account one network may try in that time. */
  LOGIN_TRIES_PER_NETWORK: env.count.default(10),
  /** How many wrong passwords of one account all networks together may try in that time. */
  LOGIN_TRIES_PER_ACCOUNT: env.count.default(50),
  /** Of how many accounts one network may try wrong passwords in that time; who enters in the end does not count. */
  LOGIN_ACCOUNTS_PER_NETWORK: env.count.default(600),
  /** How many wrong passwords a device from which the account was entered before may try in that time, or a session. */
  LOGIN_TRIES_PER_KNOWN_DEVICE: env.count.default(10),
  /** For how long a device from which an account was entered is known to it. */
  LOGIN_KNOWN_DEVICE_DAYS: env.count.default(90),
  /** After so many wrong credentials of relying applications from one network in 15 minutes the answer is 429. */
  CLIENT_FAILURES_PER_NETWORK: env.count.default(20),
  /** How many questions one relying application may ask in ten seconds. */
  CLIENT_QUESTIONS_PER_10_SECONDS: env.count.default(5_000),
  /**
   * `yes`: relying applications may also ask about the token of a session itself, as in 0.1. Whoever has such a token can do
   * all that the session can; a token made for the application (`POST /v1/sessions/tokens`) opens nothing.
   */
  ALLOW_SESSION_TOKEN_INTROSPECTION: env.yesOrNo.default('no'),
  /** What a session must be worth before staff read about people and events: `raised` (pwd+recovery or pwd+face) or `pwd`. */
  STAFF_READS: z.enum(['raised', 'pwd'], 'must be raised or pwd').default('raised'),
  /** How long a confirmed change of address waits, so that the owner of the old one can stop it. */
  EMAIL_CHANGE_HOLD_HOURS: env.count.default(24),
  /**
   * How many hours an erasure waits after it was asked for, in which its owner can stop it. The face goes at once. `0`: all goes
   * at once, and a thief who got as far as asking has erased the account.
   */
  ERASURE_HOLD_HOURS: env.hours.default(72),
  /** How long a face counts before it must be enrolled again. The audit service reads the same, for its reminders. */
  RE_ENROLMENT_DAYS: env.count.default(GUARD_LIMITS.reEnrolDays),
  /**
   * Whether a first face may be bound by a password alone. `proved`: it counts at once only in a session that used a mailed
   * code, accepted an invitation or verified the address within 30 minutes; else it is held. Of staff always `proved`.
   */
  FIRST_ENROLMENT: z.enum(['open', 'proved'], 'must be open or proved').default('proved'),
  /**
   * Whether somebody may choose challenges of three steps though he makes two or three gestures only. `forbidden`: six and
   * four steps, so that there are 64 sequences for everybody; who had chosen before has the long ones.
   */
  SHORT_CHALLENGES: z.enum(['allowed', 'forbidden'], 'must be allowed or forbidden').default('allowed'),
  /** How long a face is held that was enrolled after a recovery, or first enrolled with a password alone. */
  ENROLMENT_HOLD_HOURS: env.count.default(GUARD_LIMITS.holdHours),
  /**
   * Proxies whose X-Forwarded-For is believed: addresses or CIDR networks, comma separated; `none`: people reach the
   * gateway itself. Behind a proxy that is not named here all of them are one address, with the limits of one.
   */
  TRUSTED_PROXIES: trustedProxiesSchema,
  /** Captures that may be live at the same time, over all gateways. */
  CAPTURES_MAX: env.count.default(200),
  /** Jobs that may wait or run for each connected worker. */
  JOBS_PER_WORKER_MAX: env.count.default(24),
  /** What the Redis of the blobs may hold in all. */
  BLOB_BYTES_MAX: env.count.default(1024 * 1024 * 1024),
  /**
   * What bodies of frames on their way in may take of this process' memory, each counted twice: as it came and as its
   * sealed copy. Beyond it a step is answered with 503.
   */
  UPLOAD_BYTES_MAX: env.count.default(256 * 1024 * 1024),
  /** For so long after SIGTERM requests are still taken, until balancers know that this gateway is not ready. */
  SHUTDOWN_DRAIN_SECONDS: z.coerce.number('must be a number of seconds').min(0).max(60).default(5),
  /** `yes`: run on a Redis whose version lacks a security fix, because its distribution has mended it. */
  ALLOW_OLD_REDIS: env.allowOld,
  /** `yes`: run on a MongoDB whose version lacks a security fix, because its distribution has mended it. */
  ALLOW_OLD_MONGODB: env.allowOld,
  NODE_ENV: env.nodeEnv,
  /** How much is logged. */
  LOG_LEVEL: env.logLevel,
});

export type GatewayConfig = z.infer<typeof gatewayEnvSchema> & { REDIS_BLOB_URL: string; modelDigest: string };

/** Parses the environment and reads which models templates must belong to. Throws before anything is connected. */
export function loadConfig(source?: Record<string, string | undefined>): GatewayConfig {
  const parsed = parseEnv(gatewayEnvSchema, source);
  const manifest = manifestSchema.parse(JSON.parse(readFileSync(parsed.MODEL_MANIFEST, 'utf8')));
  return { ...parsed, REDIS_BLOB_URL: parsed.REDIS_BLOB_URL ?? parsed.REDIS_URL, modelDigest: manifest.digest };
}

function areFewAddresses(parts: readonly string[]): boolean {
  const ranges = parts.flatMap((part) => addressRangeOf(part) ?? []);
  return (['ipv4', 'ipv6'] as const).every((family) => shareCovered(ranges, family) <= TRUSTED_SHARE_MAX);
}
