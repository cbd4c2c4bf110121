import type { mongo } from 'mongoose';
import { SCHEMA_COLLECTION, SCHEMA_VERSION, type SchemaRow } from '#contracts';
import { ConfigError } from './env.js';

/** `refuse` in production; `warn` in development, and where an operator vouches for the build (ALLOW_OLD_…). */
export type ServerPolicy = 'refuse' | 'warn';

/**
 * The first release of each line that has the fix: of CVE-2025-49844 (Redis: code execution through scripts, which the
 * queue needs) and CVE-2025-14847 (MongoDB: heap read without a login). What a distribution has mended under an older
 * number cannot be told from here: that is what the override is for.
 */
const FLOORS = {
  redis: { title: 'Redis', variable: 'REDIS_URL', override: 'ALLOW_OLD_REDIS', lines: [[7, 2, 11], [7, 4, 6], [8, 0, 4], [8, 2, 2]] },
  // Valkey says the version of Redis that it is compatible with, for ever; its own is another one, with lines of its own.
  valkey: { title: 'Valkey', variable: 'REDIS_URL', override: 'ALLOW_OLD_REDIS', lines: [[7, 2, 11], [8, 0, 6], [8, 1, 4]] },
  mongodb: { title: 'MongoDB', variable: 'MONGODB_URI', override: 'ALLOW_OLD_MONGODB', lines: [[7, 0, 28], [8, 0, 17], [8, 2, 3]] },
} as const; // prettier-ignore
export type Server = keyof typeof FLOORS;

/** Which server the answer to INFO is of, and its own version. */
export function redisServer(info: string): { server: 'redis' | 'valkey'; version: string } {
  const read = (name: string): string | undefined => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];
  const own = read('valkey_version');
  if (read('server_name') === 'valkey' && own !== undefined) return { server: 'valkey', version: own };
  return { server: 'redis', version: read('redis_version') ?? '' };
}

/** What to do about an old server: `allowed` is what the operator has set. */
export const serverPolicy = (nodeEnv: string, allowed: 'yes' | 'no'): ServerPolicy =>
  nodeEnv === 'production' && allowed === 'no' ? 'refuse' : 'warn';

/**
 * Compares the version that a server says with those that are safe.
 *
 * @returns what is wrong, to be logged; null if nothing is.
 * @throws ConfigError when that is to be refused.
 */
export function checkServer(server: Server, version: string, policy: ServerPolicy): string | null {
  const { title, variable, override, lines } = FLOORS[server];
  if (isSafe(version, lines)) return null;
  const floors = lines.map((line) => line.join('.')).join(', ');
  const must = `must name a ${title} of a safe version (from ${floors}); this one is ${known(version)}`;
  if (policy === 'warn') return `${variable}: ${must}`;
  const why = `${must}. If its builder has mended it, set ${override}=yes`;
  throw new ConfigError([{ variable, must: why }]);
}

/** In a line with a fix: from it on. Past all lines: yes. In or before a line that never got one: no. */
function isSafe(version: string, lines: readonly (readonly [number, number, number])[]): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const line = lines.find(([a, b]) => a === major && b === minor);
  if (line) return patch >= line[2];
  const [newestMajor, newestMinor] = lines[lines.length - 1] ?? [0, 0];
  return major > newestMajor || (major === newestMajor && minor > newestMinor);
}

/**
 * In production `countersign migrate` makes indexes and changes documents, once and before the processes start; in
 * development the processes make their indexes as they start.
 */
export const makesIndexes = ({ NODE_ENV }: { NODE_ENV: string }): boolean => NODE_ENV !== 'production';

/**
 * What a process asks of the database that it is given, before it does anything else: a release with the fixes, and in
 * production the indexes and documents that `countersign migrate` makes. A newer schema is served: migrations only add,
 * so that processes of the version before stay up beside it.
 *
 * @returns what is wrong with the server, to be logged; null if nothing is.
 * @throws ConfigError when that is to be refused, or the schema is older than this program.
 */
export async function checkDatabase(
  client: mongo.MongoClient,
  name: string,
  config: { NODE_ENV: string; ALLOW_OLD_MONGODB: 'yes' | 'no' },
): Promise<string | null> {
  const { version } = await client.db('admin').command({ buildInfo: 1 });
  const policy = serverPolicy(config.NODE_ENV, config.ALLOW_OLD_MONGODB);
  const warning = checkServer('mongodb', String(version), policy);
  const row = await client.db(name).collection<SchemaRow>(SCHEMA_COLLECTION).findOne({ _id: 'schema' });
  checkSchema(row?.version ?? 0, config);
  return warning;
}

function checkSchema(version: number, config: { NODE_ENV: string }): void {
  if (version >= SCHEMA_VERSION || makesIndexes(config)) return;
  const must = `must name a database of schema version ${SCHEMA_VERSION}; this one is of ${version}: run countersign migrate`;
  throw new ConfigError([{ variable: 'MONGODB_URI', must }]);
}

/** A server may say anything of itself: only a version goes into a message. */
const known = (version: string): string => /^[0-9][0-9A-Za-z.-]{0,30}/.exec(version)?.[0] ?? 'of unknown version';
