import fs from 'node:fs';
import path from 'node:path';
import { createConnection, type Connection } from 'mongoose';
import {
  anyFreePort,
  appEnvironment,
  type AppName,
  cacheFolder,
  developmentCertificate,
  developmentKeys,
  findRedis,
  gatewayUrl,
  ManagedProcess,
  operatorEnvironment,
  type Redis,
  repositoryRoot,
  type Services,
  startRedis,
  withDatabase,
} from '#stack';
import { EventProofs } from '#audit-log';
import { TcpProxy } from '#testing';
import { type PointHandler, ProbeServer } from './probe.js';
import type { Context } from './scenario.js';

/** On a busy machine starting takes as long as it takes; it is not what is looked for. */
const READY_MS = 240_000;
const START_TRIES = 3;
/** Programs of the harness: the product's apps with points of the probe in them. */
const HARNESS = 'dist/test/faults/harness';

export interface FleetOptions {
  gateways?: number;
  workers?: number;
  audits?: number;
  /** With points between any two database calls. */
  probedAudit?: boolean;
  redisSettings?: readonly string[];
  redisPassword?: string;
  /** Over what a process gets anyway. */
  env?: Partial<Record<AppName, Record<string, string>>>;
  /** The same for one process by its name. */
  envOf?: (process: string) => Record<string, string>;
  /** Apps that reach every server through a proxy, which can be cut, held and slowed down. */
  proxied?: readonly AppName[];
  /** Runs a process under another program. */
  wrap?: (process: string, command: string, args: string[]) => [string, string[]];
}

type Proxies = Record<'redis' | 'blobs' | 'mongo' | 'smtp', TcpProxy>;

/** Real processes on real servers: several gateways, workers and audit services, each to be killed and started by name. */
export class Fleet {
  private readonly members = new Map<string, { process: ManagedProcess; url: string; app: AppName }>();

  private stopping: Promise<void> | null = null;

  private constructor(
    readonly services: Services,
    readonly redis: Redis,
    readonly blobs: Redis,
    readonly database: Connection,
    readonly dir: string,
    readonly proxies: Proxies,
    private readonly probe: ProbeServer,
    private readonly context: Context,
  ) {}

  /** A Redis pair of the scenario's own; the database server is shared, the database in it is not. */
  static async start(context: Context, o: FleetOptions = {}): Promise<Fleet> {
    const { dir } = context;
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    const program = await findRedis(process.env, cacheFolder, () => undefined);
    const redisOf = (name: string, persistent: boolean): Promise<Redis> =>
      startRedis(program, {
        name,
        dir: path.join(dir, name),
        persistent,
        logFile: path.join(dir, 'logs', `${name}.log`),
        env: process.env,
        settings: o.redisSettings ?? [],
        ...(o.redisPassword === undefined ? {} : { password: o.redisPassword }),
      });
    const [redis, blobs] = [await redisOf('redis', true), await redisOf('redis-blob', false)];
    const name = `faults_${path.basename(dir).replace(/\W/g, '_')}_${process.pid}`;
    const services: Services = {
      ...context.services,
      redisUrl: redis.url,
      redisBlobUrl: blobs.url,
      mongoUri: withDatabase(context.services.mongoUri, name),
    };
    const database = await createConnection(services.mongoUri).asPromise();
    const proxies = {
      redis: await TcpProxy.before(redis.url),
      blobs: await TcpProxy.before(blobs.url),
      mongo: await TcpProxy.before(services.mongoUri),
      smtp: await TcpProxy.before(services.smtpUrl),
    };
    const fleet = new Fleet(services, redis, blobs, database, dir, proxies, await ProbeServer.listen(dir), context);
    context.atEnd(() => fleet.stop());
    try {
      await fleet.startApps(o);
    } catch (error) {
      await fleet.stop();
      throw error;
    }
    return fleet;
  }

  get gateways(): string[] {
    return this.urls('gateway');
  }

  /** Names of the processes of an app. */
  names(app: AppName): string[] {
    return [...this.members].filter(([, member]) => member.app === app).map(([name]) => name);
  }

  of(name: string): ManagedProcess {
    return this.member(name).process;
  }

  /** From now on `handler` is asked at every point of every process. */
  onPoint(handler?: PointHandler): void {
    this.probe.onPoint(handler);
  }

