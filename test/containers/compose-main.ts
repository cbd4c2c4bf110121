// docker-compose.yml as a site runs it, for real: by docker-compose over podman, on images that the Dockerfile makes.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { anyFreePort, exitAs, repositoryRoot, temporaryFolder, wrongly } from '#stack';
import { makeBases } from './bases.js';
import { build, REGISTRY, TARGETS } from './build.js';
import { ContainerHost, type Ran } from './host.js';
import { makeServers } from './servers.js';

const REPORT = 'docs/composition.md';
const PROJECT = 'countersign';
const COMPOSE = '/usr/libexec/docker/cli-plugins/docker-compose';
const SOCKET = 'unix:///run/podman/podman.sock';
const UP_MS = 300_000;

const HELP = `npm run test:compose -- [OPTIONS]

Runs docker-compose.yml, profile dev, as README says ("Running it"): init, up, the first administrator, doctor, and the
test from outside; then what an operator does and what happens to him: a worker out of memory, workers more and
fewer, gateways restarted one after the other, Redis replaced. By docker-compose over podman of Debian's packages
(unpacked privately; root is needed), on stand-ins for images of others. About ten minutes. Writes ${REPORT}.

  --only first,scale    these parts (${'first, networks, memory, scale, gateways, redis'}); the report is not touched
  --keep                leaves the composition up, right or wrong, until Enter or the end of the input
  --help                this text

Exit 0: all as it should be. 1: something is not. 2: called wrongly.`;

const attemptsSchema = z.object({
  people: z.number(),
  rounds: z.number(),
  outcomes: z.record(z.string(), z.number()),
  charged: z.number(),
  verifiedAfterwards: z.number(),
});
const requestsSchema = z.object({ asked: z.number(), failed: z.number(), first: z.array(z.string()) });

interface Row {
  what: string;
  found: string;
  isSo: boolean;
}

/** docker-compose with these arguments, for `env`. */
const lineOf = (args: readonly string[]): string[] =>
  [`DOCKER_HOST=${SOCKET}`, 'COMPOSE_ANSI=never', COMPOSE, '-f', '/repository/docker-compose.yml', '--env-file', '/work/.env', ...args]; // prettier-ignore

/** The composition, and the commands by which an operator works on it. */
class Composition {
  private ending = false;
  private service: ReturnType<typeof spawn> | undefined;
  private health: Promise<void> | undefined;

  constructor(
    readonly host: ContainerHost,
    private readonly variables: Record<string, string>,
  ) {}

  async start(): Promise<void> {
    const text = Object.entries(this.variables).map(([name, value]) => `${name}=${value}\n`);
    fs.writeFileSync(path.join(this.host.work, '.env'), text.join(''), { mode: 0o600 });
    await this.host.must('mkdir', ['-p', '/run/podman', '/work/secrets']);
    const [command, args] = this.host.command('podman', ['system', 'service', '--time=0', SOCKET]);
    this.service = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    for (let i = 0; i < 100 && (await this.host.run('test', ['-S', '/run/podman/podman.sock'])).status !== 0; i++) await sleep(100); // prettier-ignore
    this.health = this.lookAfter();
  }

  compose(args: readonly string[], timeoutMs = UP_MS): Promise<Ran> {
    return this.host.run('env', lineOf(args), { timeoutMs });
  }

  async must(args: readonly string[], timeoutMs = UP_MS): Promise<Ran> {
    const ran = await this.compose(args, timeoutMs);
    if (ran.status !== 0) throw new Error(`docker-compose ${args.join(' ')}: exit ${ran.status}\n${(ran.stderr + ran.stdout).trim().slice(-3000)}`); // prettier-ignore
    return ran;
  }

  /** A one-shot: what it wrote to standard output. */
  async oneShot(service: string, args: readonly string[], timeoutMs = UP_MS): Promise<Ran> {
    return this.compose(['--profile', 'tools', 'run', '--rm', '--no-deps', '--quiet-pull', '-T', service, ...args], timeoutMs); // prettier-ignore
  }

  /** Names of the containers of a service that run. */
  async containers(service: string): Promise<string[]> {
    const filters = ['--filter', `label=com.docker.compose.project=${PROJECT}`, '--filter', `label=com.docker.compose.service=${service}`]; // prettier-ignore
    return (await this.host.podman('ps', ...filters, '--format', '{{.Names}}')).split('\n').filter(Boolean).sort();
  }

  async isHealthy(container: string): Promise<boolean> {
    return (await this.host.run('podman', ['inspect', '--format', '{{.State.Health.Status}}', container])).stdout.trim() === 'healthy'; // prettier-ignore
  }

