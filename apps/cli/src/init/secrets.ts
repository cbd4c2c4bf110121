import { randomBytes } from 'node:crypto';
import { makeKey } from '../keys/make.js';
import { newAuthority } from './certificates.js';
import { type BlobUser, blobUsers, type QueueUser, queueUsers } from './redis-users.js';

/** Contents by folder and file. A process's files bear the names of its variables. */
export type Secrets = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Names under which the servers are reached in docker-compose.yml, and in Kubernetes. */
const HOSTS = { redis: 'redis', blobs: 'redis-blobs', mongodb: 'mongodb', audit: 'audit', nginx: 'nginx' } as const;
const HERE = ['localhost', '127.0.0.1'];
const MONGO_USERS = ['gateway', 'audit', 'cli'] as const;
const DATABASE = 'countersign';

/**
 * Everything secret that an installation needs, made anew: keys, an authority with a certificate for each server, users
 * and passwords for both Redis and for MongoDB.
 *
 * @param publicHost the host name that people use, for the proxy's certificate.
 */
export async function newSecrets(publicHost: string): Promise<Secrets> {
  const authority = await newAuthority();
  const serving = async (host: string, ...aliases: string[]): Promise<{ 'tls.crt': string; 'tls.key': string }> => {
    const { certificate, key } = await authority.issue(host, [...new Set([host, ...aliases, ...HERE])]);
    return { 'tls.crt': certificate, 'tls.key': key };
  };
  const ca = { 'ca.crt': authority.certificate };
  const [frame, result, similarity] = [makeKey('frame'), makeKey('result'), makeKey('similarity')];
  const [mail, event, eventMac] = [makeKey('mail').key, makeKey('event').key, makeKey('event-mac').key];
  const shared = `${password()}\n`;
  const queue = passwords<QueueUser>('gateway', 'inference', 'audit', 'cli', 'keda');
  const blob = passwords<BlobUser>('gateway', 'inference', 'audit', 'cli');
  const mongo = passwords(...MONGO_USERS);
  const redis = (user: QueueUser & BlobUser) => ({
    REDIS_URL: `rediss://${user}:${queue[user]}@${HOSTS.redis}:6379\n`,
    REDIS_BLOB_URL: `rediss://${user}:${blob[user]}@${HOSTS.blobs}:6379\n`,
  });
  const database = (user: (typeof MONGO_USERS)[number]) => ({
    MONGODB_URI: `mongodb://${user}:${mongo[user]}@${HOSTS.mongodb}:27017/${DATABASE}?replicaSet=rs0&authSource=admin&tls=true\n`,
  });
  const ofMongodb = await serving(HOSTS.mongodb);
  return {
    gateway: {
      ...ca,
      ...database('gateway'),
      ...redis('gateway'),
      AUDIT_SHARED_SECRET: shared,
      SESSION_KEY: makeKey('session').key,
      FRAME_PUBLIC_KEY: publicHalf(frame),
      RESULT_PUBLIC_KEYS: publicHalf(result),
      SIMILARITY_PRIVATE_KEYS: similarity.key,
      MAIL_KEY: mail,
      EVENT_KEK: event,
      EVENT_MAC_KEY: eventMac,
    },
    inference: {
      ...ca,
      ...redis('inference'),
      FRAME_PRIVATE_KEYS: frame.key,
      RESULT_PRIVATE_KEY: result.key,
      SIMILARITY_PUBLIC_KEY: publicHalf(similarity),
      EVIDENCE_KEY: makeKey('evidence').key,
      TEMPLATE_KEK: makeKey('template').key,
    },
    audit: {
      ...ca,
      ...database('audit'),
      ...redis('audit'),
      ...(await serving(HOSTS.audit)),
      AUDIT_SHARED_SECRET: shared,
      MAIL_KEY: mail,
      EVENT_KEK: event,
      EVENT_MAC_KEY: eventMac,
      CHECKPOINT_KEY: makeKey('checkpoint').key,
    },
    migrate: { ...ca, ...database('cli'), EVENT_MAC_KEY: eventMac },
    cli: { ...ca, ...database('cli'), ...redis('cli'), MAIL_KEY: mail, EVENT_MAC_KEY: eventMac },
    keda: { ...ca, username: 'keda', password: queue.keda, tls: 'enable' },
    redis: { ...ca, ...(await serving(HOSTS.redis)), 'users.acl': queueUsers(queue) },
    'redis-blobs': { ...ca, ...(await serving(HOSTS.blobs)), 'users.acl': blobUsers(blob) },
    mongodb: {
      ...ca,
      // The server wants both in one file.
      'tls.pem': `${ofMongodb['tls.crt']}${ofMongodb['tls.key']}`,
      // Members of the replica set know one another by it: 6 to 1024 characters of base64.
      keyFile: `${randomBytes(756).toString('base64')}\n`,
      'root-password': password(),
      'users.json': `${JSON.stringify({ database: DATABASE, users: mongo }, null, 2)}\n`,
    },
    nginx: await serving(publicHost, HOSTS.nginx),
    // The composition's test comes in as people do, and reaches the proxy by its own name.
    tests: ca,
  };
}

/** 256 bits in letters that may stand in a URL. */
const password = (): string => randomBytes(32).toString('base64url');

const passwords = <User extends string>(...users: readonly User[]): Record<User, string> =>
  Object.fromEntries(users.map((user) => [user, password()])) as Record<User, string>;

function publicHalf({ id, publicKey }: { id: string; publicKey: string | null }): string {
  if (publicKey === null) throw new Error(`key ${id} is no pair`);
  return publicKey;
}
