import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { inTree, type PackageSet, provide } from './debian/index.js';
import { findSource } from './debian/source.js';
import { anyFreePort } from './ports.js';
import { ManagedProcess } from './process.js';
import { isAtLeast, type Log, onPath, versionOf } from './shell.js';

const FLOOR = [6, 2, 0];
/** More than test files claim in a run. */
const DATABASES = 512;

/** How to run redis-server on this machine. */
export interface RedisProgram {
  command: (args: string[]) => [string, string[]];
  chosen: string;
}

export interface Redis {
  url: string;
  process: ManagedProcess;
  /** Starts the process (again) on the same port with the same data; resolves when it answers. */
  start(): Promise<void>;
}

/** Installs nothing, so that the program is named redis-server only by its argv[0]: the file is redis-check-rdb. */
const PACKAGES: PackageSet = { name: 'redis', title: 'Redis', packages: ['redis-server'] };

export async function findRedis(env: NodeJS.ProcessEnv, cache: () => string, log: Log): Promise<RedisProgram> {
  const installed = onPath('redis-server', env);
  const version = installed ? versionOf(installed, ['--version']) : undefined;
  if (installed && version && isAtLeast(version, FLOOR)) {
    return { command: (args) => [installed, args], chosen: `redis-server ${version.join('.')} on PATH` };
  }
  if (installed) log(`Redis: ${installed} is ${version?.join('.') ?? 'of unknown version'}, 6.2 is needed; not used`);
  const source = findSource(env);
  if (typeof source === 'string') {
    throw new Error(
      `no Redis: ${source}. Install Redis 6.2 or later (Debian, Ubuntu, Alpine: package redis-server or redis; ` +
        'macOS: brew install redis) or set REDIS_URL.',
    );
  }
  const tree = await provide(PACKAGES, cache(), source, env, log);
  const command = (args: string[]): [string, string[]] =>
    inTree(tree, 'usr/bin/redis-check-rdb', args, [], 'usr/bin/redis-server');
  const [program, versionArgs] = command(['--version']);
  const unpacked = versionOf(program, versionArgs);
  return { command, chosen: `redis-server ${unpacked?.join('.')} of Debian's packages, unpacked privately` };
}

/** A private Redis on a free port of the loopback interface, with a password of its own. */
export async function startRedis(
  program: RedisProgram,
  o: {
    name: string;
    dir: string;
    persistent: boolean;
    logFile: string;
    env: NodeJS.ProcessEnv;
    /** Default: a new one. */
    password?: string;
    /** Lines of redis.conf that come after ours. */
    settings?: readonly string[];
  },
): Promise<Redis> {
  fs.mkdirSync(o.dir, { recursive: true, mode: 0o700 });
  const password = o.password ?? randomBytes(18).toString('base64url');
  for (let attempt = 1; ; attempt++) {
    const port = await anyFreePort();
    // On standard input and not in the arguments: those are everybody's to read.
    const input = configuration({
      port,
      password,
      dir: path.resolve(o.dir),
      persistent: o.persistent,
      settings: o.settings ?? [],
    });
    const [command, args] = program.command(['-']);
    const process = new ManagedProcess({
      name: o.name,
      command,
      args,
      env: { PATH: o.env.PATH, LC_ALL: 'C' },
      input,
      logFile: o.logFile,
    });
    const start = async () => {
      await process.start();
      await process.waitUntil(() => answersPing(port, password), 60_000);
    };
    try {
      await start();
      return { url: `redis://:${password}@127.0.0.1:${port}`, process, start };
    } catch (error) {
      await process.stop('SIGKILL');
      // Between our finding the port free and Redis taking it somebody else may have been quicker.
      if (attempt === 3 || !process.lines.some((line) => /Address already in use/.test(line))) throw error;
    }
  }
}

function configuration(o: {
  port: number;
  password: string;
  dir: string;
  persistent: boolean;
  settings: readonly string[];
}): string {
  return [
    `port ${o.port}`,
    'bind 127.0.0.1',
    `requirepass ${o.password}`,
    `dir "${o.dir.replace(/["\\]/g, '\\$&')}"`,
    'save ""',
    `appendonly ${o.persistent ? 'yes' : 'no'}`,
    'appendfsync everysec',
    'maxmemory-policy noeviction',
    `databases ${DATABASES}`,
    'daemonize no',
    ...o.settings,
    '',
  ].join('\n');
}

/** One round trip by hand: a client library would only get in the way of "not yet". */
function answersPing(port: number, password: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(`AUTH ${password}\r\nPING\r\n`));
    let got = '';
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1000, () => done(false)).on('error', () => done(false));
    socket.on('data', (bytes: Buffer) => {
      got += bytes.toString('latin1');
      if (got.includes('+PONG')) done(true);
      else if (/^-/m.test(got)) done(false);
    });
    socket.on('close', () => done(false));
  });
}