  async untilHealthy(service: string, count: number): Promise<boolean> {
    return until(async () => {
      const names = await this.containers(service);
      const states = await Promise.all(names.map((name) => this.isHealthy(name)));
      return names.length === count && states.every(Boolean);
    });
  }

  async stop(): Promise<void> {
    this.ending = true;
    await this.health;
    await this.compose(['--profile', '*', 'down', '--timeout', '5', '--volumes'], 120_000);
    this.service?.kill();
  }

  /** Health checks are systemd's to run with podman, which is not here: a loop runs them. */
  private async lookAfter(): Promise<void> {
    while (!this.ending) {
      const ids = (await this.host.run('podman', ['ps', '--quiet', '--filter', `label=com.docker.compose.project=${PROJECT}`])).stdout.split('\n').filter(Boolean); // prettier-ignore
      for (const id of ids) if (!this.ending) await this.host.run('podman', ['healthcheck', 'run', id], { timeoutMs: 20_000 }); // prettier-ignore
      await sleep(1000);
    }
  }
}

/** Until Enter or the end of the input: for a look around by hand. */
async function enter(host: ContainerHost): Promise<void> {
  const [command, args] = host.command('bash', []);
  console.log(`all of it stays; a shell beside it: ${command} ${args.join(' ')}`);
  await new Promise((resolve) => process.stdin.once('data', resolve).once('end', resolve));
}

async function until(isSo: () => Promise<boolean>, ms = 120_000): Promise<boolean> {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(500)) if (await isSo()) return true;
  return false;
}

const rows: Row[] = [];
function check(what: string, isSo: boolean, found: string): void {
  console.log(`${isSo ? 'ok ' : 'NO '} ${what}: ${found.slice(0, 1500)}`);
  rows.push({ what, found, isSo });
}
const last = ({ stdout, stderr }: Ran): string => (stderr + stdout).trim().split('\n').slice(-12).join('\n');

/** README's own commands, in their order. */
async function first(it: Composition): Promise<void> {
  const init = await it.oneShot('init', []);
  check('`run --rm init` makes the secrets', init.status === 0, init.status === 0 ? 'exit 0' : last(init));
  const again = await it.oneShot('init', []);
  check('a second `init` refuses to overwrite them', again.status !== 0, `exit ${again.status}`);
  const from = performance.now();
  const up = await it.compose(['up', '--detach', '--no-build', '--pull', 'never']);
  check('`up -d` starts all services; init of MongoDB and migrate ran', up.status === 0, up.status === 0 ? `${Math.round((performance.now() - from) / 1000)} s` : `${last(up)}\n${await logs(it)}`); // prettier-ignore
  if (up.status !== 0) throw new Error('the composition does not come up');
  for (const [service, count] of Object.entries({ gateway: 2, inference: 2, audit: 1 }))
    check(`${count} × ${service} healthy`, await it.untilHealthy(service, count), (await it.containers(service)).join(', ')); // prettier-ignore
  const admin = await it.oneShot('cli', ['admin', 'create', 'ada@example.org', '--link']);
  check('`cli admin create --link` prints a link', admin.status === 0 && /https:\/\/\S+token=/.test(admin.stdout), admin.status === 0 ? 'a link' : last(admin)); // prettier-ignore
  const client = await it.oneShot('cli', ['client', 'create', 'bank', '--scope', 'introspect']);
  check('`cli client create` makes a credential', client.status === 0, client.status === 0 ? 'exit 0' : last(client));
  const doctor = await it.oneShot('cli', ['doctor']);
  check('`cli doctor` finds nothing wrong', doctor.status === 0, doctor.status === 0 ? 'exit 0' : last(doctor));
  const tests = await it.oneShot('tests', []);
  check('`--profile test run --rm tests`: a person registers by mail, enrols, verifies; another face is refused', tests.status === 0, last(tests)); // prettier-ignore
}

async function logs(it: Composition): Promise<string> {
  const ran = await it.compose(['logs', '--no-color', '--tail', '15']);
  return ran.stdout.slice(-6000);
}

/** From inside a worker: to what it can connect. */
async function networks(it: Composition): Promise<void> {
  const [worker = ''] = await it.containers('inference');
  const [mongodb = ''] = await it.containers('mongodb');
  const address = await it.host.podman('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}', mongodb); // prettier-ignore
  const program =
    "const net=require('net');const [host,port]=process.argv.slice(1);const s=net.connect({host,port:+port});s.setTimeout(4000,()=>{console.log('timeout');process.exit(3)});s.on('connect',()=>{console.log('connected');process.exit(0)});s.on('error',(e)=>{console.log(e.code);process.exit(4)})";
  const to = async (host: string, port: number): Promise<Ran> =>
    it.host.run('podman', ['exec', worker, '/usr/local/bin/node', '-e', program, host, String(port)]);
  const says = ({ stdout }: Ran): string => stdout.trim();
  const redis = await to('redis', 6379);
  check('a worker reaches Redis', redis.status === 0, says(redis));
  for (const [what, host, port] of [
    ['MongoDB by name', 'mongodb', 27017],
    ['MongoDB by address', address.trim(), 27017],
    ['the outside', '192.0.2.1', 443],
    ['the outside, by the mail server’s network', 'mail', 1025],
  ] as const) {
    const ran = await to(host, port);
    check(`a worker does not reach ${what}`, ran.status === 3 || ran.status === 4, says(ran));
  }
}