  /** SIGKILL. Resolves when it is dead, with the promise that it is started again and ready. */
  async replace(name: string): Promise<{ back: Promise<void> }> {
    await this.kill(name);
    const back = this.start(name).catch((error: unknown) => {
      // Whoever waits for this has often gone on by then: a failure is said and shows in what is found.
      if (!this.stopping) this.context.say(error instanceof Error ? error.message : String(error));
    });
    return { back };
  }

  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.of(name).kill(signal);
  }

  async start(name: string): Promise<void> {
    await this.of(name).start();
    await this.ready(name);
  }

  /** A process that gives up on a busy machine, as its servers did not answer in time, is started anew, as a supervisor does. */
  async ready(name: string): Promise<void> {
    const { process, url } = this.member(name);
    for (let left = START_TRIES - 1; ; left--)
      try {
        return await process.waitUntil(() => isReady(url), READY_MS, 50);
      } catch (error) {
        if (left === 0 || process.running || this.stopping) throw error;
        this.context.say(`${name} ended before it was ready, and is started again`);
        await process.start();
      }
  }

  /** Resident memory of a process, in megabytes. */
  residentMb(name: string): number {
    const status = fs.readFileSync(`/proc/${this.of(name).pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  }

  /** The environment that the operator's command line verifies the log with. */
  operatorEnvironment(): Record<string, string> {
    const audit = this.member('audit-1').process.spec.env as Record<string, string>;
    return { ...audit, ...operatorEnvironment(audit) };
  }

  /** Of this fleet's processes: for what a test writes as if it were one. */
  proofs(): EventProofs {
    const [id = '', bytes = ''] = developmentKeys(this.dir).eventMacKey.split(':');
    return new EventProofs([{ id, bytes: Buffer.from(bytes, 'base64url') }]);
  }

  /** All that a process wrote, over all its lives. */
  log(name: string): string {
    const file = path.join(this.dir, 'logs', `${name}.log`);
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  }

  stop(): Promise<void> {
    this.stopping ??= this.end();
    return this.stopping;
  }

  private async end(): Promise<void> {
    this.probe.onPoint();
    const apps = [...this.members.values()];
    for (const { process } of apps) process.signal('SIGCONT');
    await Promise.all(apps.map(({ process }) => process.kill('SIGKILL')));
    await Promise.all(Object.values(this.proxies).map((proxy) => proxy.cut()));
    await Promise.all([this.redis, this.blobs].map(({ process }) => process.kill('SIGKILL')));
    this.probe.close();
    await this.database.dropDatabase().catch(() => undefined);
    await this.database.close();
  }

  private async startApps(o: FleetOptions): Promise<void> {
    const count = { audit: o.audits ?? 1, inference: o.workers ?? 2, gateway: o.gateways ?? 1 };
    const shared = { audit: await anyFreePort(), inferenceHealth: 0, auditHealth: 0, gateway: 0 };
    for (const app of ['audit', 'inference', 'gateway'] as const)
      for (let i = 1; i <= count[app]; i++) await this.add(app, `${app}-${i}`, shared, o);
    const processes = [...this.members.values()].map(({ process }) => process);
    await Promise.all(processes.map((process) => process.start()));
    await Promise.all([...this.members.keys()].map((name) => this.ready(name)));
    this.context.say(`${this.members.size} processes are ready`);
  }

  private async add(app: AppName, name: string, shared: { audit: number }, o: FleetOptions): Promise<void> {
    const ports = {
      gateway: await anyFreePort(),
      // The first one answers the gateways; others are for the work.
      audit: name === 'audit-1' || app === 'gateway' ? shared.audit : await anyFreePort(),
      inferenceHealth: await anyFreePort(),
      auditHealth: await anyFreePort(),
    };
    const services = o.proxied?.includes(app) ? this.throughProxies() : this.services;
    const environment = appEnvironment(app, {
      services,
      keys: developmentKeys(this.dir),
      auditTls: developmentCertificate(this.dir),
      ports,
      checkpointFile: path.join(this.dir, 'checkpoints.jsonl'),
      inferenceThreads: 1,
      extra: { FAULTS_PROBE: this.probe.path, FAULTS_NAME: name, ...own(app), ...o.env?.[app], ...o.envOf?.(name) },
    });
    const file = path.join(repositoryRoot(), programOf(app, o));
    const [command, args] = o.wrap?.(name, process.execPath, [file]) ?? [process.execPath, [file]];
    const member = new ManagedProcess({
      name,
      command,
      args,
      env: environment,
      cwd: repositoryRoot(),
      logFile: path.join(this.dir, 'logs', `${name}.log`),
    });
    const url = { gateway: gatewayUrl(ports), inference: health(ports.inferenceHealth), audit: health(ports.auditHealth) }; // prettier-ignore
    this.members.set(name, { process: member, url: url[app], app });
  }

  private throughProxies(): Services {
    const { redis, blobs, mongo, smtp } = this.proxies;
    const { redisUrl, redisBlobUrl, mongoUri, smtpUrl } = this.services;
    return { ...this.services, redisUrl: redis.through(redisUrl), redisBlobUrl: blobs.through(redisBlobUrl), mongoUri: mongo.through(mongoUri), smtpUrl: smtp.through(smtpUrl) }; // prettier-ignore
  }

  private member(name: string) {
    const member = this.members.get(name);
    if (!member) throw new Error(`there is no process ${name}`);
    return member;
  }

  private urls(app: AppName): string[] {
    return this.names(app).map((name) => this.member(name).url);
  }
}

function programOf(app: AppName, o: FleetOptions): string {
  if (app === 'gateway') return `${HARNESS}/gateway-main.js`;
  if (app === 'audit' && o.probedAudit) return `${HARNESS}/audit-main.js`;
  if (app === 'inference') return `${HARNESS}/worker-main.js`;
  return `dist/apps/${app}/src/main.js`;
}

/** Every person of the harness comes from an address of their own: throttles are not what is looked for here. */
const own = (app: AppName): Record<string, string> => (app === 'gateway' ? { TRUSTED_PROXIES: '127.0.0.1,::1' } : {});

const health = (port: number): string => `http://127.0.0.1:${port}`;

async function isReady(base: string): Promise<boolean> {
  try {
    const response = await fetch(`${base}/health/ready`, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
