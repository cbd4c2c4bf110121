// The images as the Dockerfile makes them: built, looked into, started with real servers beside them, ended as PID 1.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { anyFreePort, appEnvironment, type AppName, developmentCertificate, developmentKeys, exitAs, repositoryRoot, type Services, startServices, temporaryFolder, wrongly } from '#stack'; // prettier-ignore
import { makeBases } from '../containers/bases.js';
import { build, tagOf, type Target, TARGETS } from '../containers/build.js';
import { ContainerHost } from '../containers/host.js';

const SIZE_MAX_MB: Partial<Record<Target, number>> = { gateway: 260, inference: 320, audit: 260 };
/** Folders of dist/apps and packages that a target has no use for. */
const PICTURES = ['onnxruntime-node', 'onnxruntime-common', 'sharp', '@img'];
const DEVELOPMENT = ['jest', 'typescript', 'eslint', 'prettier', 'knip', 'mongodb-memory-server-core'];
const REPORT = 'docs/images.md';
const READY_MS = 120_000;
const HARDENED = ['--read-only', '--read-only-tmpfs=false', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--memory', '512m', '--pids-limit', '128']; // prettier-ignore

const HELP = `npm run test:images -- [OPTIONS]

Builds every target of the Dockerfile with podman of Debian's packages (unpacked privately; root is needed) on stand-ins of
its two base images, looks into each image, starts it with a read-only root beside real servers, and ends it.
About five minutes the first time. Writes ${REPORT}.

  --only gateway,audit   these targets; the report is not touched
  --help                 this text

Exit 0: all as it should be. 1: something is not. 2: called wrongly.`;

const lookSchema = z.object({
  uid: z.number(),
  gid: z.number(),
  folders: z.number(),
  files: z.number(),
  writable: z.array(z.string()),
  programs: z.array(z.string()),
  foreign: z.array(z.string()),
  privileged: z.array(z.string()),
});
const imageSchema = z.looseObject({
  Size: z.number(),
  HealthCheck: z.looseObject({ Test: z.array(z.string()) }).optional(),
  Healthcheck: z.looseObject({ Test: z.array(z.string()) }).optional(),
  Config: z.looseObject({
    User: z.string().optional(),
    StopSignal: z.string().optional(),
    Entrypoint: z.array(z.string()).optional(),
    Env: z.array(z.string()),
    Labels: z.record(z.string(), z.string()).nullable().optional(),
  }),
});

interface Row {
  target: Target;
  megabytes: number;
  files: number;
  readySeconds: number | undefined;
  endSeconds: number | undefined;
}

const failures: string[] = [];
function check(what: string, isSo: boolean, found?: unknown): void {
  console.log(`${isSo ? 'ok ' : 'NO '} ${what}${isSo || found === undefined ? '' : `: ${JSON.stringify(found).slice(0, 600)}`}`); // prettier-ignore
  if (!isSo) failures.push(what);
}
const same = (what: string, found: unknown, wanted: unknown): void =>
  check(what, JSON.stringify(found) === JSON.stringify(wanted), found);

/** What the image says of itself, and what is in it. */
async function look(host: ContainerHost, target: Target): Promise<Pick<Row, 'megabytes' | 'files'>> {
  const [image] = z
    .array(imageSchema)
    .length(1)
    .parse(JSON.parse(await host.podman('image', 'inspect', tagOf(target))));
  const { Size, Config } = image!;
  const megabytes = Math.round(Size / 1e6);
  const bound = SIZE_MAX_MB[target];
  if (bound) check(`${target} is at most ${bound} MB`, megabytes <= bound, megabytes);
  same(`${target} runs as a number`, Config.User, '10001:10001');
  same(`${target} ends by SIGTERM`, Config.StopSignal, 'SIGTERM');
  const health = (image!.HealthCheck ?? image!.Healthcheck)?.Test ?? [];
  if (bound) same(`${target} tells its health without a shell`, health.slice(0, 2), ['CMD', '/usr/local/bin/node']);
  const labels = Config.Labels ?? {};
  for (const label of ['source', 'revision', 'version', 'licenses'])
    check(`${target} has the label ${label}`, Boolean(labels[`org.opencontainers.image.${label}`]));
  check(`${target} forbids the runtime's telemetry`, Config.Env.includes('ORT_DISABLE_TELEMETRY=1'));

  const looked = await host.podman('run', '--rm', '--network', 'none', ...HARDENED, '--volume', '/repository/test/images/look.cjs:/look:ro', '--entrypoint', '/usr/local/bin/node', tagOf(target), '/look'); // prettier-ignore
  const found = lookSchema.parse(JSON.parse(looked));
  same(`${target} is that number, and its group`, [found.uid, found.gid], [10001, 10001]);
  same(`${target} can write in none of its ${found.folders} folders`, found.writable, []);
  same(
    `${target} has one program, node`,
    found.programs.filter((file) => !isOfLoader(file)),
    ['/usr/local/bin/node'],
  );
  same(`${target} has nothing for other systems`, found.foreign, []);
  same(`${target} has nothing with privileges`, found.privileged, []);

  const container = await host.podman('create', '--network', 'none', tagOf(target));
  const names = (await host.must('bash', ['-c', `podman export ${container} | tar -t`])).split('\n');
  await host.podman('rm', container);
  const packages = new Set(names.map((name) => /^app\/node_modules\/(@img|[^/]+)/.exec(name)?.[1]));
  same(
    `${target} has no package of development`,
    DEVELOPMENT.filter((name) => packages.has(name)),
    [],
  );
  const pictures = PICTURES.filter((name) => packages.has(name));
  if (target !== 'tests') same(`${target} ${target === 'inference' ? 'has' : 'does not have'} what looks at pictures`, pictures, target === 'inference' ? PICTURES : []); // prettier-ignore
  const apps = new Set(names.map((name) => /^app\/dist\/apps\/([^/]+)/.exec(name)?.[1]).filter(Boolean));
  same(`${target} has its own code only`, [...apps], target === 'tests' ? [] : [target]);
  const ours = names.filter((name) => !name.startsWith('app/node_modules/'));
  same(`${target} has no source, test or setting of the build`, ours.filter((name) => /\.(ts|map)$|\.spec\.|npmrc|\.env/.test(name)), []); // prettier-ignore
  const sbom = await host.podman('run', '--rm', '--network', 'none', '--entrypoint', '/usr/local/bin/node', tagOf(target), '-p', "const s=JSON.parse(require('fs').readFileSync('/app/sbom.cdx.json'));s.bomFormat+' '+(s.components.length>50)"); // prettier-ignore
  same(`${target} carries its list of components`, sbom, 'CycloneDX true');
  return { megabytes, files: found.files };
}

const isOfLoader = (file: string): boolean => /\/ld-linux[^/]*$|\/ld-.*\.so/.test(file);

const PORTS = { gateway: 0, audit: 0, inferenceHealth: 0, auditHealth: 0 };

/** Started as a site starts them, with this machine's network, since the servers listen on its loopback interface. */
class Running {
  readonly dir: string;
  private readonly keys;
  private readonly tls;

  constructor(
    private readonly host: ContainerHost,
    private readonly services: Services,
  ) {
    this.dir = host.work;
    this.keys = developmentKeys(this.dir);
    this.tls = developmentCertificate(this.dir);
  }

  environment(app: AppName): Record<string, string> {
    const settings = { services: this.services, keys: this.keys, auditTls: this.tls, ports: PORTS, checkpointFile: '/var/lib/countersign/checkpoints', inferenceThreads: 1, database: 'images', extra: {} }; // prettier-ignore
    const { PATH: _path, HOME: _home, ...env } = appEnvironment(app, settings);
    const inside = (file: string): string => `/tls/${path.basename(file)}`;
    for (const name of ['AUDIT_TLS_CA_FILE', 'AUDIT_TLS_CERT_FILE', 'AUDIT_TLS_KEY_FILE'])
      if (env[name]) env[name] = inside(env[name]);
    if (env.MODEL_MANIFEST) env.MODEL_MANIFEST = '/app/models/manifest.json';
    return env;
  }

  /** Arguments of `podman create` or `run`. What is secret goes by a file, as arguments are seen by everybody. */
  arguments(name: string, env: Record<string, string>): string[] {
    const file = `${name}.env`;
    fs.writeFileSync(path.join(this.host.work, file), Object.entries(env).map(([key, value]) => `${key}=${value}\n`).join(''), { mode: 0o600 }); // prettier-ignore
    const tls = path.join(this.host.work, 'tls-for-containers');
    fs.mkdirSync(tls, { recursive: true });
    for (const from of Object.values(this.tls)) {
      if (typeof from !== 'string' || !fs.existsSync(from)) continue;
      fs.copyFileSync(from, path.join(tls, path.basename(from)));
      fs.chownSync(path.join(tls, path.basename(from)), 10001, 10001);
    }
    return ['--name', name, '--network', 'host', '--env-file', `/work/${file}`, '--volume', '/work/tls-for-containers:/tls:ro']; // prettier-ignore
  }
}

/** Started, ready, told to end: exit 0. Nothing that it connects to is outside. */
async function start(
  host: ContainerHost,
  running: Running,
  app: AppName,
): Promise<Pick<Row, 'readySeconds' | 'endSeconds'>> {
  const volume = app === 'audit' ? ['--volume', 'checkpoints-of-test:/var/lib/countersign'] : [];
  const args = [...HARDENED, ...volume, ...running.arguments(app, running.environment(app))];
  await host.podman('create', ...args, tagOf(app));
  // Its process waits to become the program: from here on every system call is seen.
  await host.podman('init', app);
  const pid = await host.podman('inspect', '--format', '{{.State.Pid}}', app);
  const trace = `/work/${app}.trace`;
  const [command, straceArgs] = host.command('strace', ['-f', '-qq', '-e', 'trace=connect,sendto,sendmsg,sendmmsg', '-o', trace, '-p', pid]); // prettier-ignore
  const strace = spawn(command, straceArgs, { stdio: 'ignore' });
  await sleep(500);
  const from = performance.now();
  await host.podman('start', app);
  const port = { gateway: PORTS.gateway, inference: PORTS.inferenceHealth, audit: PORTS.auditHealth }[app];
  const isReady = await until(() => answers(`http://127.0.0.1:${port}/health/ready`));
  const readySeconds = seconds(from);
  check(`${app} is ready on a read-only root, without capabilities`, isReady, isReady ? undefined : await host.run('podman', ['logs', '--tail', '20', app])); // prettier-ignore
  const health = await host.run('podman', ['healthcheck', 'run', app]);
  same(`${app}: its own health check says so`, health.status, 0);
  const stopped = performance.now();
  await host.podman('stop', '--time', '60', app);
  const endSeconds = seconds(stopped);
  same(`${app} ends by SIGTERM as PID 1 with exit 0`, await host.podman('inspect', '--format', '{{.State.ExitCode}}', app), '0'); // prettier-ignore
  strace.kill();
  const text = fs.readFileSync(path.join(host.work, `${app}.trace`), 'utf8');
  const addresses = [...text.matchAll(/inet_addr\("([\d.]+)"\)|inet_pton\(AF_INET6, "([^"]+)"/g)].map(([, four, six]) => four ?? six ?? ''); // prettier-ignore
  check(`${app}: strace saw its connections`, addresses.length > 0);
  same(`${app} connects to nothing outside`, [...new Set(addresses.filter((address) => !/^127\.|^::1$|^::ffff:127\./.test(address)))], []); // prettier-ignore
  await host.podman('rm', '--force', app);
  return { readySeconds, endSeconds };
}

/** With a root that can be written, and nothing that hints at a test (`CI`): no file appears but what is known. */
async function leavesNothing(host: ContainerHost, running: Running): Promise<void> {
  const env = running.environment('inference');
  const changed = async (name: string, args: string[], ready: () => Promise<boolean>): Promise<string[]> => {
    await host.podman(
      'run',
      '--detach',
      '--user',
      '0:0',
      '--env',
      'HOME=/root',
      ...running.arguments(name, env),
      ...args,
    );
    check(`${name} ran`, await until(ready), await host.run('podman', ['logs', '--tail', '5', name]));
    await sleep(2000);
    const files = (await host.podman('diff', name)).split('\n').filter((line) => /^[AC] /.test(line));
    await host.podman('rm', '--force', name);
    return files.filter((line) => !/ \/(run|etc|proc|sys|dev|tls|root|var|tmp)$| \/(run|etc)\//.test(line));
  };
  const isReady = (): Promise<boolean> => answers(`http://127.0.0.1:${PORTS.inferenceHealth}/health/ready`);
  same(
    'inference leaves no file where it could',
    await changed('inference-writable', [tagOf('inference')], isReady),
    [],
  );
  // The same look finds the files of a runtime that was not told to be quiet; it has no network to tell anybody.
  const noisy =
    "process.env.ORT_DISABLE_TELEMETRY='0';delete process.env.ORT_DISABLE_TELEMETRY;const o=require('onnxruntime-node');const fs=require('fs');const m=JSON.parse(fs.readFileSync('/app/models/manifest.json'));const f=fs.readdirSync('/app/models').find((n)=>n.endsWith('.onnx'));o.InferenceSession.create('/app/models/'+f).then(()=>{console.log('created');setTimeout(()=>{},60000)})";
  await host.podman('run', '--detach', '--name', 'noisy', '--network', 'none', '--user', '0:0', '--env', 'HOME=/root', '--entrypoint', '/usr/local/bin/node', tagOf('inference'), '-e', noisy); // prettier-ignore
  await until(async () => (await host.run('podman', ['logs', 'noisy'])).stdout.includes('created'));
  const told = await host.podman('diff', 'noisy');
  await host.podman('rm', '--force', 'noisy');
  check('this look sees a runtime that reports', /DeveloperTools|onnxruntime\.db|deviceid/.test(told), told);
}

async function until(isSo: () => Promise<boolean>): Promise<boolean> {
  const end = performance.now() + READY_MS;
  while (performance.now() < end) {
    if (await isSo()) return true;
    await sleep(250);
  }
  return false;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

const seconds = (from: number): number => Math.round((performance.now() - from) / 100) / 10;

async function main(args: string[]): Promise<number> {
  const options = { only: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ args: args.filter((arg) => arg !== '--'), options }));
  } catch (error) {
    return wrong((error as Error).message);
  }
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const wanted = values.only?.split(',').map((name) => name.trim()) ?? [...TARGETS];
  const unknown = wanted.filter((name) => !(TARGETS as readonly string[]).includes(name));
  if (unknown.length > 0) return wrong(`no target ${unknown.join(', ')}; there are ${TARGETS.join(', ')}`);
  const targets = TARGETS.filter((target) => wanted.includes(target));

  const work = temporaryFolder('images');
  const host = await ContainerHost.start(work);
  let services: Services | undefined;
  try {
    await makeBases(host);
    for (const target of targets) await build(host, target);
    const rows: Row[] = [];
    for (const target of targets) rows.push({ target, ...(await look(host, target)), readySeconds: undefined, endSeconds: undefined }); // prettier-ignore
    services = await startServices({
      dir: path.join(work, 'servers'),
      ephemeral: true,
      log: (line) => console.error(line),
    });
    for (const name of Object.keys(PORTS) as (keyof typeof PORTS)[]) PORTS[name] = await anyFreePort();
    const running = new Running(host, services);
    if (targets.includes('cli')) {
      const { MONGODB_URI = '', NODE_ENV = '' } = running.environment('gateway');
      const migrated = await host.podman('run', '--rm', ...HARDENED, ...running.arguments('migrate', { MONGODB_URI, NODE_ENV }), tagOf('cli'), 'migrate', '--json'); // prettier-ignore
      check('cli migrates a new database', /"to":\d+/.test(migrated.replaceAll(' ', '')), migrated);
    }
    for (const row of rows) {
      const { target } = row;
      if (target === 'gateway' || target === 'inference' || target === 'audit') Object.assign(row, await start(host, running, target)); // prettier-ignore
    }
    if (targets.includes('inference')) await leavesNothing(host, running);
    if (targets.length === TARGETS.length) report(rows);
  } finally {
    await services?.stop();
    await host.stop();
    fs.rmSync(work, { recursive: true, force: true });
  }
  console.log(failures.length === 0 ? 'all as it should be' : `${failures.length} not as they should be:\n  ${failures.join('\n  ')}`); // prettier-ignore
  return failures.length === 0 ? 0 : 1;
}

function report(rows: readonly Row[]): void {
  const lines = rows.map(({ target, megabytes, files, readySeconds, endSeconds }) => `| ${target} | ${megabytes} MB | ${SIZE_MAX_MB[target] ? `${SIZE_MAX_MB[target]} MB` : '–'} | ${files} | ${readySeconds ?? '–'} | ${endSeconds ?? '–'} |`); // prettier-ignore
  const result =
    failures.length === 0 ? 'All checks passed.' : `${failures.length} checks failed: ${failures.join('; ')}.`;
  const [cpu] = os.cpus();
  const text = `# Images

Written by \`npm run test:images\`, not typed by hand. Every target of the Dockerfile, built by podman on stand-ins of its two
base images (the same Debian's packages; no registry of images is asked), then: what it says of itself, no folder that it can write in,
one program and no shell, nothing for other systems, its own code only; gateway, inference and audit started on a read-only root
without capabilities beside real servers, every connection watched by strace, ended by SIGTERM as PID 1.

${new Date().toISOString().slice(0, 10)}, ${os.cpus().length} × ${cpu?.model.trim() ?? 'unknown'}. ${result}

| target | size | at most | files | ready after (s) | ended after (s) |
| --- | --- | --- | --- | --- | --- |
${lines.join('\n')}
`;
  fs.writeFileSync(path.join(repositoryRoot(), REPORT), text);
}

const wrong = (what: string): number => wrongly(what, HELP);

exitAs(main(process.argv.slice(2)));
