import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { type Clock } from '../clock.js';
import { type Tree } from '../debian/index.js';
import { dataFolderFor, unprivilegedUser, type User } from '../folders.js';
import { anyFreePort } from '../ports.js';
import { ManagedProcess } from '../process.js';
import { type Log, run, stage } from '../shell.js';
import { postgresCommand } from './packages.js';

const READY_MS = 60_000;
const CONFIGURATION = `
# --- Countersign
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
cron.database_name = 'postgres'
cron.use_background_workers = on    # TTL indexes, once a minute
cron.log_run = off
cron.log_statement = off
max_worker_processes = 20
jit = off
deadlock_timeout = '20ms'           # inserts of one unique key deadlock, and wait for this each time
dynamic_shared_memory_type = mmap
timezone = 'GMT'
log_timezone = 'GMT'
shared_buffers = 256MB
max_wal_size = 2GB
logging_collector = off
`;
const WITHOUT_FSYNC = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'];

export interface ClusterOptions {
  dir: string;
  ephemeral: boolean;
  fsync: boolean;
  logFile: string;
  env: NodeJS.ProcessEnv;
  log: Log;
  /** Another time for the database than the machine's. */
  clock?: Clock | undefined;
}

export interface Cluster {
  url: string;
  stop(): Promise<void>;
}

/** A PostgreSQL with the DocumentDB extension on a free port, made first if it does not exist. */
export async function startCluster(tree: Tree, o: ClusterOptions): Promise<Cluster> {
  const user = unprivilegedUser();
  const home = dataFolderFor(o.dir, 'postgres', user, o.ephemeral);
  const data = path.join(home, 'data');
  if (!fs.existsSync(data)) await stage(o.log, 'DocumentDB: new database', () => initialise(tree, home, user, o.env));
  await clearStalePid(data);
  const password = fs.readFileSync(passwordFile(home), 'utf8');
  const port = await anyFreePort();
  const settings = o.fsync ? [] : WITHOUT_FSYNC.flatMap((setting) => ['-c', setting]);
  const plain = postgresCommand(tree, 'postgres', ['-D', data, '-p', String(port), ...settings]);
  const [command, args] = o.clock?.wrap(...plain) ?? plain;
  // The extension opens connections to its own server (to create a collection), and finds the password like any client.
  const env = { PATH: o.env.PATH, LC_ALL: 'C', PGPASSWORD: password, ...o.clock?.env };
  const postgres = new ManagedProcess({ name: 'PostgreSQL', command, args, env, cwd: data, user, logFile: o.logFile });
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const stop = async () => {
    // SIGINT is PostgreSQL's fast shutdown; data that is thrown away needs none.
    await postgres.stop(o.ephemeral ? 'SIGQUIT' : 'SIGINT');
    if (o.ephemeral) fs.rmSync(home, { recursive: true, force: true });
  };
  try {
    await postgres.start();
    await postgres.waitUntil(() => answers(url), READY_MS, 50);
    await prepareExtension(url, o.log);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop };
}

/** Made under another name and renamed, so that an interrupted run leaves nothing half done. */
async function initialise(tree: Tree, home: string, user: User | undefined, env: NodeJS.ProcessEnv): Promise<void> {
  const fresh = path.join(home, 'data.new');
  fs.rmSync(fresh, { recursive: true, force: true });
  // Anybody on this machine can connect to a port of the loopback interface, and PostgreSQL's superuser can run programs.
  const secret = passwordFile(home);
  fs.rmSync(secret, { force: true });
  fs.writeFileSync(secret, randomBytes(18).toString('base64url'), { mode: 0o600 });
  if (user) fs.chownSync(secret, user.uid, user.gid);
  // A random password needs no stretching, which would be paid for with each of the hundred connections.
  const options = [
    '--set',
    'scram_iterations=1',
    '-A',
    'scram-sha-256',
    '--pwfile',
    secret,
    '-U',
    'postgres',
    '--no-sync',
    '-E',
    'UTF8',
  ];
  const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const [command, args] = postgresCommand(tree, 'initdb', ['-D', fresh, ...options, ...locale]);
  const { status, output } = await run(command, args, { ...user, cwd: home, env: { PATH: env.PATH, LC_ALL: 'C' } });
  if (status !== 0) throw new Error(`initdb failed\n${output.trim().slice(-1500)}`);
  fs.appendFileSync(path.join(fresh, 'postgresql.conf'), CONFIGURATION);
  fs.renameSync(fresh, path.join(home, 'data'));
}

/**
 * After a SIGKILL a postmaster.pid is left, and PostgreSQL refuses to start if that pid is alive as somebody else's (or
 * as a zombie, in a container without an init). Whether anybody really uses the data shows in the working folders.
 */
async function clearStalePid(data: string): Promise<void> {
  const until = performance.now() + 10_000;
  for (let users = usersOf(data); users.length; users = usersOf(data)) {
    if (performance.now() > until) throw new Error(`processes ${users.join(', ')} of an earlier run still use ${data}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  fs.rmSync(path.join(data, 'postmaster.pid'), { force: true });
}

function usersOf(data: string): string[] {
  return fs.readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && fs.readlinkSync(`/proc/${pid}/cwd`) === data;
    } catch {
      return false;
    }
  });
}

async function prepareExtension(url: string, log: Log): Promise<void> {
  await withClient(url, async (client) => {
    const { rowCount } = await client.query("select 1 from pg_extension where extname='documentdb'");
    if (!rowCount) {
      const create = () => client.query('begin; create extension documentdb cascade; commit');
      await stage(log, 'DocumentDB: extension', create);
    }
    // Indexes are built in the foreground by the gateway: no need for the pollers that look for work every 2 s.
    await client.query(
      "select cron.unschedule(jobname) from cron.job where jobname like 'documentdb_index_build_task_%'",
    );
    await client
      .query(`select documentdb_api.insert_one('local','ready','{"_id":1}')`)
      .catch((error: Error) => (/duplicate/i.test(error.message) ? undefined : Promise.reject(error)));
  });
}

async function answers(url: string): Promise<boolean> {
  return withClient(url, (client) => client.query('select 1')).then(
    () => true,
    () => false,
  );
}

async function withClient<T>(connectionString: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

const passwordFile = (home: string): string => path.join(home, 'password');
