import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { env as fragments, parseEnv } from '#config';
import { SHUTDOWN_GRACE_MS } from '#queue';
import { type Program, repositoryRoot, temporaryFolder } from '#stack';
import { auditConfigSchema } from '../../apps/audit/src/config.js';
import { newSecrets } from '../../apps/cli/src/init/secrets.js';
import { gatewayEnvSchema } from '../../apps/gateway/src/config.js';
import { inferenceConfigSchema } from '../../apps/inference/src/config.js';
import { WORKER_LAUNCH } from '../../tools/stack/src/worker-launch.js';
import { type Composition, compositionOf, findCompose, PROFILES, runConfig, type Service, variableNames } from './compose.js'; // prettier-ignore
import { problemsOf } from './config-problems.js';

jest.setTimeout(120_000);

const MOUNT = '/run/secrets/countersign';
const MIGRATE = z.object({
  MONGODB_URI: fragments.mongoUri,
  EVENT_MAC_KEY: fragments.keySet.optional(),
  NODE_ENV: fragments.nodeEnv,
});
const CLI = z.object({
  ...MIGRATE.shape,
  REDIS_URL: fragments.redisUrl,
  REDIS_BLOB_URL: fragments.redisUrl,
  PUBLIC_URL: fragments.publicUrl,
  MODEL_MANIFEST: fragments.path,
  SMTP_URL: fragments.smtpUrl,
  MAIL_KEY: fragments.keySet,
  AUDIT_CHECKPOINT_FILE: fragments.path,
  ERASURE_HOLD_HOURS: fragments.hours,
  ALLOW_OLD_REDIS: fragments.allowOld,
  ALLOW_OLD_MONGODB: fragments.allowOld,
});
const OURS: Record<string, z.ZodObject> = {
  gateway: gatewayEnvSchema,
  inference: inferenceConfigSchema,
  audit: auditConfigSchema,
  migrate: MIGRATE,
  cli: CLI,
};
/** What the runtimes read, and the commands of the operator beyond what `doctor` does. */
const OF_THE_PLATFORM = ['ORT_DISABLE_TELEMETRY', 'NODE_EXTRA_CA_CERTS', 'MALLOC_ARENA_MAX', 'LOG_LEVEL', 'PUBLIC_URL', 'CHECKPOINT_VKEY']; // prettier-ignore
const ONE_SHOTS = ['migrate', 'mongodb-init', 'init', 'cli', 'tests'];
const OUTSIDE = ['front', 'mail'];

const service = (composition: Composition, name: string): Service => {
  const found = composition.services[name];
  if (!found) throw new Error(`no service ${name}`);
  return found;
};
const seconds = (text: string | undefined): number => {
  const [, minutes = '0', rest = '0'] = /^(?:(\d+)m)?(?:(\d+)s)?$/.exec(text ?? '') ?? [];
  return Number(minutes) * 60 + Number(rest);
};

describe.each([...PROFILES, 'tools'] as const)('docker-compose.yml, profile %s', (profile) => {
  let compose: Program;
  let composition: Composition;
  beforeAll(async () => {
    compose = await findCompose();
    composition = compositionOf(compose, profile);
  });

  it('is a composition', () => {
    expect(runConfig(compose, profile, { args: ['-q'] })).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  it('every service runs as somebody, may write to nothing but its volumes, may become nobody else, and has limits', () => {
    for (const [name, one] of Object.entries(composition.services)) {
      expect({ name, ...one }).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        cap_add: [],
        security_opt: ['no-new-privileges:true'],
        privileged: false,
      });
      expect(Number(one.deploy.resources.limits.memory)).toBeGreaterThan(0);
      expect(one.deploy.resources.limits.pids).toBeGreaterThan(0);
      expect({ name, user: one.user }).toEqual({ name, user: name === 'init' ? '0:0' : expect.stringMatching(/^[1-9]\d*:[1-9]\d*$/) as string }); // prettier-ignore
      expect(one.image).toMatch(/[:@]v?\w[\w.:]*$/);
      expect(one.image).not.toMatch(/:latest$/);
      for (const volume of one.volumes) {
        expect(volume.source).not.toMatch(/docker\.sock|^\/(?!.*(secrets|deploy))/);
        // The writable ones: data of servers, audit's volume, and where init writes.
        if (!volume.read_only) expect(`${name}:${volume.target}`).toMatch(/^(redis:\/data|mongodb:\/data\/db|audit:\/var\/lib\/countersign|init:\/secrets)$/); // prettier-ignore
      }
    }
  });

  it('a process sees the secrets of its own folder only, as one of their group', () => {
    for (const [name, one] of Object.entries(composition.services)) {
      const folders = one.volumes.filter(({ source }) => /\/secrets(\/|$)/.test(source ?? ''));
      const folder = name === 'mongodb-init' ? 'mongodb' : name;
      if (name === 'mail') expect(folders).toEqual([]);
      else if (name === 'init') expect(folders).toMatchObject([{ target: '/secrets' }]);
      else expect(folders).toMatchObject([{ source: path.join(repositoryRoot(), 'secrets', folder), target: MOUNT, read_only: true }]); // prettier-ignore
      if (folders.length > 0) expect([one.user?.split(':')[1], ...one.group_add]).toContain('10001');
    }
  });

  it('only the proxy, and the catcher of mails for this machine, have a port outside', () => {
    const open = Object.entries(composition.services).flatMap(([name, { ports }]) =>
      ports.map(({ target, host_ip: host }) => `${name} ${host ?? ''} ${target}`),
    );
    const mail = profile === 'dev' || profile === 'test' ? ['mail 127.0.0.1 8025'] : [];
    expect(open.sort()).toEqual([...mail, ...(profile === 'tools' ? [] : ['nginx  8443'])]);
  });
});

