import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { env as fragments, parseEnv } from '#config';
import { SHUTDOWN_GRACE_MS } from '#queue';
import { sealingPublicKey, signingPublicKey } from '#sealing';
import { repositoryRoot, temporaryFolder } from '#stack';
import { auditConfigSchema } from '../../apps/audit/src/config.js';
import { gatewayEnvSchema } from '../../apps/gateway/src/config.js';
import { inferenceConfigSchema } from '../../apps/inference/src/config.js';
import { WORKER_LAUNCH } from '../../tools/stack/src/worker-launch.js';
import { problemsOf } from './config-problems.js';
import { build, findKustomize, type KubernetesObject, typeErrors, validationErrors } from './kustomize.js';

jest.setTimeout(120_000);

const labels = z.record(z.string(), z.string());
const variableSchema = z.strictObject({ name: z.string(), value: z.string() });
const probeSchema = z.looseObject({
  httpGet: z.strictObject({ path: z.string(), port: z.string() }).optional(),
  periodSeconds: z.number(),
  failureThreshold: z.number().default(3),
});
const containerSchema = z.looseObject({
  image: z.string(),
  env: z.array(variableSchema).default([]),
  envFrom: z.array(z.strictObject({ configMapRef: z.strictObject({ name: z.string() }) })).default([]),
  ports: z.array(z.looseObject({ name: z.string(), containerPort: z.number() })).default([]),
  resources: z.strictObject({
    requests: z.strictObject({ cpu: z.string(), memory: z.string() }),
    limits: z.strictObject({ memory: z.string() }),
  }),
  startupProbe: probeSchema.optional(),
  readinessProbe: probeSchema.optional(),
  livenessProbe: probeSchema.optional(),
});
const workloadSchema = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({
    replicas: z.number().optional(),
    strategy: z.looseObject({ type: z.string().optional() }).optional(),
    selector: z.strictObject({ matchLabels: labels }).optional(),
    template: z.looseObject({
      metadata: z.looseObject({ labels }),
      spec: z.looseObject({
        terminationGracePeriodSeconds: z.number().optional(),
        containers: z.array(containerSchema).length(1),
      }),
    }),
  }),
});
type Workload = z.output<typeof workloadSchema>;

/** Overlays with the components that a site may add: each has to build, and to keep every rule below. */
const SETUPS = [
  ['dev', []],
  ['dev', ['hpa']],
  ['production', []],
  ['production', ['gateway-api', 'external-secrets', 'prometheus-operator']],
] as const;

const PROCESSES = { gateway: gatewayEnvSchema, inference: inferenceConfigSchema, audit: auditConfigSchema } as const;
const OURS = [...Object.keys(PROCESSES), 'migrate'];
/** What the platform reads and none of our schemas: the runtime's own, and node's. */
const OF_THE_PLATFORM = ['ORT_DISABLE_TELEMETRY', 'NODE_EXTRA_CA_CERTS', 'MALLOC_ARENA_MAX'];

const KNOWN = [...Object.values(PROCESSES).flatMap(({ shape }) => Object.keys(shape)), ...OF_THE_PLATFORM];
const isKnown = (variable: string): boolean =>
  KNOWN.includes(variable) || KNOWN.includes(variable.replace(/_FILE$/, ''));
const MIGRATE = z.object({
  MONGODB_URI: fragments.mongoUri,
  EVENT_MAC_KEY: fragments.keySet.optional(),
  NODE_ENV: fragments.nodeEnv,
});
const schemaOf = (process: string): z.ZodObject =>
  new Map<string, z.ZodObject>(Object.entries(PROCESSES)).get(process) ?? MIGRATE;

const workloads = (objects: readonly KubernetesObject[]): Workload[] =>
  objects
    .filter(({ kind }) => ['Deployment', 'StatefulSet', 'Job'].includes(kind))
    .map((object) => workloadSchema.parse(object));
const ours = (objects: readonly KubernetesObject[]): Workload[] =>
  workloads(objects).filter(({ metadata }) => OURS.includes(metadata.name));
const named = (objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
};
function containerOf({ spec, metadata }: Workload): z.output<typeof containerSchema> {
  const [container] = spec.template.spec.containers;
  if (!container) throw new Error(`${metadata.name} has no container`);
  return container;
}

