import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { APP_NAMES, appEnvironment, type AppName, type AppPorts, gatewayUrl } from './app-environment.js';
import { developmentCertificate } from './certificates.js';
import { repositoryRoot } from './folders.js';
import { keepAlive } from './keep-alive.js';
import { developmentKeys } from './keys.js';
import { anyFreePort, nextFreePort } from './ports.js';
import { ManagedProcess } from './process.js';
import { type Services } from './services.js';
import { type Log } from './shell.js';
import { WORKER_LAUNCH } from './worker-launch.js';

const READY_MS = 60_000;
const GATEWAY_PORT = 3000;

export interface Apps {
  gatewayUrl: string;
  /** Where the other two answer `/health/live` and `/health/ready`. */
  health: { inference: string; audit: string };
  pids(): Record<AppName, number>;
  /** Sends a signal that ends the app; resolves when it is dead. */
  kill(app: AppName, signal?: NodeJS.Signals): Promise<void>;
  /** SIGSTOP, SIGCONT and their like: nothing to wait for. */
  signal(app: AppName, signal: NodeJS.Signals): void;
  /** Starts a dead app again with the same settings; resolves when it is ready. */
  start(app: AppName): Promise<void>;
  /** The environment an app runs with. */
  env(app: AppName): Record<string, string>;
  /** The last lines an app wrote (at most 200); all of them are in `<dir>/logs/<app>.log`. */
  logs(app: AppName): string[];
  stop(): Promise<void>;
}

export interface AppsOptions {
  dir: string;
  log: Log;
  /** Taken if it is free, else the next free one above it. Default 3000; 0 for any. */
  gatewayPort?: number;
  /** MongoDB database; default the one of the URI, else `countersign`. */
  database?: string;
  /** Number of the Redis database, so that several stacks can share the servers of one test run. */
  redisDatabase?: number;
  /** For all apps, over what they get anyway. */
  env?: Record<string, string>;
  inferenceThreads?: number;
  /** Starts an app again that ends by itself. */
  restart?: boolean;
  /** Brings the database to this version first, as an operator does. */
  migrate?: boolean;
}

/** Starts the three processes as they would run in production, from the built output. */
export async function startApps(services: Services, o: AppsOptions): Promise<Apps> {
  const dir = path.resolve(o.dir);
  const ports = await choosePorts(o.gatewayPort ?? GATEWAY_PORT);
  const settings = {
    services,
    keys: developmentKeys(dir),
    auditTls: developmentCertificate(dir),
    ports,
    database: o.database,
    redisDatabase: o.redisDatabase,
    checkpointFile: path.join(dir, 'checkpoints.jsonl'),
    inferenceThreads: o.inferenceThreads ?? 2,
    extra: o.env ?? {},
  };
  const env = (app: AppName) => appEnvironment(app, settings);
  const health: Record<AppName, string> = {
    gateway: `http://127.0.0.1:${ports.gateway}`,
    inference: `http://127.0.0.1:${ports.inferenceHealth}`,
    audit: `http://127.0.0.1:${ports.auditHealth}`,
  };
  const processes = Object.fromEntries(
    APP_NAMES.map((app) => [app, appProcess(app, env(app), path.join(dir, 'logs', `${app}.log`))]),
  ) as Record<AppName, ManagedProcess>;
  for (const app of APP_NAMES) {
    processes[app].on('died', (how) => o.log(`${app} ${how}${processes[app].lastWords(5)}`));
  }

  const start = async (app: AppName) => {
    const from = performance.now();
    await processes[app].start();
    await processes[app].waitUntil(() => isReady(health[app]), READY_MS, 50);
    o.log(`${app}: ready after ${((performance.now() - from) / 1000).toFixed(1)} s, process ${processes[app].pid}`);
  };
  const watches: (() => void)[] = [];
  const stop = async () => {
    for (const end of watches) end();
    // The gateway first: nothing new comes in while the workers finish what they have.
    await processes.gateway.stop();
    await Promise.all([processes.inference.stop(), processes.audit.stop()]);
  };
  if (o.migrate) await migrate(env('gateway'), o.log);
  const results = await Promise.allSettled(APP_NAMES.map(start));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  if (o.restart) watches.push(...APP_NAMES.map((app) => keepAlive(processes[app], () => start(app), o.log)));
  return {
    gatewayUrl: gatewayUrl(ports),
    health: { inference: health.inference, audit: health.audit },
    pids: () => ({ gateway: processes.gateway.pid, inference: processes.inference.pid, audit: processes.audit.pid }),
    kill: (app, signal = 'SIGKILL') => processes[app].kill(signal),
    signal: (app, signal) => processes[app].signal(signal),
    start,
    env,
    logs: (app) => processes[app].lines,
    stop,
  };
}

async function choosePorts(gatewayPort: number): Promise<AppPorts> {
  const gateway = gatewayPort ? await nextFreePort(gatewayPort) : await anyFreePort();
  const [audit, inferenceHealth, auditHealth] = [await anyFreePort(), await anyFreePort(), await anyFreePort()];
  return { gateway, audit, inferenceHealth, auditHealth };
}

function appProcess(app: AppName, env: Record<string, string>, logFile: string): ManagedProcess {
  const root = repositoryRoot();
  const entry = path.join(root, `dist/apps/${app}/src/main.js`);
  if (!fs.existsSync(entry)) throw new Error(`${entry} does not exist: build first (npm run build)`);
  return new ManagedProcess({
    name: app,
    command: process.execPath,
    args: ['--enable-source-maps', ...(app === 'inference' ? WORKER_LAUNCH.args : []), entry],
    env,
    cwd: root,
    logFile,
  });
}

async function migrate(env: Record<string, string>, log: Log): Promise<void> {
  const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'migrate', '--json'], { env });
  const { from, to, indexes } = JSON.parse(stdout) as { from: number; to: number; indexes: string[] };
  log(`database: schema version ${to}${from === to ? '' : `, was ${from}`}; ${indexes.length} indexes made`);
}

async function isReady(base: string): Promise<boolean> {
  try {
    const response = await fetch(`${base}/health/ready`, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