describe('docker-compose.yml', () => {
  let compose: Program;
  let production: Composition;
  let tools: Composition;
  beforeAll(async () => {
    compose = await findCompose();
    production = compositionOf(compose, 'production');
    tools = compositionOf(compose, 'tools');
  });

  it('production has a proxy, two gateways, two workers, one audit, databases with their set-up, and no catcher', () => {
    expect(Object.keys(production.services).sort()).toEqual(
      ['nginx', 'gateway', 'inference', 'audit', 'migrate', 'redis', 'redis-blobs', 'mongodb', 'mongodb-init'].sort(),
    );
    const replicas = ['gateway', 'inference', 'audit'].map((name) => service(production, name).deploy.replicas);
    expect(replicas).toEqual([2, 2, 1]);
    expect(Object.keys(compositionOf(compose, 'dev').services)).toContain('mail');
    expect(Object.keys(compositionOf(compose, 'test').services)).toEqual(expect.arrayContaining(['mail', 'tests']));
  });

  it('nothing starts without a mail server named', () => {
    const { status, stderr } = runConfig(compose, 'production', { args: ['-q'], changed: { SMTP_URL: '' } });
    expect(status).not.toBe(0);
    expect(stderr).toContain('SMTP_URL must name your mail server');
  });

  it('networks: the worker reaches its Redis and nothing else; databases reach nothing outside', () => {
    const networksOf = (name: string): string[] => Object.keys(service(production, name).networks).sort();
    expect(Object.fromEntries(Object.keys(production.services).map((name) => [name, networksOf(name)]))).toEqual({
      nginx: ['front'],
      gateway: ['data', 'front', 'queue'],
      inference: ['queue'],
      audit: ['data', 'mail', 'queue'],
      migrate: ['data'],
      redis: ['queue'],
      'redis-blobs': ['queue'],
      mongodb: ['data'],
      'mongodb-init': ['data'],
    });
    for (const [name, network] of Object.entries(production.networks))
      expect({ name, internal: network?.internal ?? false }).toEqual({ name, internal: !OUTSIDE.includes(name) });
    expect(service(tools, 'init')).toMatchObject({ network_mode: 'none', networks: {} });
  });

  it('each process is given the variables that its schema has, and all that it demands in production', async () => {
    const dir = temporaryFolder('compose-secrets');
    try {
      for (const [folder, files] of Object.entries(await newSecrets('localhost'))) {
        fs.mkdirSync(path.join(dir, folder));
        for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(dir, folder, name), content);
      }
      for (const [name, schema] of Object.entries(OURS)) {
        const { environment } = service(name === 'cli' ? tools : production, name);
        const known = [...Object.keys(schema.shape), ...OF_THE_PLATFORM];
        const unknown = Object.keys(environment).filter((variable) => !known.includes(variable) && !known.includes(variable.replace(/_FILE$/, ''))); // prettier-ignore
        expect({ name, unknown }).toEqual({ name, unknown: [] });
        const mounted = Object.fromEntries(
          Object.entries(environment).map(([key, value]) => [key, value.replace(MOUNT, path.join(dir, name))]),
        );
        expect({ name, problems: problemsOf(() => parseEnv(schema, mounted)) }).toEqual({ name, problems: [] });
        // Every file that is named is one that init makes, and without one of them the process would say so.
        const files = Object.entries(mounted).filter(([, value]) => value.startsWith(`${dir}/`));
        expect(files.length).toBeGreaterThanOrEqual(2);
        for (const [, file] of files) expect(fs.existsSync(file)).toBe(true);
        const { MONGODB_URI_FILE, REDIS_URL_FILE, ...less } = mounted;
        expect(problemsOf(() => parseEnv(schema, less))).toEqual(
          [REDIS_URL_FILE && 'REDIS_URL', MONGODB_URI_FILE && 'MONGODB_URI'].filter(Boolean).sort(inOrderOf(schema)),
        );
      }
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  });

  it('one Redis is written to disk and one is not; both forget nothing, over TLS, by users of their own', () => {
    for (const name of ['redis', 'redis-blobs']) {
      const given = (service(production, name).command ?? []).join(' ');
      expect(given).toContain('--port 0 --tls-port 6379');
      expect(given).toContain('--maxmemory-policy noeviction');
      expect(given).toContain(`--aclfile ${MOUNT}/users.acl`);
      expect(given).toContain(`--save  --appendonly ${name === 'redis' ? 'yes' : 'no'}`);
    }
    expect(service(production, 'redis').volumes).toContainEqual(expect.objectContaining({ type: 'volume', target: '/data' })); // prettier-ignore
    expect(service(production, 'redis-blobs').volumes.filter(({ type }) => type === 'volume')).toEqual([]);
    // Gateways refuse before it is full.
    const { BLOB_BYTES_MAX } = gatewayEnvSchema.shape;
    const limit = /--maxmemory (\d+)mb/.exec((service(production, 'redis-blobs').command ?? []).join(' '))?.[1];
    expect(Number(limit) * 1024 * 1024).toBeGreaterThan(BLOB_BYTES_MAX.parse(undefined));
  });

  it('the database is brought to its version before the processes start, and nobody waits for what has no health', () => {
    for (const name of ['gateway', 'audit'])
      expect(service(production, name).depends_on.migrate?.condition).toBe('service_completed_successfully');
    for (const [name, one] of Object.entries(production.services))
      for (const [on, { condition }] of Object.entries(one.depends_on)) {
        const target = service(production, on);
        expect(condition).toBe(ONE_SHOTS.includes(on) ? 'service_completed_successfully' : 'service_healthy');
        // Ours have theirs in the image.
        if (condition === 'service_healthy' && !target.build) expect({ name, on, test: target.healthcheck?.test[0] }).toEqual({ name, on, test: 'CMD' }); // prettier-ignore
      }
  });

  it('who is told to end is given the time that the code takes for it', () => {
    const grace = (name: string): number => seconds(service(production, name).stop_grace_period);
    const drain = gatewayEnvSchema.shape.SHUTDOWN_DRAIN_SECONDS.parse(undefined);
    expect(grace('gateway')).toBeGreaterThanOrEqual(drain + 10);
    expect(grace('inference')).toBeGreaterThanOrEqual(SHUTDOWN_GRACE_MS / 1000 + 10);
    expect(grace('audit')).toBeGreaterThanOrEqual(SHUTDOWN_GRACE_MS / 1000 + 10);
  });

  it('a worker is launched as npm start launches it; captures are no more than the workers decide', () => {
    const { environment, deploy } = service(production, 'inference');
    expect(environment).toMatchObject(WORKER_LAUNCH.env);
    const cores = Number(environment.INFERENCE_THREADS) * (deploy.replicas ?? 0);
    const captures = Number(service(production, 'gateway').environment.CAPTURES_MAX);
    expect(captures).toBeGreaterThanOrEqual(cores * 25);
    expect(captures).toBeLessThanOrEqual(cores * 25 * 1.5);
  });

  it('.env.example explains each variable that the file reads, and no other', () => {
    const { read, explained } = variableNames();
    expect([...explained].sort()).toEqual([...read, 'COMPOSE_PROFILES'].sort());
    const text = fs.readFileSync(path.join(repositoryRoot(), '.env.example'), 'utf8');
    for (const block of text.trim().split(/\n\n+/)) expect(block).toMatch(/^# /);
  });

  it('the proxy keeps the settings that docs/proxies.md asks of one', () => {
    const conf = fs.readFileSync(path.join(repositoryRoot(), 'deploy/nginx.conf'), 'utf8');
    const location = /location \/ \{([^}]*)\}/.exec(conf)?.[1] ?? '';
    const document = fs.readFileSync(path.join(repositoryRoot(), 'docs/proxies.md'), 'utf8');
    const asked = /```nginx\nlocation \/ \{([^}]*)\}/.exec(document)?.[1] ?? '';
    const settings = (text: string): string[] => [...text.matchAll(/^\s*(\w+ [^;]+);/gm)].map(([, line]) => line ?? '');
    const wanted = settings(asked).filter((line) => !line.startsWith('proxy_pass'));
    expect(wanted.length).toBeGreaterThanOrEqual(6);
    expect(settings(location)).toEqual(expect.arrayContaining(wanted));
    expect(service(production, 'gateway').environment.TRUSTED_PROXIES).toBe('172.30.10.0/24');
  });
});

const inOrderOf =
  (schema: z.ZodObject) =>
  (a: string | undefined, b: string | undefined): number =>
    Object.keys(schema.shape).indexOf(a ?? '') - Object.keys(schema.shape).indexOf(b ?? '');