/** People verify while `act` does something; none of it may cost them. */
async function duringAttempts(
  it: Composition,
  what: string,
  o: { people: number; rounds: number; act: () => Promise<string>; mayEnd?: readonly string[] },
): Promise<void> {
  let begun = false;
  const [command, args] = it.host.command('env', lineOf(['run', '--rm', '--no-deps', '-T', 'tests', 'attempts', '--people', String(o.people), '--rounds', String(o.rounds)])); // prettier-ignore
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    begun ||= text.includes('attempts begin');
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  if (!(await until(async () => begun || child.exitCode !== null, 180_000))) throw new Error(`${what}: no attempts within 3 min\n${stderr}`); // prettier-ignore
  await sleep(4000);
  const done = await o.act();
  const status = await ended;
  if (status !== 0) return check(what, false, `exit ${status}: ${stderr.trim().slice(-1200)}`);
  const found = attemptsSchema.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
  const allowed = new Set(['verified', ...(o.mayEnd ?? [])]);
  const others = Object.keys(found.outcomes).filter((outcome) => !allowed.has(outcome));
  const isSo = others.length === 0 && found.charged === 0 && found.verifiedAfterwards === found.people;
  check(what, isSo, `${done}; ${found.people} people × ${found.rounds}: ${Object.entries(found.outcomes).map(([outcome, n]) => `${n} ${outcome}`).join(', ')}; ${found.charged} charged; afterwards ${found.verifiedAfterwards} of ${found.people} verified`); // prettier-ignore
}

/**
 * Something else in a worker's container takes all the memory that the container may have, and of the two the kernel ends the
 * worker: a lower limit would be refused, or met by giving pages back.
 */
async function memory(it: Composition): Promise<void> {
  await duringAttempts(it, 'a worker out of memory in the middle of attempts costs nobody a strike', {
    people: 3,
    rounds: 3,
    mayEnd: ['error', 'retry'],
    act: async () => {
      const [worker = ''] = await it.containers('inference');
      const of = async (what: string): Promise<string> => (await it.host.run('podman', ['inspect', '--format', `{{${what}}}`, worker])).stdout.trim(); // prettier-ignore
      const before = oomKills();
      await it.host.must('bash', ['-c', `echo 1000 > /proc/${await of('.State.Pid')}/oom_score_adj`]);
      const program = 'const all = []; setInterval(() => all.push(Buffer.alloc(2 ** 24, 1)), 20)';
      await it.host.run('podman', ['exec', worker, '/usr/local/bin/node', '-e', program], { timeoutMs: 60_000 });
      if (!(await until(async () => (await of('.RestartCount')) !== '0'))) throw new Error('the worker was not ended');
      const kills = oomKills() - before;
      if (kills === 0) throw new Error('the worker ended, but not by the kernel for want of memory');
      return 'ended by the kernel, started again';
    },
  });
  check('both workers healthy again', await it.untilHealthy('inference', 2), (await it.containers('inference')).join(', ')); // prettier-ignore
}

