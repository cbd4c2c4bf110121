import path from 'node:path';
import { type Tree } from '../debian/index.js';
import { repositoryRoot } from '../folders.js';
import { answers, type Mongo } from '../mongod.js';
import { anyFreePort } from '../ports.js';
import { ManagedProcess } from '../process.js';
import { type ClusterOptions, startCluster } from './cluster.js';

const READY_MS = 30_000;

/** "MongoDB-compatible (DocumentDB)": the database and, as a process of its own, the gateway in front of it. */
export async function startDocumentDb(tree: Tree, o: ClusterOptions & { gatewayLogFile: string }): Promise<Mongo> {
  const cluster = await startCluster(tree, o);
  const port = await anyFreePort();
  const process = new ManagedProcess({
    name: 'DocumentDB gateway',
    command: globalThis.process.execPath,
    args: [path.join(repositoryRoot(), 'dist/tools/stack/src/documentdb/gateway-main.js')],
    env: {
      PATH: o.env.PATH,
      GATEWAY_TRACE: o.env.GATEWAY_TRACE,
      COUNTERSIGN_PG_URL: cluster.url,
      COUNTERSIGN_MONGO_PORT: String(port),
    },
    logFile: o.gatewayLogFile,
  });
  const start = async () => {
    await process.start();
    await process.waitUntil(() => answers(port, { listDatabases: 1 }), READY_MS);
  };
  const stop = async () => {
    await process.stop();
    await cluster.stop();
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { uri: `mongodb://127.0.0.1:${port}/?replicaSet=rs0`, process, start, stop };
}
