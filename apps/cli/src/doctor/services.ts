import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { z } from 'zod';
import { checkServer, ConfigError, serverPolicy } from '#config';
import { SCHEMA_VERSION } from '#contracts';
import { countWorkers, inspectRedis } from '#queue';
import { Database } from '../database/database.repository.js';
import { INDEXES, missingIndexes, nameOf } from '../database/indexes.js';
import { versionOf } from '../database/migrations.js';
import { bad, clock, type Finding, isAtLeast, note, ok } from './check.js';
import type { Environment } from './environment.js';

const NODE_FLOOR = [20, 19];
const TIMEOUT_MS = 3_000;
const LAG_MAX_MS = 15 * 60_000;

export function node(version = process.versions.node): Finding {
  if (isAtLeast(version, NODE_FLOOR)) return ok('Node.js', version);
  return bad('Node.js', version, `install Node.js ${NODE_FLOOR.join('.')} or later`);
}

/** Where onnxruntime keeps what it would report to its maker, within the folder for caches. */
const RUNTIME_EVENTS = 'Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db';

/** Every process that loads the runtime forbids it to report; what it wrote all the same would lie here. */
export function telemetry(source: Readonly<Record<string, string | undefined>>): Finding {
  const cache = source.XDG_CACHE_HOME || path.join(source.HOME || os.homedir(), '.cache');
  const file = path.join(cache, RUNTIME_EVENTS);
  const written = fs.statSync(file, { throwIfNoEntry: false })?.mtime;
  if (written === undefined) return ok('telemetry of onnxruntime', 'off: no events in the folder for caches');
  return note(
    'telemetry of onnxruntime',
    `events in ${file}, written ${written.toISOString()}`,
    'delete that folder; if it comes back, set ORT_DISABLE_TELEMETRY=1 for whatever else here loads onnxruntime',
  );
}

