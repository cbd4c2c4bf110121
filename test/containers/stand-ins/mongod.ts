// `mongod` in the image that stands in for MongoDB's own: DocumentDB behind the stack's gateway, and before it what
// docker-compose.yml relies on of the real one: TLS, users with roles, a replica set that has to be initiated.
import { type Binary, deserialize, type Document, serialize } from 'bson';
import fs from 'node:fs';
import type net from 'node:net';
import tls from 'node:tls';
import { parseArgs } from 'node:util';
import { startCluster } from '../../../tools/stack/src/documentdb/cluster.js';
import { errorReply, MongoError } from '../../../tools/stack/src/documentdb/errors.js';
import { open } from '../../../tools/stack/src/documentdb/gateway.js';
import { bounds } from '../../../tools/stack/src/documentdb/own-commands.js';
import { type Answer, serve } from '../../../tools/stack/src/documentdb/wire.js';
import { ScramConversation, type ScramUser, scramUser } from './scram.js';

const DATA = '/data/db';
const STATE = `${DATA}/stand-in.json`;
const PORT = 27017;

interface State {
  /** Name of the replica set and the address of its one member, once it is initiated. */
  set: { name: string; host: string } | null;
  /** Databases that a user may read and write; null: all, as root. */
  users: Record<string, ScramUser & { databases: string[] | null }>;
}

/** What MongoDB answers to a user without any role, and to one whose role is readWrite on the database asked. */
const FREE = ['hello', 'ismaster', 'isMaster', 'ping', 'buildInfo', 'buildinfo', 'connectionStatus', 'startSession', 'endSessions', 'refreshSessions', 'commitTransaction', 'abortTransaction', 'whatsmyuri', 'saslStart', 'saslContinue', 'logout']; // prettier-ignore
const READ_WRITE = ['find', 'insert', 'update', 'delete', 'aggregate', 'count', 'distinct', 'findAndModify', 'findandmodify', 'getMore', 'killCursors', 'explain', 'listCollections', 'listIndexes', 'create', 'createIndexes', 'dropIndexes', 'drop', 'collMod', 'collStats', 'dbStats', 'dbstats']; // prettier-ignore
/** Before somebody has logged in. */
const UNKNOWN = ['hello', 'ismaster', 'isMaster', 'ping', 'saslStart', 'saslContinue', 'buildInfo', 'buildinfo', 'endSessions']; // prettier-ignore

interface Connection {
  conversation?: ScramConversation;
  user?: string;
}

class Front {
  private readonly connections = new WeakMap<net.Socket, Connection>();

  constructor(
    private readonly state: State,
    private readonly behind: Answer,
  ) {}

  readonly answer: Answer = async (request, socket) => {
    const parsed = deserialize(request.command, { promoteLongs: false });
    const name = Object.keys(parsed)[0] ?? '';
    let connection = this.connections.get(socket);
    if (!connection) this.connections.set(socket, (connection = {}));
    try {
      this.authorize(name, parsed, connection);
      const own = await this.own(name, parsed, connection);
      if (own) return Buffer.from(serialize(own));
    } catch (error) {
      return Buffer.from(serialize(errorReply(error)));
    }
    return this.behind(request, socket);
  };

  private authorize(name: string, parsed: Document, connection: Connection): void {
    const database = String(parsed.$db ?? 'admin');
    const refuse = (): never => {
      throw new MongoError(13, 'Unauthorized', `not authorized on ${database} to execute command ${name}`);
    };
    if (connection.user === undefined) {
      if (!UNKNOWN.includes(name)) throw new MongoError(13, 'Unauthorized', `command ${name} requires authentication`);
      return;
    }
    const user = this.state.users[connection.user];
    if (!user) return refuse();
    if (user.databases === null || FREE.includes(name)) return;
    if (!user.databases.includes(database) || !READ_WRITE.includes(name)) refuse();
  }

  private async own(name: string, parsed: Document, connection: Connection): Promise<Document | null> {
    switch (name) {
      case 'hello':
      case 'ismaster':
      case 'isMaster':
        return this.hello(parsed, connection);
      case 'saslStart':
        return this.saslStart(parsed, connection);
      case 'saslContinue':
        return this.saslContinue(parsed, connection);
      case 'replSetGetStatus':
        if (!this.state.set) throw new MongoError(94, 'NotYetInitialized', 'no replset config has been received');
        return { set: this.state.set.name, myState: 1, members: [{ _id: 0, name: this.state.set.host, stateStr: 'PRIMARY' }], ok: 1 }; // prettier-ignore
      case 'replSetInitiate': {
        if (this.state.set) throw new MongoError(23, 'AlreadyInitialized', 'already initialized');
        const { _id, members } = parsed.replSetInitiate as { _id: string; members: { host: string }[] };
        this.state.set = { name: _id, host: members[0]?.host ?? '' };
        save(this.state);
        return { ok: 1 };
      }
      case 'usersInfo': {
        const asked = parsed.usersInfo as string | { user: string };
        const user = typeof asked === 'string' ? asked : asked.user;
        return { users: this.state.users[user] ? [{ _id: `admin.${user}`, user, db: 'admin', roles: [] }] : [], ok: 1 };
      }
      case 'createUser':
      case 'updateUser': {
        const user = String(parsed[name]);
        if (name === 'createUser' && this.state.users[user]) throw new MongoError(51003, 'Location51003', `User "${user}@admin" already exists`); // prettier-ignore
        const roles = (parsed.roles ?? []) as { role: string; db: string }[];
        const unknown = roles.find(({ role }) => role !== 'readWrite');
        if (unknown) throw new MongoError(31, 'RoleNotFound', `the stand-in knows no role ${unknown.role}`);
        this.state.users[user] = { ...scramUser(String(parsed.pwd)), databases: roles.map(({ db }) => db) };
        save(this.state);
        return { ok: 1 };
      }
      default:
        return null;
    }
  }