/** The environment that a container would see: its own variables over those of its config maps. */
function environment(objects: readonly KubernetesObject[], workload: Workload): Record<string, string> {
  const { env, envFrom } = containerOf(workload);
  const maps = envFrom.map(({ configMapRef: { name } }) =>
    z.looseObject({ data: z.record(z.string(), z.string()) }).parse(named(objects, 'ConfigMap', name)),
  );
  const own = env.map(({ name, value }) => [name, value] as const);
  return Object.fromEntries([...maps.flatMap(({ data }) => Object.entries(data)), ...own]);
}

describe.each(SETUPS)('k8s: overlay %s with %j', (overlay, components) => {
  let objects: KubernetesObject[];
  beforeAll(async () => {
    objects = build(await findKustomize(), overlay, components);
  });

  it('each object has only fields that its kind has, and all that it needs', () => {
    expect(typeErrors(objects)).toEqual([]);
    expect(validationErrors(objects)).toEqual([]);
  });

  it('every pod fits the restricted Pod Security Standard, and nothing it runs may be written to but volumes', () => {
    const containers = workloads(objects).map((workload) => ({ workload, container: containerOf(workload) }));
    expect(containers.length).toBeGreaterThanOrEqual(4);
    for (const { workload, container } of containers) {
      expect(workload.spec.template.spec).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: expect.any(Number) as number,
          seccompProfile: { type: 'RuntimeDefault' },
        },
      });
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(workload.spec.template.spec).not.toHaveProperty('hostNetwork');
      for (const volume of z.array(z.looseObject({})).parse(workload.spec.template.spec.volumes ?? []))
        expect(volume).not.toHaveProperty('hostPath');
    }
  });

  it('every image has a tag of its own, and memory has a limit but no processor has', () => {
    for (const workload of workloads(objects)) {
      const { image, resources } = containerOf(workload);
      expect(image).toMatch(/:v?\d+[\w.]*$/);
      expect(Object.keys(resources.limits)).toEqual(['memory']);
    }
  });

  it('selectors choose the pods of their own template', () => {
    for (const { spec } of workloads(objects))
      if (spec.selector) expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels);
    const pods = workloads(objects).map(({ spec }) => spec.template.metadata.labels);
    const services = objects.filter(({ kind }) => kind === 'Service');
    expect(services.length).toBeGreaterThanOrEqual(2);
    for (const service of services) {
      const { spec } = z.looseObject({ spec: z.looseObject({ selector: labels }) }).parse(service);
      const chosen = pods.filter((pod) => Object.entries(spec.selector).every(([key, value]) => pod[key] === value));
      expect(chosen).toHaveLength(1);
    }
  });

  it('the environment is one that each process knows, and the whole of what it needs', () => {
    const secrets = secretFiles(overlay === 'production');
    for (const workload of ours(objects)) {
      const { name } = workload.metadata;
      const schema = schemaOf(name);
      const given = environment(objects, workload);
      expect(given.ORT_DISABLE_TELEMETRY ?? '1').toBe('1');
      expect(Object.keys(given).filter((variable) => !isKnown(variable))).toEqual([]);
      const mounted = Object.fromEntries(
        Object.entries(given).map(([key, value]) => [key, value.replace('/run/secrets/countersign', secrets)]),
      );
      expect(problemsOf(() => parseEnv(schema, mounted))).toEqual([]);
      // The test is no better than what it gives: each secret that is left out is missed.
      const { MONGODB_URI_FILE, REDIS_URL_FILE, ...less } = mounted;
      expect(problemsOf(() => parseEnv(schema, less))).toEqual(
        [MONGODB_URI_FILE && 'MONGODB_URI', REDIS_URL_FILE && 'REDIS_URL'].filter(Boolean),
      );
    }
  });

  it('no secret is in it: each process mounts one of its own name, readable by its group', () => {
    expect(objects.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    for (const { metadata, spec } of ours(objects))
      expect(spec.template.spec.volumes).toContainEqual({
        name: 'secrets',
        secret: { secretName: metadata.name, defaultMode: 0o440 },
      });
  });

  it('probes ask for what the processes answer, by a port that they have, and a slow start is waited for', () => {
    for (const workload of ours(objects).filter(({ kind }) => kind === 'Deployment')) {
      const { startupProbe, readinessProbe, livenessProbe, ports } = containerOf(workload);
      expect(startupProbe?.httpGet?.path).toBe('/health/live');
      expect(readinessProbe?.httpGet?.path).toBe('/health/ready');
      expect(livenessProbe?.httpGet?.path).toBe('/health/live');
      for (const probe of [startupProbe, readinessProbe, livenessProbe])
        expect(ports.map(({ name }) => name)).toContain(probe?.httpGet?.port);
      expect((startupProbe?.periodSeconds ?? 0) * (startupProbe?.failureThreshold ?? 0)).toBeGreaterThanOrEqual(60);
      const given = environment(objects, workload);
      const port = workload.metadata.name === 'gateway' ? given.GATEWAY_PORT : given.HEALTH_PORT;
      const host = workload.metadata.name === 'gateway' ? given.GATEWAY_HOST : given.HEALTH_HOST;
      expect({ host, port: Number(port) }).toEqual({
        host: '0.0.0.0',
        port: ports.find(({ name }) => name === readinessProbe?.httpGet?.port)?.containerPort,
      });
    }
  });

  it('who is told to end is given the time that the code takes for it', () => {
    const graceOf = (name: string): number =>
      ours(objects).find(({ metadata }) => metadata.name === name)?.spec.template.spec.terminationGracePeriodSeconds ??
      0;
    const drain = gatewayEnvSchema.shape.SHUTDOWN_DRAIN_SECONDS.parse(undefined);
    expect(graceOf('gateway')).toBeGreaterThanOrEqual(drain + 10);
    expect(graceOf('inference')).toBeGreaterThanOrEqual(SHUTDOWN_GRACE_MS / 1000 + 10);
    expect(graceOf('audit')).toBeGreaterThanOrEqual(SHUTDOWN_GRACE_MS / 1000 + 10);
  });

  it('a worker is launched as npm start launches it, with a thread for each core that it asks for', () => {
    const worker = ours(objects).find(({ metadata }) => metadata.name === 'inference');
    if (!worker) throw new Error('no worker');
    expect(environment(objects, worker)).toMatchObject(WORKER_LAUNCH.env);
    expect(environment(objects, worker).INFERENCE_THREADS).toBe(containerOf(worker).resources.requests.cpu);
  });

  it('audit is alone, and is gone before the next one comes', () => {
    const audit = ours(objects).find(({ metadata }) => metadata.name === 'audit');
    expect(audit?.spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
  });

  it('nothing is reached that no policy names: the worker reaches its Redis and names only', () => {
    expect(named(objects, 'NetworkPolicy', 'deny-all')).toMatchObject({
      spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
    });
    const policySchema = z.looseObject({
      metadata: z.looseObject({ name: z.string() }),
      spec: z.looseObject({
        podSelector: z.looseObject({
          matchLabels: labels.optional(),
          matchExpressions: z.array(z.looseObject({ values: z.array(z.string()) })).optional(),
        }),
        egress: z.array(z.looseObject({ ports: z.array(z.looseObject({ port: z.number() })) })).default([]),
      }),
    });
    const worker =
      ours(objects).find(({ metadata }) => metadata.name === 'inference')?.spec.template.metadata.labels ?? {};
    const ports = objects
      .filter(({ kind }) => kind === 'NetworkPolicy')
      .map((object) => policySchema.parse(object).spec)
      .filter(({ podSelector: { matchLabels = {}, matchExpressions = [] } }) => {
        const isOwn = Object.entries(matchLabels).every(([key, value]) => worker[key] === value);
        return isOwn && matchExpressions.every(({ values }) => values.includes('inference'));
      })
      .flatMap(({ egress }) => egress.flatMap((rule) => rule.ports.map(({ port }) => port)));
    expect(new Set(ports)).toEqual(new Set([53, 6379]));
  });
});

