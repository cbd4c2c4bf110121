import fs from 'node:fs';
import path from 'node:path';
import { type Clock } from './clock.js';
import { startDocumentDb } from './documentdb/index.js';
import { cacheFolder } from './folders.js';
import { keepAlive } from './keep-alive.js';
import { startMailCatcher } from './mail.js';
import { findMongo } from './mongo.js';
import { type Mongo, startMongod } from './mongod.js';
import { type ManagedProcess } from './process.js';
import { findRedis, type Redis, startRedis } from './redis.js';
import { type Log } from './shell.js';

export type ServiceName = 'redis' | 'redisBlob' | 'mongo';

/** To take a service away from a test and give it back, on the same port and with the same data. */
export interface ServiceControl {
  pid(): number;
  kill(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
}

export interface Services {
  redisUrl: string;
  /** A Redis that never writes to disk: frames and templates in flight. */
  redisBlobUrl: string;
  mongoUri: string;
  smtpUrl: string;
  /** Where the local catcher writes; stays empty with an SMTP_URL of your own. */
  mailDir: string;
  chosen: { redis: string; mongo: string; mail: string };
  /** Only what was started here: a service given by its URL is not ours to stop. */
  control: Partial<Record<ServiceName, ServiceControl>>;
  stop(): Promise<void>;
}

export interface ServicesOptions {
  dir: string;
  /** Data is removed by `stop`. */
  ephemeral: boolean;
  log: Log;
  fsync?: boolean;
  /** Starts a server again that ends by itself. */
  restart?: boolean;
  env?: NodeJS.ProcessEnv;
  /** Another time for the database, where it is one of Debian's packages. */
  clock?: Clock;
}

interface Started<T> {
  value: T;
  chosen: string;
  control: Services['control'];
}

/** Brings up Redis, MongoDB and mail, each from the first source there is; says which one in a line. */
export async function startServices(options: ServicesOptions): Promise<Services> {
  const o = {
    ...options,
    dir: path.resolve(options.dir),
    env: options.env ?? process.env,
    fsync: options.fsync ?? false,
    restart: options.restart ?? false,
  };
  fs.mkdirSync(o.dir, { recursive: true, mode: 0o700 });
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (let one = stops.pop(); one; one = stops.pop()) await one();
  };
  try {
    const redis = await choose(o.log, 'Redis', () => bringUpRedis(o, stops));
    const mongo = await choose(o.log, 'MongoDB', () => bringUpMongo(o, stops));
    const mail = await choose(o.log, 'mail', () => bringUpMail(o, stops));
    return {
      ...redis.value,
      mongoUri: mongo.value,
      ...mail.value,
      chosen: { redis: redis.chosen, mongo: mongo.chosen, mail: mail.chosen },
      control: { ...redis.control, ...mongo.control },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Resolved = Required<Omit<ServicesOptions, 'clock'>> & Pick<ServicesOptions, 'clock'>;
type Stops = (() => Promise<void>)[];

async function choose<T>(log: Log, title: string, bringUp: () => Promise<Started<T>>): Promise<Started<T>> {
  const from = performance.now();
  const started = await bringUp();
  log(`${title}: ${started.chosen} – ready after ${((performance.now() - from) / 1000).toFixed(1)} s`);
  return started;
}

async function bringUpRedis(o: Resolved, stops: Stops): Promise<Started<{ redisUrl: string; redisBlobUrl: string }>> {
  const given = o.env.REDIS_URL;
  if (given)
    return {
      value: { redisUrl: given, redisBlobUrl: o.env.REDIS_BLOB_URL || given },
      chosen: 'REDIS_URL',
      control: {},
    };
  const program = await findRedis(o.env, () => cacheFolder(o.env), o.log);
  const launch = async (name: string, persistent: boolean): Promise<Redis> => {
    const dir = path.join(o.dir, name);
    const redis = await startRedis(program, {
      name,
      dir,
      persistent,
      logFile: path.join(o.dir, 'logs', `${name}.log`),
      env: o.env,
    });
    const end = watch(redis, o);
    stops.push(async () => {
      end();
      await redis.process.stop(o.ephemeral ? 'SIGKILL' : 'SIGTERM');
      if (!persistent) fs.rmSync(dir, { recursive: true, force: true });
    });
    return redis;
  };
  const redis = await launch('redis', !o.ephemeral);
  const blobs = await launch('redis-blob', false);
  const control = { redis: controlOf(redis), redisBlob: controlOf(blobs) };
  return { value: { redisUrl: redis.url, redisBlobUrl: blobs.url }, chosen: program.chosen, control };
}

async function bringUpMongo(o: Resolved, stops: Stops): Promise<Started<string>> {
  if (o.env.MONGODB_URI) return { value: o.env.MONGODB_URI, chosen: 'MONGODB_URI', control: {} };
  const program = await findMongo(o.env, () => cacheFolder(o.env), o.log);
  const logFile = (name: string) => path.join(o.dir, 'logs', `${name}.log`);
  const mongo: Mongo =
    program.kind === 'mongod'
      ? await startMongod(program.file, { ...o, logFile: logFile('mongod') })
      : await startDocumentDb(program.tree, {
          ...o,
          logFile: logFile('postgres'),
          gatewayLogFile: logFile('documentdb-gateway'),
        });
  const end = watch(mongo, o);
  stops.push(async () => {
    end();
    await mongo.stop();
    if (o.ephemeral)
      for (const name of ['mongod', 'mongod-port']) fs.rmSync(path.join(o.dir, name), { recursive: true, force: true });
  });
  return { value: mongo.uri, chosen: program.chosen, control: { mongo: controlOf(mongo) } };
}

async function bringUpMail(o: Resolved, stops: Stops): Promise<Started<{ smtpUrl: string; mailDir: string }>> {
  const mailDir = path.join(o.dir, 'mail');
  fs.mkdirSync(mailDir, { recursive: true, mode: 0o700 });
  if (o.env.SMTP_URL) return { value: { smtpUrl: o.env.SMTP_URL, mailDir }, chosen: 'SMTP_URL', control: {} };
  const catcher = await startMailCatcher(mailDir, o.log);
  stops.push(() => catcher.stop());
  return { value: { smtpUrl: catcher.url, mailDir }, chosen: `local catcher, messages in ${mailDir}`, control: {} };
}

/** A server that goes away by itself is said so; whoever took it away on purpose knows. */
function watch({ process, start }: Service, o: Resolved): () => void {
  process.on('died', (how) => o.log(`${process.spec.name} ${how}${process.lastWords(5)}`));
  return o.restart ? keepAlive(process, start, o.log) : () => undefined;
}

interface Service {
  process: ManagedProcess;
  start: () => Promise<void>;
}

function controlOf(service: Service): ServiceControl {
  return {
    pid: () => service.process.pid,
    kill: (signal = 'SIGKILL') => service.process.kill(signal),
    start: () => service.start(),
  };
}