  private hello(parsed: Document, connection: Connection): Document {
    const { set } = this.state;
    const speculative = parsed.speculativeAuthenticate as Document | undefined;
    const ofSet = set && { setName: set.name, setVersion: 1, hosts: [set.host], me: set.host, primary: set.host };
    return {
      helloOk: true,
      ismaster: set !== null,
      isWritablePrimary: set !== null,
      secondary: false,
      ...(ofSet ?? { isreplicaset: true, info: 'Does not have a valid replica set config' }),
      ...(parsed.saslSupportedMechs ? { saslSupportedMechs: ['SCRAM-SHA-256'] } : {}),
      ...(speculative?.saslStart ? { speculativeAuthenticate: this.saslStart(speculative, connection) } : {}),
      ...bounds(),
    };
  }

  private saslStart(parsed: Document, connection: Connection): Document {
    if (parsed.mechanism !== 'SCRAM-SHA-256') throw new MongoError(334, 'MechanismUnavailable', `no ${String(parsed.mechanism)} here`); // prettier-ignore
    const conversation = new ScramConversation(textOf(parsed.payload as Binary), (name) => this.state.users[name]);
    connection.conversation = conversation;
    return { conversationId: 1, done: false, payload: Buffer.from(conversation.serverFirst), ok: 1 };
  }

  private saslContinue(parsed: Document, connection: Connection): Document {
    const { conversation } = connection;
    const last = conversation?.finish(textOf(parsed.payload as Binary));
    delete connection.conversation;
    if (!conversation || !last) throw new MongoError(18, 'AuthenticationFailed', 'Authentication failed.');
    connection.user = conversation.name;
    return { conversationId: 1, done: true, payload: Buffer.from(last), ok: 1 };
  }
}

/** Of BSON's binary type. */
const textOf = (payload: Binary): string => Buffer.from(payload.value()).toString();

const save = (state: State): void => fs.writeFileSync(STATE, JSON.stringify(state), { mode: 0o600 });

function load(): State {
  if (fs.existsSync(STATE)) return JSON.parse(fs.readFileSync(STATE, 'utf8')) as State;
  const { MONGO_INITDB_ROOT_USERNAME: root, MONGO_INITDB_ROOT_PASSWORD_FILE: file } = process.env;
  if (!root || !file) throw new Error('MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD_FILE are needed');
  const password = fs.readFileSync(file, 'utf8').trim();
  const state: State = { set: null, users: { [root]: { ...scramUser(password), databases: null } } };
  save(state);
  return state;
}

/** Only arguments that docker-compose.yml gives, so that one that is misspelt there is an error here, too. */
function settings(): { pem: Buffer; ca: Buffer } {
  const { values } = parseArgs({
    args: process.argv.slice(2).map((arg) => arg.replace(/^mongod$/, '--mongod')),
    options: {
      mongod: { type: 'boolean' },
      replSet: { type: 'string' },
      bind_ip_all: { type: 'boolean' },
      keyFile: { type: 'string' },
      tlsMode: { type: 'string' },
      tlsCertificateKeyFile: { type: 'string' },
      tlsCAFile: { type: 'string' },
      tlsAllowConnectionsWithoutCertificates: { type: 'boolean' },
      wiredTigerCacheSizeGB: { type: 'string' },
    },
  });
  const key = fs.readFileSync(values.keyFile ?? '', 'utf8').trim();
  if (!/^[A-Za-z0-9+/=]{6,1024}$/.test(key)) throw new Error('the key file must hold 6 to 1024 characters of base64');
  if (fs.statSync(values.keyFile ?? '').mode & 0o077) throw new Error('permissions on the key file are too open');
  if (values.replSet !== 'rs0' || values.tlsMode !== 'requireTLS') throw new Error('--replSet rs0 and --tlsMode requireTLS are needed'); // prettier-ignore
  return { pem: fs.readFileSync(values.tlsCertificateKeyFile ?? ''), ca: fs.readFileSync(values.tlsCAFile ?? '') };
}

async function main(): Promise<void> {
  const { pem, ca } = settings();
  const state = load();
  const source = { suite: '', mirror: '', components: '', keyring: '', keyringPackage: '', architecture: '', triplet: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2' }; // prettier-ignore
  const log = (line: string): void => console.log(line);
  const cluster = await startCluster({ root: '/', source }, { dir: DATA, ephemeral: false, fsync: true, logFile: `${DATA}/postgres.log`, env: process.env, log }); // prettier-ignore
  const { answer, close } = open(cluster.url);
  const front = new Front(state, answer);
  const server = tls.createServer({ cert: pem, key: pem, ca }, (socket) => serve(socket, front.answer));
  server.listen(PORT, '0.0.0.0', () => console.log(`listening on ${PORT}`));
  const end = async (): Promise<void> => {
    server.close();
    await close();
    await cluster.stop();
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end());
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