describe('k8s: scaling', () => {
  let objects: KubernetesObject[];
  beforeAll(async () => {
    objects = build(await findKustomize(), 'production', []);
  });

  it('the checks name a misspelt field, a wrong type and a missing one', () => {
    const gateway = named(objects, 'Deployment', 'gateway');
    const spec = z.looseObject({}).parse(gateway.spec);
    const without = Object.fromEntries(Object.entries(spec).filter(([key]) => key !== 'selector'));
    expect(typeErrors([{ ...gateway, spec: { ...spec, revisionHistoryLimt: 5 } }]).join()).toContain(
      'revisionHistoryLimt',
    );
    expect(typeErrors([{ ...gateway, spec: { ...spec, replicas: '2' } }])).toHaveLength(1);
    expect(validationErrors([{ ...gateway, spec: without }])).toHaveLength(1);
  });

  it('KEDA never scales to none, and counts jobs that wait well below the limit of admission', () => {
    const { spec } = z
      .looseObject({
        spec: z.looseObject({
          minReplicaCount: z.number(),
          maxReplicaCount: z.number(),
          fallback: z.looseObject({ replicas: z.number(), behavior: z.string() }),
          triggers: z.array(z.looseObject({ type: z.string(), metadata: labels })),
        }),
      })
      .parse(named(objects, 'ScaledObject', 'inference'));
    expect(spec.minReplicaCount).toBeGreaterThanOrEqual(2);
    expect(spec.fallback).toMatchObject({ behavior: 'currentReplicasIfHigher' });
    expect(spec.fallback.replicas).toBeGreaterThan(spec.minReplicaCount);
    const [queue, processor] = spec.triggers;
    expect(queue?.metadata.listName).toBe('bull:face:wait');
    const admission = gatewayEnvSchema.shape.JOBS_PER_WORKER_MAX.parse(undefined);
    expect(Number(queue?.metadata.listLength)).toBeLessThanOrEqual(admission / 4);
    expect(processor?.type).toBe('cpu');
    // With a minimum of one or more KEDA does not read them.
    expect(spec).not.toHaveProperty('pollingInterval');
    expect(spec).not.toHaveProperty('cooldownPeriod');
  });

  it('CAPTURES_MAX lets in as many captures as all workers can decide, and not many more', () => {
    const gateway = workloads(objects).find(({ metadata }) => metadata.name === 'gateway');
    const { spec } = z
      .looseObject({ spec: z.looseObject({ maxReplicaCount: z.number() }) })
      .parse(named(objects, 'ScaledObject', 'inference'));
    if (!gateway) throw new Error('no gateway');
    // 25 live captures keep one core busy (docs/performance.md: 118 frames a second; a capture sends some 120 in 25 s).
    const wanted = spec.maxReplicaCount * 25;
    const max = Number(environment(objects, gateway).CAPTURES_MAX);
    expect(max).toBeGreaterThanOrEqual(wanted);
    expect(max).toBeLessThanOrEqual(wanted * 1.5);
  });

  it('a budget of disruptions leaves one that may go', () => {
    for (const name of ['gateway', 'inference']) {
      const { spec } = z
        .looseObject({ spec: z.looseObject({ minAvailable: z.number() }) })
        .parse(named(objects, 'PodDisruptionBudget', name));
      const replicas = workloads(objects).find(({ metadata }) => metadata.name === name)?.spec.replicas ?? 0;
      expect(spec.minAvailable).toBeLessThan(replicas);
    }
  });

  it('every overlay and component is built by this test', () => {
    const list = (folder: string): string[] =>
      fs.readdirSync(path.join(repositoryRoot(), 'k8s', folder)).filter((name) => !name.startsWith('.'));
    expect(list('overlays').sort()).toEqual([...new Set(SETUPS.map(([overlay]) => overlay))].sort());
    const components = SETUPS.flatMap(([, added]): string[] => [...added]);
    expect(list('components').sort()).toEqual([...components, 'keda'].sort()); // keda stands in the production overlay
  });
});