/** As the processes judge it when they start. */
function version(server: 'redis' | 'valkey' | 'mongodb', says: string, { NODE_ENV, ...given }: Environment): Finding {
  const [check, allowed] =
    server === 'mongodb'
      ? (['MongoDB', given.ALLOW_OLD_MONGODB] as const)
      : (['Redis', given.ALLOW_OLD_REDIS] as const);
  try {
    const old = checkServer(server, says, serverPolicy(NODE_ENV, allowed));
    return old === null ? ok(check, says) : note(check, says, `${old}: upgrade it`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return bad(check, says, error.problems.map(({ variable, must }) => `${variable} ${must}`).join('; '));
  }
}

export async function mongo(
  source: Readonly<Record<string, string | undefined>>,
  given: Environment,
  now: () => number,
): Promise<Finding[]> {
  try {
    return await Database.with(async ({ db }) => {
      const findings: Finding[] = [];
      const [build, hello] = await Promise.all([db.admin().buildInfo(), db.command({ hello: 1 })]);
      findings.push(
        version('mongodb', String(build.version), given),
        typeof hello.setName === 'string'
          ? ok('MongoDB replica set', hello.setName)
          : note(
              'MongoDB replica set',
              'none',
              'in production run three members: a lone server that is lost loses locks',
            ),
      );
      if (hello.localTime instanceof Date) findings.push(clock('clock of MongoDB', hello.localTime, now()));
      const missing = await missingIndexes(db);
      findings.push(
        missing.length === 0
          ? ok('indexes', `all ${INDEXES.length} are there`)
          : bad('indexes', `missing: ${missing.map(nameOf).join(', ')}`, 'run: countersign migrate'),
      );
      const schema = await versionOf(db);
      if (schema === SCHEMA_VERSION) findings.push(ok('schema', `version ${schema}`));
      else if (schema > SCHEMA_VERSION)
        findings.push(bad('schema', `version ${schema} is newer than this program`, 'use the program of that version'));
      else {
        // Where processes make no index themselves they do not start.
        const finding = given.NODE_ENV === 'production' ? bad : note;
        findings.push(finding('schema', `version ${schema} of ${SCHEMA_VERSION}`, 'run: countersign migrate'));
      }
      const since = new Date(now() - LAG_MAX_MS);
      const late = await db.collection('face_guards').countDocuments({ hasOutbox: true, outboxSince: { $lt: since } });
      findings.push(
        late === 0
          ? ok('audit', 'no event waits for more than 15 minutes')
          : bad(
              'audit',
              `events of ${late} accounts wait for more than 15 minutes`,
              'start the audit process, read its log',
            ),
      );
      return findings;
    }, source);
  } catch {
    return [bad('MongoDB', 'does not answer', 'start it, or correct MONGODB_URI: host, port, credentials, TLS')];
  }
}

export async function redis(given: Environment, now: () => number): Promise<Finding[]> {
  const { REDIS_URL: url, REDIS_BLOB_URL: blobUrl } = given;
  const findings: Finding[] = [];
  try {
    const { server, version: says, evictionPolicy, now: theirs } = await inspectRedis(url);
    findings.push(
      version(server, says, given),
      evictionPolicy === null || evictionPolicy === 'noeviction'
        ? ok('Redis maxmemory-policy', evictionPolicy ?? 'not told')
        : bad(
            'Redis maxmemory-policy',
            evictionPolicy,
            'set maxmemory-policy noeviction: jobs and sessions would vanish',
          ),
      // Redis tells whole seconds.
      clock('clock of Redis', theirs, now(), 1_000),
    );
    findings.push(
      await workers(url, 'face', 'inference'),
      await workers(url, 'results', 'gateway'),
      await workers(url, 'audit', 'audit'),
    );
  } catch {
    findings.push(bad('Redis', 'does not answer', 'start it, or correct REDIS_URL: host, port, password, TLS'));
  }
  findings.push(await blobs(url, blobUrl));
  return findings;
}

async function workers(url: string, queue: Parameters<typeof countWorkers>[1], app: string): Promise<Finding> {
  const count = await countWorkers(url, queue);
  if (count > 0) return ok(`${app} processes`, `${count} connected`);
  return bad(
    `${app} processes`,
    'none is connected',
    `start ${app}, with this very REDIS_URL, number of the database included`,
  );
}

async function blobs(url: string, blobUrl: string | undefined): Promise<Finding> {
  const check = 'Redis of frames';
  if (blobUrl === undefined || blobUrl === url) {
    return note(check, 'the same as REDIS_URL', 'in production set REDIS_BLOB_URL to a server without persistence');
  }
  try {
    const { version, persists } = await inspectRedis(blobUrl);
    if (!persists) return ok(check, `${version}, writes nothing to disk`);
    return bad(check, 'writes to disk what erasure could not reach', 'set appendonly no and save "" there');
  } catch {
    return bad(check, 'does not answer', 'start it, or correct REDIS_BLOB_URL');
  }
}

/** Every model file against the digest that the manifest names. */
export function models(manifestPath: string): Finding[] {
  const advice = 'npm run models:verify says more; copy models/ anew from the release';
  try {
    const files = filesOf(JSON.parse(fs.readFileSync(manifestPath, 'utf8')));
    const wrong = files.filter(({ file, sha256 }) => digestOf(path.join(path.dirname(manifestPath), file)) !== sha256);
    if (wrong.length === 0 && files.length > 0) return [ok('models', `${files.length} files as the manifest has them`)];
    return [
      bad(
        'models',
        `not as the manifest has them: ${wrong.map(({ file }) => file).join(', ') || 'none named'}`,
        advice,
      ),
    ];
  } catch {
    return [bad('models', 'the manifest cannot be read', 'set MODEL_MANIFEST to models/manifest.json of the release')];
  }
}

/** Wherever the manifest names a file with its digest. */
function filesOf(value: unknown): { file: string; sha256: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  const { file, sha256 } = value as { file?: unknown; sha256?: unknown };
  const own =
    typeof file === 'string' && file.endsWith('.onnx') && typeof sha256 === 'string' ? [{ file, sha256 }] : [];
  return [...own, ...Object.values(value).flatMap(filesOf)];
}

function digestOf(file: string): string | null {
  try {
    return createHash('sha256').update(fs.readFileSync(file)).digest('hex');
  } catch {
    return null;
  }
}

export async function smtp(url: string | undefined): Promise<Finding> {
  if (url === undefined)
    return note('SMTP', 'SMTP_URL is not set here', 'run this where audit gets its variables, too');
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === 'smtps:';
  const greeting = await greetingOf(hostname, Number(port || (secure ? 465 : 587)), secure);
  if (greeting?.startsWith('220')) return ok('SMTP', 'greets');
  const found = greeting === null ? 'does not answer' : 'does not greet as a mail server does';
  return bad('SMTP', found, 'start it, or correct SMTP_URL: host, port, smtp:// or smtps://');
}

function greetingOf(host: string, port: number, secure: boolean): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = secure ? tls.connect({ host, port, servername: host }) : net.connect({ host, port });
    const end = (text: string | null): void => {
      socket.destroy();
      resolve(text);
    };
    socket.setTimeout(TIMEOUT_MS, () => end(null));
    socket.once('error', () => end(null));
    socket.once('data', (bytes: Buffer) => end(bytes.toString('latin1')));
  });
}

/** An older gateway says nothing of it. */
const readySchema = z.object({ degraded: z.array(z.string()).default([]) });

function degradedOf(answer: unknown): Finding {
  const { degraded } = readySchema.parse(answer);
  if (degraded.length === 0) return ok('gateway', 'ready');
  return bad(
    'gateway',
    `ready, but nobody's face can be judged: ${degraded.join(', ')}`,
    'no_workers: start inference; no_queue: see REDIS_URL; no_frame_store: see REDIS_BLOB_URL',
  );
}

export async function gateway(url: string | undefined): Promise<Finding> {
  if (url === undefined)
    return note('gateway', 'PUBLIC_URL is not set here', 'run this where gateway gets its variables');
  try {
    const answer = await fetch(new URL('/health/ready', url), { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.status === 200) return degradedOf(await answer.json());
    return bad(
      'gateway',
      `answers ${answer.status} at /health/ready`,
      'read its log: what it stands on does not answer',
    );
  } catch {
    return bad(
      'gateway',
      'does not answer at PUBLIC_URL',
      'start gateway, or correct PUBLIC_URL or the proxy before it',
    );
  }
}
