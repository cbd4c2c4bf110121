import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { cacheFolder, findProgram, type Program, repositoryRoot } from '#stack';

export const PROFILES = ['dev', 'test', 'production'] as const;
export type Profile = (typeof PROFILES)[number] | 'tools';

const volumeSchema = z.looseObject({
  type: z.string(),
  source: z.string().optional(),
  target: z.string(),
  read_only: z.boolean().default(false),
});
const serviceSchema = z.looseObject({
  image: z.string(),
  build: z.looseObject({ target: z.string() }).optional(),
  user: z.string().optional(),
  group_add: z.array(z.string()).default([]),
  read_only: z.boolean().default(false),
  cap_drop: z.array(z.string()).default([]),
  cap_add: z.array(z.string()).default([]),
  security_opt: z.array(z.string()).default([]),
  privileged: z.boolean().default(false),
  network_mode: z.string().optional(),
  stop_grace_period: z.string().optional(),
  command: z.array(z.string()).nullable().default(null),
  healthcheck: z.looseObject({ test: z.array(z.string()) }).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  networks: z.record(z.string(), z.unknown()).default({}),
  ports: z.array(z.looseObject({ target: z.number(), host_ip: z.string().optional() })).default([]),
  volumes: z.array(volumeSchema).default([]),
  depends_on: z.record(z.string(), z.looseObject({ condition: z.string() })).default({}),
  deploy: z.looseObject({
    replicas: z.number().optional(),
    resources: z.looseObject({ limits: z.looseObject({ memory: z.string(), pids: z.number() }) }),
  }),
});
const configSchema = z.looseObject({
  services: z.record(z.string(), serviceSchema),
  networks: z.record(z.string(), z.looseObject({ internal: z.boolean().default(false) }).nullable()),
  volumes: z.record(z.string(), z.unknown()),
});
export type Service = z.output<typeof serviceSchema>;
export type Composition = z.output<typeof configSchema>;

export const findCompose = (): Promise<Program> =>
  findProgram(
    { name: 'docker-compose', title: 'docker-compose', packages: ['docker-compose'] },
    'usr/libexec/docker/cli-plugins/docker-compose',
    { env: process.env, cache: cacheFolder, log: (line) => console.error(line) },
  );

/** `docker-compose config` for a profile, with the variables of .env.example but for those that are changed. */
export function runConfig(
  compose: Program,
  profile: Profile,
  o: { args: readonly string[]; changed?: Record<string, string> },
): { status: number | null; stdout: string; stderr: string } {
  const root = repositoryRoot();
  const [command, args] = compose.command([
    ...['-f', path.join(root, 'docker-compose.yml'), '--env-file', path.join(root, '.env.example')],
    ...['--profile', profile, 'config', ...o.args],
  ]);
  // Nothing of the developer's own: COMPOSE_FILE and its like would change what is looked at.
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', COMPOSE_PROFILES: profile, ...o.changed };
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env });
  return { status, stdout, stderr };
}

/** What the file says of a profile, all variables and anchors resolved. */
export function compositionOf(compose: Program, profile: Profile): Composition {
  const { status, stdout, stderr } = runConfig(compose, profile, { args: ['--format', 'json'] });
  if (status !== 0) throw new Error(stderr);
  return configSchema.parse(JSON.parse(stdout));
}

/** Names of the variables that docker-compose.yml reads, and of those that .env.example explains. */
export function variableNames(): { read: Set<string>; explained: string[] } {
  const text = (name: string): string => fs.readFileSync(path.join(repositoryRoot(), name), 'utf8');
  const read = [...text('docker-compose.yml').matchAll(/(?<!\$)\$\{([A-Z_]+)/g)].map(([, name]) => name ?? '');
  const explained = [...text('.env.example').matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name ?? '');
  return { read: new Set(read), explained };
}
