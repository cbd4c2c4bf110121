import path from 'node:path';
import { noteSigner } from '#audit-log';
import { sealingPublicKey, signingPublicKey } from '#sealing';
import { type TlsFiles } from './certificates.js';
import { repositoryRoot } from './folders.js';
import { type Keys } from './keys.js';
import { type Services } from './services.js';
import { WORKER_LAUNCH } from './worker-launch.js';

export const APP_NAMES = ['audit', 'inference', 'gateway'] as const;
export type AppName = (typeof APP_NAMES)[number];

export interface AppPorts {
  gateway: number;
  audit: number;
  inferenceHealth: number;
  auditHealth: number;
}

export interface EnvironmentOptions {
  services: Services;
  keys: Keys;
  auditTls: TlsFiles;
  ports: AppPorts;
  database?: string;
  redisDatabase?: number;
  /** Checkpoints of the audit log, outside the database. */
  checkpointFile: string;
  inferenceThreads: number;
  extra: Record<string, string>;
}

/** Exactly what each process is configured by; nothing of the developer's own environment but PATH and HOME. */
export function appEnvironment(app: AppName, o: EnvironmentOptions): Record<string, string> {
  const mongoUri = withDatabase(o.services.mongoUri, o.database);
  const manifest = path.join(repositoryRoot(), 'models/manifest.json');
  const publicUrl = gatewayUrl(o.ports);
  const auditServer = {
    AUDIT_HOST: '127.0.0.1',
    AUDIT_PORT: String(o.ports.audit),
    AUDIT_SHARED_SECRET: o.keys.auditSharedSecret,
  };
  const { frameKey, resultKey, similarityKey } = o.keys;
  const own: Record<AppName, Record<string, string>> = {
    gateway: {
      GATEWAY_HOST: '127.0.0.1',
      GATEWAY_PORT: String(o.ports.gateway),
      PUBLIC_URL: publicUrl,
      MONGODB_URI: mongoUri,
      MODEL_MANIFEST: manifest,
      ...auditServer,
      AUDIT_TLS_CA_FILE: o.auditTls.ca,
      SESSION_KEY: o.keys.sessionKey,
      FRAME_PUBLIC_KEY: publicOf(frameKey, sealingPublicKey),
      RESULT_PUBLIC_KEYS: publicOf(resultKey, signingPublicKey),
      SIMILARITY_PRIVATE_KEYS: similarityKey,
      MAIL_KEY: o.keys.mailKey,
      EVENT_KEK: o.keys.eventKek,
      EVENT_MAC_KEY: o.keys.eventMacKey,
      // Everybody comes from one address here.
      REGISTRATIONS_PER_HOUR: '100000',
      FIRST_ENROLMENT: 'open',
      // The demo and the tests of faults look at what is left of whoever is erased.
      ERASURE_HOLD_HOURS: '0',
      // No balancer has to learn of an end.
      SHUTDOWN_DRAIN_SECONDS: '0',
      // The database has to share this machine with everything else.
      MONGODB_WAIT_MS: '10000',
    },
    inference: {
      HEALTH_PORT: String(o.ports.inferenceHealth),
      MODEL_MANIFEST: manifest,
      INFERENCE_THREADS: String(o.inferenceThreads),
      ...WORKER_LAUNCH.env,
      TEMPLATE_KEK: o.keys.templateKek,
      EVIDENCE_KEY: o.keys.evidenceKey,
      FRAME_PRIVATE_KEYS: frameKey,
      RESULT_PRIVATE_KEY: resultKey,
      SIMILARITY_PUBLIC_KEY: publicOf(similarityKey, sealingPublicKey),
    },
    audit: {
      HEALTH_PORT: String(o.ports.auditHealth),
      MONGODB_URI: mongoUri,
      ...auditServer,
      AUDIT_TLS_CERT_FILE: o.auditTls.cert,
      AUDIT_TLS_KEY_FILE: o.auditTls.key,
      SMTP_URL: o.services.smtpUrl,
      MAIL_FROM: 'Countersign <no-reply@countersign.example>',
      MAIL_KEY: o.keys.mailKey,
      PUBLIC_URL: publicUrl,
      EVENT_KEK: o.keys.eventKek,
      EVENT_MAC_KEY: o.keys.eventMacKey,
      CHECKPOINT_KEY: o.keys.checkpointKey,
      CHECKPOINT_ORIGIN: LOG_NAME,
      AUDIT_CHECKPOINT_FILE: o.checkpointFile,
    },
  };
  const common = {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '/',
    NODE_ENV: 'development',
    LOG_LEVEL: process.env.LOG_LEVEL || 'info',
    REDIS_URL: withRedisDatabase(o.services.redisUrl, o.redisDatabase),
    REDIS_BLOB_URL: withRedisDatabase(o.services.redisBlobUrl, o.redisDatabase),
  };
  return { ...common, ...own[app], ...o.extra };
}

/** Stays the same from start to start, as the port does not. */
const LOG_NAME = 'countersign.development/audit';

/** What an operator's commands look at beside the gateway's own: nothing secret. */
export function operatorEnvironment(audit: Record<string, string>): Record<string, string> {
  const seed = Buffer.from((audit.CHECKPOINT_KEY ?? '').replace(/^.*:/, ''), 'base64url');
  return {
    CHECKPOINT_VKEY: noteSigner(audit.CHECKPOINT_ORIGIN ?? LOG_NAME, seed).vkey,
    AUDIT_CHECKPOINT_FILE: audit.AUDIT_CHECKPOINT_FILE ?? 'stdout',
    ...(audit.SMTP_URL ? { SMTP_URL: audit.SMTP_URL } : {}),
  };
}

/** The public half of a pair, under the same name. */
export function publicOf(key: string, publicKey: (bytes: Buffer) => Buffer): string {
  const [id = '', bytes = ''] = key.split(':');
  return `${id}:${publicKey(Buffer.from(bytes, 'base64url')).toString('base64url')}`;
}

/** `localhost` and not an address: browsers keep `__Host-` cookies and open cameras on it without TLS. */
export const gatewayUrl = (ports: AppPorts): string => `http://localhost:${ports.gateway}`;

/** A MongoDB URI may list several hosts, which URL does not parse. Without `database` one already named stays. */
export function withDatabase(uri: string, database?: string): string {
  const match = /^(mongodb(?:\+srv)?:\/\/[^/?]+)(?:\/([^?]*))?(\?.*)?$/.exec(uri);
  if (!match) throw new Error('the MongoDB URI must be mongodb://HOST[:PORT][/DATABASE][?OPTIONS]');
  const [, server, named, query = ''] = match;
  return `${server}/${database ?? (named || 'countersign')}${query}`;
}

export function withRedisDatabase(url: string, database?: number): string {
  if (database === undefined) return url;
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
