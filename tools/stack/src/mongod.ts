import { type Document } from 'bson';
import fs from 'node:fs';
import path from 'node:path';
import { mongoCommand } from './documentdb/client.js';
import { anyFreePort, isPortFree } from './ports.js';
import { ManagedProcess } from './process.js';

const READY_MS = 60_000;

export interface Mongo {
  uri: string;
  /** What stops answering when MongoDB is down. */
  process: ManagedProcess;
  /** Starts `process` (again) on the same port; resolves when it takes writes. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A real mongod as a replica set of one, so that transactions and `w: majority` mean what they mean in production. */
export async function startMongod(
  program: string,
  o: { dir: string; logFile: string; env: NodeJS.ProcessEnv },
): Promise<Mongo> {
  const data = path.join(o.dir, 'mongod');
  fs.mkdirSync(data, { recursive: true, mode: 0o700 });
  const port = await rememberedPort(path.join(o.dir, 'mongod-port'));
  const args = ['--dbpath', data, '--port', String(port), '--bind_ip', '127.0.0.1', '--replSet', 'rs0', '--quiet'];
  const env = { PATH: o.env.PATH, LC_ALL: 'C' };
  const process = new ManagedProcess({ name: 'mongod', command: program, args, env, logFile: o.logFile });
  const start = async () => {
    await process.start();
    await process.waitUntil(() => answers(port, { ping: 1 }), READY_MS);
    await formReplicaSet(port);
    await process.waitUntil(() => isPrimary(port), READY_MS);
  };
  try {
    await start();
  } catch (error) {
    await process.stop('SIGKILL');
    throw error;
  }
  return { uri: `mongodb://127.0.0.1:${port}/?replicaSet=rs0`, process, start, stop: () => process.stop() };
}

/** A replica set's configuration names its port: the same one is taken again while it is free. */
async function rememberedPort(file: string): Promise<number> {
  const known = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 0;
  if (known && (await isPortFree(known))) return known;
  const port = await anyFreePort();
  fs.writeFileSync(file, String(port), { mode: 0o600 });
  return port;
}

async function formReplicaSet(port: number): Promise<void> {
  const host = `127.0.0.1:${port}`;
  const { config } = (await mongoCommand(port, { replSetGetConfig: 1 })) as { config?: Document };
  if (!config) {
    await must(port, { replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host }] } });
    return;
  }
  const [member] = config.members as Document[];
  if (!member || member.host === host) return;
  member.host = host;
  config.version = Number(config.version) + 1;
  await must(port, { replSetReconfig: config, force: true });
}

async function must(port: number, command: Document): Promise<void> {
  const reply = await mongoCommand(port, command, 20_000);
  if (reply.ok !== 1) throw new Error(`mongod: ${Object.keys(command)[0]} failed: ${String(reply.errmsg)}`);
}

async function isPrimary(port: number): Promise<boolean> {
  return mongoCommand(port, { hello: 1 }).then(
    (reply) => reply.isWritablePrimary === true,
    () => false,
  );
}

export async function answers(port: number, command: Document): Promise<boolean> {
  return mongoCommand(port, command).then(
    (reply) => reply.ok === 1,
    () => false,
  );
}
