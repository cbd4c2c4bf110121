import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { loadConfig as loadAudit } from '../../apps/audit/src/config.js';
import { loadConfig as loadGateway } from '../../apps/gateway/src/config.js';
import { loadConfig as loadInference } from '../../apps/inference/src/config.js';

type Env = Record<string, string>;

/** Five times the figure, as on every machine that has more to do. */
const EXIT_MS = 25_000;
const ROOT = path.join(__dirname, '../..');
const key = (id = 'k20261101'): string => `${id}:${randomBytes(32).toString('base64url')}`;

const common: Env = {
  NODE_ENV: 'production',
  REDIS_URL: 'rediss://app:long-enough-pw@redis.internal:6380',
  REDIS_BLOB_URL: 'rediss://app:long-enough-pw@blobs.internal:6380',
};
const mongo: Env = { MONGODB_URI: 'mongodb://db.internal:27017/countersign?replicaSet=rs0&w=majority' };
const audit: Env = { AUDIT_PORT: '7000', AUDIT_SHARED_SECRET: randomBytes(32).toString('base64url') };

/** Each of these configurations is fit for production. */
const GOOD = {
  gateway: {
    ...common,
    ...mongo,
    ...audit,
    AUDIT_TLS_CA_FILE: '/run/tls/ca.pem',
    TRUSTED_PROXIES: 'none',
    SESSION_KEY: key(),
    MAIL_KEY: key(),
    EVENT_KEK: key(),
    EVENT_MAC_KEY: key(),
    FRAME_PUBLIC_KEY: key(),
    RESULT_PUBLIC_KEYS: `${key('k2')},${key('k1')}`,
    SIMILARITY_PRIVATE_KEYS: key(),
  },
  inference: {
    ...common,
    HEALTH_PORT: '8081',
    TEMPLATE_KEK: key(),
    EVIDENCE_KEY: key(),
    FRAME_PRIVATE_KEYS: key(),
    RESULT_PRIVATE_KEY: key(),
    SIMILARITY_PUBLIC_KEY: key(),
  },
  audit: {
    ...common,
    ...mongo,
    ...audit,
    AUDIT_TLS_CERT_FILE: '/run/tls/audit.pem',
    AUDIT_TLS_KEY_FILE: '/run/tls/audit.key',
    SMTP_URL: 'smtps://mail.internal',
    MAIL_FROM: 'no-reply@countersign.internal',
    MAIL_KEY: key(),
    PUBLIC_URL: 'https://auth.internal',
    HEALTH_PORT: '8082',
    EVENT_KEK: key(),
    EVENT_MAC_KEY: key(),
    CHECKPOINT_KEY: key(),
  },
} satisfies Record<string, Env>;
type App = keyof typeof GOOD;
const load: Record<App, (env: Env) => unknown> = { gateway: loadGateway, inference: loadInference, audit: loadAudit };

const zeros = `k1:${Buffer.alloc(32).toString('base64url')}`;
/** What is wrong, in which process, which variable is named, its value ('' for unset). */
const ROWS: [what: string, app: App, variable: string, value: string][] = [
  ['Redis without TLS', 'gateway', 'REDIS_URL', 'redis://app:canary-pw@redis.internal:6379'],
  ['Redis without a password', 'inference', 'REDIS_URL', 'rediss://canary.internal:6380'],
  ['blobs without TLS', 'inference', 'REDIS_BLOB_URL', 'redis://app:canary-pw@blobs.internal:6379'],
  ['blobs in the Redis that keeps', 'gateway', 'REDIS_BLOB_URL', ''],
  ['blobs in the same server', 'gateway', 'REDIS_BLOB_URL', 'rediss://app:canary-pw@redis.internal:6380/3'],
  ['a write concern of one', 'gateway', 'MONGODB_URI', 'mongodb://canary.internal/countersign?w=1'],
  ['no write concern at all', 'audit', 'MONGODB_URI', 'mongodb://canary.internal/countersign?w=0'],
  ['writes without the journal', 'audit', 'MONGODB_URI', 'mongodb://canary.internal/countersign?journal=false'],
  ['debug in the log', 'gateway', 'LOG_LEVEL', 'debug'],
  ['debug in the log', 'inference', 'LOG_LEVEL', 'debug'],
  ['a key of development', 'gateway', 'SESSION_KEY', key('dev-20261101')],
  ['a key of development among others', 'gateway', 'RESULT_PUBLIC_KEYS', `${key('k1')},${key('dev-20261101')}`],
  ['a key of development', 'inference', 'TEMPLATE_KEK', key('dev-20261101')],
  ['a key that is no secret', 'inference', 'EVIDENCE_KEY', zeros],
  ['a key that is no secret', 'audit', 'MAIL_KEY', zeros],
  ['a default secret', 'gateway', 'AUDIT_SHARED_SECRET', 'change-me-change-me-change-me-change-me'],
  ['a secret of development', 'audit', 'AUDIT_SHARED_SECRET', `dev-20261101-${randomBytes(32).toString('base64url')}`],
  ['audit reads without TLS', 'audit', 'AUDIT_TLS_CERT_FILE', ''],
  ['audit reads without TLS', 'gateway', 'AUDIT_TLS_CA_FILE', ''],
  ['no word about proxies (http B3)', 'gateway', 'TRUSTED_PROXIES', ''],
  ['proxies that are everybody (http E)', 'gateway', 'TRUSTED_PROXIES', '0.0.0.0/1,128.0.0.0/1'],
  ['no key for the proofs of events (core 5)', 'gateway', 'EVENT_MAC_KEY', ''],
  ['no key for the proofs of events (core 5)', 'audit', 'EVENT_MAC_KEY', ''],
  ['a missing key', 'inference', 'FRAME_PRIVATE_KEYS', ''],
  ['a name twice', 'inference', 'FRAME_PRIVATE_KEYS', `${key('k1')},${key('k1')}`],
];
const lineOf = (variable: string): RegExp => new RegExp(`^ *${variable}: must `, 'm');

describe('T38: what production refuses to start with', () => {
  it.each(Object.keys(GOOD) as App[])('%s takes a configuration that is fit for it', (app) => {
    expect(() => load[app](GOOD[app])).not.toThrow();
  });

  it.each(ROWS)('%s (%s, %s)', (_what, app, variable, value) => {
    const attempt = (): unknown => load[app]({ ...GOOD[app], [variable]: value });
    expect(attempt).toThrow(lineOf(variable));
    expect(attempt).not.toThrow(/canary/);
    // Nothing else is complained about.
    expect(attempt).not.toThrow(/must[^]*must/);
  });

  it.each([
    ['gateway', 'REDIS_URL', 'redis://app:canary-pw@127.0.0.1:1'],
    ['inference', 'TEMPLATE_KEK', key('dev-canary')],
    ['audit', 'MONGODB_URI', 'mongodb://127.0.0.1:1/canary?w=1'],
  ] as const)(
    'the %s process ends at once with a line that names %s',
    async (app, variable, value) => {
      const started = performance.now();
      const { code, output } = await run(app, { ...GOOD[app], [variable]: value });
      expect(performance.now() - started).toBeLessThan(EXIT_MS);
      expect(code).toBe(1);
      expect(output).toMatch(lineOf(variable));
      expect(output).not.toContain('canary');
    },
    60_000,
  );
});

function run(app: App, env: Env): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [path.join(ROOT, `dist/apps/${app}/src/main.js`)], { cwd: ROOT, env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}
