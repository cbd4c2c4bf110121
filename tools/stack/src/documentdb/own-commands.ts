import { type Document, serialize } from 'bson';
import type net from 'node:net';
import { type Pool } from 'pg';
import { isConflict, MongoError, sqlStateOf, writeConflict } from './errors.js';
import { type Session, type Sessions } from './sessions.js';
import { bson, type Row } from './statements.js';

/** What the extension does not know or must not decide; everything is answered as MongoDB 7.0 would. */
export interface OwnContext {
  pool: Pool;
  sessions: Sessions;
  cursors: Map<string, Buffer>;
}

export interface OwnCall {
  parsed: Document;
  bytes: Buffer;
  socket: net.Socket;
  session: Session;
}

type OwnCommand = (call: OwnCall, context: OwnContext) => Promise<Document | Buffer>;

const MAX_BSON_BYTES = 16 * 1024 * 1024;
const VERSION = { version: '7.0.0', versionArray: [7, 0, 0, 0], gitVersion: 'documentdb' };
const ok: OwnCommand = async () => ({ ok: 1 });

const hello: OwnCommand = async ({ socket }) => {
  const me = `127.0.0.1:${socket.localPort}`;
  return {
    helloOk: true,
    ismaster: true,
    isWritablePrimary: true,
    // Drivers allow transactions and retryable writes only on members of a replica set.
    setName: 'rs0',
    setVersion: 1,
    hosts: [me],
    me,
    primary: me,
    ...bounds(),
  };
};

/** The part of `hello` that does not depend on who asks whom. */
export const bounds = (): Document => ({
  maxBsonObjectSize: MAX_BSON_BYTES,
  maxMessageSizeBytes: 48_000_000,
  maxWriteBatchSize: 25_000,
  localTime: new Date(),
  logicalSessionTimeoutMinutes: 30,
  connectionId: 1,
  minWireVersion: 0,
  maxWireVersion: 21,
  readOnly: false,
  ok: 1,
});

const buildInfo: OwnCommand = async () => ({
  ...VERSION,
  modules: [],
  bits: 64,
  maxBsonObjectSize: MAX_BSON_BYTES,
  ok: 1,
});

const getMore: OwnCommand = async ({ parsed, bytes, session }, { pool, cursors }) => {
  const id = String(parsed.getMore);
  const continuation = cursors.get(id);
  if (!continuation) throw new MongoError(43, 'CursorNotFound', `cursor id ${id} not found`);
  const client = parsed.autocommit === false ? await session.transaction(parsed) : pool;
  const text = `select cursorpage::bytea as reply, continuation::bytea as next from documentdb_api.cursor_get_more($1,${bson(2)},${bson(3)})`;
  const { rows } = await client.query<Row>(text, [parsed.$db, bytes, continuation]);
  const row = rows[0] ?? {};
  if (row.next) cursors.set(id, row.next);
  else cursors.delete(id);
  return row.reply ?? { ok: 1 };
};

const killCursors: OwnCommand = async ({ parsed }, { pool, cursors }) => {
  const asked = parsed.cursors as unknown[];
  const ids = asked.map(String);
  // Cursors expire on their own: a failure here costs nothing but a file.
  await pool.query('select documentdb_api_internal.delete_cursors($1::bigint[])', [ids]).catch(() => undefined);
  for (const id of ids) cursors.delete(id);
  return { cursorsKilled: asked, cursorsNotFound: [], cursorsAlive: [], cursorsUnknown: [], ok: 1 };
};

const drop: OwnCommand = async ({ parsed }, { pool }) => {
  const text = 'select documentdb_api.drop_collection($1,$2) as done';
  const { rows } = await pool.query<{ done: boolean }>(text, [parsed.$db, parsed.drop]);
  if (!rows[0]?.done) throw new MongoError(26, 'NamespaceNotFound', 'ns not found');
  return { nIndexesWas: 1, ns: `${parsed.$db}.${parsed.drop}`, ok: 1 };
};

const dropDatabase: OwnCommand = async ({ parsed }, { pool }) => {
  await pool.query('select documentdb_api.drop_database($1)', [parsed.$db]);
  return { dropped: String(parsed.$db), ok: 1 };
};

const commitTransaction: OwnCommand = async ({ parsed, session }) => {
  try {
    await session.commit(String(parsed.txnNumber));
    return { ok: 1 };
  } catch (error) {
    throw isConflict(sqlStateOf(error)) ? writeConflict(error instanceof Error ? error.message : '') : error;
  }
};

const abortTransaction: OwnCommand = async ({ parsed, session }) => {
  await session.abort(String(parsed.txnNumber));
  return { ok: 1 };
};

const endSessions: OwnCommand = async ({ parsed }, { sessions }) => {
  await sessions.end((parsed.endSessions ?? []) as Document[]);
  return { ok: 1 };
};

const EXPLAINED: Record<string, string> = {
  find: 'find',
  aggregate: 'pipeline',
  count: 'count',
  distinct: 'distinct',
  findAndModify: 'find_and_modify',
  update: 'update',
  delete: 'delete',
};

/** Coarse on purpose: whether an index serves the query. A full scan shows as an `_id_` scan without a condition. */
const explain: OwnCommand = async ({ parsed }, { pool }) => {
  const inner = parsed.explain as Document;
  const name = Object.keys(inner)[0] ?? '';
  const kind = EXPLAINED[name];
  if (!kind) throw new MongoError(115, 'CommandNotSupported', `explain of ${name} is not supported`);
  const text = `explain (format json, verbose on) select document from documentdb_api_catalog.bson_aggregation_${kind}($1,${bson(2)})`;
  const { rows } = await pool.query<{ 'QUERY PLAN': { Plan: unknown }[] }>(text, [parsed.$db, serialize(inner)]);
  const plan = rows[0]?.['QUERY PLAN'][0]?.Plan;
  const shown = JSON.stringify(plan);
  const indexes = [...shown.matchAll(/"(?:Index Name|indexName)":"([^"]+)"/g)].map(([, index]) => index);
  const indexed = shown.includes('object_id') || indexes.some((index) => index !== '_id_');
  return { queryPlanner: { winningPlan: { stage: indexed ? 'IXSCAN' : 'COLLSCAN', postgres: plan } }, ok: 1 };
};

export const OWN_COMMANDS = new Map<string, OwnCommand>([
  ['hello', hello],
  ['isMaster', hello],
  ['ismaster', hello],
  ['ping', ok],
  ['hostInfo', ok],
  ['startSession', ok],
  ['refreshSessions', ok],
  ['buildInfo', buildInfo],
  ['buildinfo', buildInfo],
  ['getParameter', async () => ({ featureCompatibilityVersion: { version: '7.0' }, ok: 1 })],
  ['getCmdLineOpts', async () => ({ argv: [], parsed: {}, ok: 1 })],
  ['connectionStatus', async () => ({ authInfo: { authenticatedUsers: [], authenticatedUserRoles: [] }, ok: 1 })],
  ['whatsmyuri', async ({ socket }) => ({ you: `${socket.remoteAddress}:${socket.remotePort}`, ok: 1 })],
  [
    'serverStatus',
    async () => ({
      version: VERSION.version,
      process: 'documentdb-gateway',
      pid: process.pid,
      uptime: process.uptime(),
      localTime: new Date(),
      ok: 1,
    }),
  ],
  ['explain', explain],
  ['getMore', getMore],
  ['killCursors', killCursors],
  ['drop', drop],
  ['dropDatabase', dropDatabase],
  ['commitTransaction', commitTransaction],
  ['abortTransaction', abortTransaction],
  ['endSessions', endSessions],
]);