/** A folder with the files that k8s/README.md asks for, fit for production or for a trial. */
function secretFiles(production: boolean): string {
  const dir = temporaryFolder('k8s-secrets');
  const key = (): Buffer => randomBytes(32);
  const written = (bytes: Buffer): string => `k8s:${bytes.toString('base64url')}`;
  const [redis, blobs] = production
    ? ['rediss://app:pw-of-this-test@redis:6379', 'rediss://app:pw-of-this-test@redis-blobs:6379']
    : ['redis://redis:6379', 'redis://redis-blobs:6379'];
  const files = {
    MONGODB_URI: 'mongodb://mongodb:27017/countersign?replicaSet=rs0',
    REDIS_URL: redis,
    REDIS_BLOB_URL: blobs,
    SMTP_URL: 'smtp://mail:1025',
    AUDIT_SHARED_SECRET: key().toString('base64url'),
    SESSION_KEY: written(key()),
    FRAME_PUBLIC_KEY: written(sealingPublicKey(key())),
    FRAME_PRIVATE_KEYS: written(key()),
    RESULT_PUBLIC_KEYS: written(signingPublicKey(key())),
    RESULT_PRIVATE_KEY: written(key()),
    SIMILARITY_PUBLIC_KEY: written(sealingPublicKey(key())),
    SIMILARITY_PRIVATE_KEYS: written(key()),
    EVIDENCE_KEY: written(key()),
    TEMPLATE_KEK: written(key()),
    MAIL_KEY: written(key()),
    EVENT_KEK: written(key()),
    EVENT_MAC_KEY: written(key()),
    CHECKPOINT_KEY: written(key()),
  };
  for (const [name, value] of Object.entries(files)) fs.writeFileSync(path.join(dir, name), value);
  return dir;
}