/** Processes that the kernel has ended for want of memory, of a container or of the machine, since it started. */
const oomKills = (): number => Number(/^oom_kill (\d+)$/m.exec(fs.readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0);

async function scale(it: Composition): Promise<void> {
  await duringAttempts(it, 'workers 2 → 3 → 1 in the middle of attempts', {
    people: 3,
    rounds: 4,
    act: async () => {
      const to = async (count: number): Promise<void> => {
        await it.must(['up', '--detach', '--no-build', '--no-recreate', '--scale', `inference=${count}`, 'inference']);
        if (!(await it.untilHealthy('inference', count))) throw new Error(`not ${count} workers healthy`);
      };
      await to(3);
      await sleep(8000);
      await to(1);
      return 'scaled';
    },
  });
  await it.must(['up', '--detach', '--no-build', '--no-recreate', '--scale', 'inference=2', 'inference']);
  check('two workers again', await it.untilHealthy('inference', 2), (await it.containers('inference')).join(', '));
}

/** One gateway after the other is told to end and started again, through the proxy that people use. */
async function gateways(it: Composition): Promise<void> {
  const running = it.oneShot('tests', ['requests', '--seconds', '75']);
  await sleep(25_000);
  for (const name of await it.containers('gateway')) {
    await it.host.podman('stop', '--time', '30', name);
    await it.host.podman('start', name);
    if (!(await until(() => it.isHealthy(name)))) throw new Error(`${name} is not healthy again`);
    await sleep(7000);
  }
  const ran = await running;
  if (ran.status !== 0) return check('gateways restarted one after the other under load', false, last(ran));
  const found = requestsSchema.parse(JSON.parse(ran.stdout.trim().split('\n').at(-1) ?? ''));
  check('gateways restarted one after the other under load: no request fails', found.failed === 0 && found.asked > 200, `${found.asked} requests, ${found.failed} failed${found.first.length > 0 ? `: ${found.first.join('; ')}` : ''}`); // prettier-ignore
}

/** Another container on the same data, with another address. */
async function redis(it: Composition): Promise<void> {
  await duringAttempts(it, 'Redis replaced by another container in the middle of attempts', {
    people: 2,
    rounds: 4,
    mayEnd: ['error', 'retry', 'busy', 'unavailable', 'expired', '502', '503', '504'],
    act: async () => {
      const from = performance.now();
      await it.must(['up', '--detach', '--no-build', '--force-recreate', '--no-deps', 'redis']);
      return `replaced within ${Math.round((performance.now() - from) / 1000)} s`;
    },
  });
}

const PARTS = { first, networks, memory, scale, gateways, redis };
type Part = keyof typeof PARTS;

async function main(args: string[]): Promise<number> {
  const options = { only: { type: 'string' }, keep: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const; // prettier-ignore
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
  const names = Object.keys(PARTS) as Part[];
  const wanted = values.only?.split(',').map((name) => name.trim()) ?? names;
  const unknown = wanted.filter((name) => !(names as string[]).includes(name));
  if (unknown.length > 0) return wrong(`no part ${unknown.join(', ')}; there are ${names.join(', ')}`);

  const work = temporaryFolder('compose');
  const host = await ContainerHost.start(work);
  let it: Composition | undefined;
  try {
    await makeBases(host);
    const images = await makeServers(host);
    for (const target of TARGETS) await build(host, target);
    const [https, mail] = [await anyFreePort(), await anyFreePort()];
    it = new Composition(host, {
      ...images,
      REGISTRY,
      VERSION: 'latest',
      COMPOSE_PROFILES: 'dev',
      // A name by which doctor and the test find the proxy from inside.
      PUBLIC_URL: 'https://nginx:8443',
      SMTP_URL: 'smtp://mail:1025',
      SECRETS_DIR: '/work/secrets',
      HTTPS_PORT: String(https),
      MAIL_PORT: String(mail),
      // Attempts of three people at once, on the two cores of one machine.
      CAPTURES_MAX: '20',
      // DocumentDB speaks MongoDB's protocol, and says an older number.
      ALLOW_OLD_MONGODB: 'yes',
    });
    await it.start();
    // The other parts need what the first one makes.
    for (const name of names) if (name === 'first' || wanted.includes(name)) await PARTS[name](it);
    if (!values.only) report();
  } catch (error) {
    check('the run came to its end', false, error instanceof Error ? error.message : String(error));
    if (it) console.error(await logs(it));
  } finally {
    if (values.keep) await enter(host);
    await it?.stop();
    await host.stop();
    fs.rmSync(work, { recursive: true, force: true });
  }
  const failures = rows.filter(({ isSo }) => !isSo);
  console.log(failures.length === 0 ? 'all as it should be' : `${failures.length} not as they should be`);
  return failures.length === 0 ? 0 : 1;
}

function report(): void {
  const [cpu] = os.cpus();
  const cell = (text: string): string => text.replaceAll('\n', '<br>').replaceAll('|', '\\|').slice(0, 900);
  const text = `# The composition, run

Written by \`npm run test:compose\`, not typed by hand: docker-compose.yml, profile dev, as README has it, by docker-compose over
podman, on images that the Dockerfile made. Images of others have stand-ins: Debian's nginx and Redis; DocumentDB behind a front
that asks for TLS, users and roles as MongoDB does, with MongoDB's own shell; a catcher of mails with Mailpit's API. Not run here:
Docker's engine and the real images.

${new Date().toISOString().slice(0, 10)}, ${os.cpus().length} × ${cpu?.model.trim() ?? 'unknown'}.

| what | found | |
| --- | --- | --- |
${rows.map(({ what, found, isSo }) => `| ${cell(what)} | ${cell(found)} | ${isSo ? 'passed' : '**failed**'} |`).join('\n')}
`;
  fs.writeFileSync(path.join(repositoryRoot(), REPORT), text);
}

const wrong = (what: string): number => wrongly(what, HELP);

exitAs(main(process.argv.slice(2)));
