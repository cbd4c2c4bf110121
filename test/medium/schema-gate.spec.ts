import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import type { INestApplication } from '@nestjs/common';
import { type Connection, createConnection } from 'mongoose';
import { SCHEMA_VERSION } from '#contracts';
import { repositoryRoot, servicesOfTestRun, withDatabase } from '#stack';
import { loadConfig as loadAudit } from '../../apps/audit/src/config.js';
import { startAudit } from '../../apps/audit/src/start.js';
import { loadConfig as loadGateway } from '../../apps/gateway/src/config.js';
import { createGateway } from '../../apps/gateway/src/http/server.js';
import { ownRedisUrl } from '../redis-database.js';
import { GATEWAY_KEYS } from './gateway-world.js';

jest.setTimeout(60_000);

const run = promisify(execFile);
const random = (): string => randomBytes(32).toString('base64url');
const PRODUCTION = { NODE_ENV: 'production', ALLOW_OLD_MONGODB: 'yes', ALLOW_OLD_REDIS: 'yes' } as const;

/** Configured as in production but for TLS, which the servers of a test run do not have. */
describe.each(['gateway', 'audit'] as const)('%s in production (real Redis and MongoDB)', (name) => {
  const services = servicesOfTestRun();
  const MONGODB_URI = withDatabase(services.mongoUri, `schema_${name}_${process.pid}`);
  const common = { MONGODB_URI, AUDIT_SHARED_SECRET: random(), MAIL_KEY: random(), EVENT_KEK: random(), LOG_LEVEL: 'error' }; // prettier-ignore
  let db: Connection;
  let REDIS_URL: string;
  let app: INestApplication | undefined;

  const start = async (): Promise<void> => {
    if (name === 'gateway') {
      const own = { AUDIT_PORT: '1', SESSION_KEY: random(), MONGODB_WAIT_MS: '10000', ...GATEWAY_KEYS };
      app = await createGateway({ ...loadGateway({ ...common, REDIS_URL, ...own }), ...PRODUCTION });
      await app.init();
    } else {
      const own = { AUDIT_PORT: '0', HEALTH_PORT: '0', SMTP_URL: 'smtp://127.0.0.1:1', MAIL_FROM: 'a@example.org', PUBLIC_URL: 'https://id.example.org', CHECKPOINT_KEY: random() }; // prettier-ignore
      app = await startAudit({ ...loadAudit({ ...common, REDIS_URL, ...own }), ...PRODUCTION });
    }
  };
  const migrate = async (): Promise<void> => {
    const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
    await run(process.execPath, [main, 'migrate'], { env: { PATH: process.env.PATH, MONGODB_URI } });
  };
  const indexes = async (): Promise<string[]> => {
    const names = (await db.listCollections()).map((one) => one.name).sort();
    const lists = await Promise.all(names.map((one) => db.collection(one).indexes()));
    return lists
      .flatMap((list, i) => list.map((index) => `${names[i]}: ${JSON.stringify(index.key)}`))
      .filter((index) => !index.endsWith(': {"_id":1}'))
      .sort();
  };

  beforeAll(async () => {
    REDIS_URL = await ownRedisUrl();
    db = await createConnection(MONGODB_URI).asPromise();
    await db.dropDatabase();
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });
  afterAll(async () => {
    await db?.dropDatabase();
    await db?.close();
  });

  it('does not start on a database that was never migrated, says what to do, and leaves it as it is', async () => {
    await expect(start()).rejects.toThrow(
      `MONGODB_URI: must name a database of schema version ${SCHEMA_VERSION}; this one is of 0: run countersign migrate`,
    );
    expect(await indexes()).toEqual([]);
  });

  it('starts on what migrate has made and makes no index itself, also beside a newer version', async () => {
    await migrate();
    const made = await indexes();
    await start();
    expect(await indexes()).toEqual(made);
    await app?.close();
    app = undefined;

    for (const one of ['users', 'not_me_tokens', 'mails']) await db.collection(one).dropIndexes();
    const fewer = await indexes();
    expect(fewer.length).toBeLessThan(made.length);
    await db.collection<{ _id: string }>('schema_versions').updateOne({ _id: 'schema' }, { $inc: { version: 7 } });
    await start();
    expect(await indexes()).toEqual(fewer);
  });
});
