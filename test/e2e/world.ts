import { rm } from 'node:fs/promises';
import path from 'node:path';
import { type Connection, createConnection } from 'mongoose';
import { type Apps, repositoryRoot, type Services, servicesOfTestRun, startApps, temporaryFolder } from '#stack';
import { ApiClient, Media, performCapture, RecordedPerson } from '#testing';
import { claimRedisDatabase } from '../redis-database.js';

export const PASSWORD = 'correct horse battery staple';

/** All three processes, as built, against the test run's servers, with a database and a Redis number of their own. */
export interface World {
  apps: Apps;
  services: Services;
  media: Media;
  dir: string;
  connect(deviceModel?: string): ApiClient;
  /** A registered user with consent, logged in. */
  user(email: string): Promise<ApiClient>;
  /** The same, enrolled with the recorded owner's face. */
  enrolledUser(email: string): Promise<ApiClient>;
  /** Past every process: the database itself, for as long as `work` takes. */
  withDatabase<T>(work: (database: Connection) => Promise<T>): Promise<T>;
  stop(): Promise<void>;
}

export async function startWorld(o: {
  name: string;
  /** To put a proxy in front of a server. */
  through?: (services: Services) => Partial<Services>;
  /** For all processes, over what they get anyway. */
  env?: Record<string, string>;
}): Promise<World> {
  const given = servicesOfTestRun();
  const services = { ...given, ...o.through?.(given) };
  const dir = temporaryFolder(o.name);
  const apps = await startApps(services, {
    dir,
    log: () => undefined,
    gatewayPort: 0,
    database: `e2e_${o.name.replaceAll('-', '_')}_${process.pid}`,
    redisDatabase: await claimRedisDatabase(),
    ...(o.env ? { env: o.env } : {}),
  });
  const media = new Media(path.join(repositoryRoot(), 'test/media'));
  const connect = (deviceModel = 'Pixel 9'): ApiClient => new ApiClient(apps.gatewayUrl, deviceModel);

  const user = async (email: string): Promise<ApiClient> => {
    const client = connect();
    await client.post('/v1/auth/register', { email, password: PASSWORD });
    await client.login(email, PASSWORD);
    const { version, textSha256 } = (await client.get('/v1/face/consent')).body;
    const consent = await client.put('/v1/face/consent', { version, textSha256 });
    if (consent.status !== 200) throw new Error(`consent: ${consent.text}`);
    return client;
  };
  return {
    apps,
    services,
    media,
    dir,
    connect,
    user,
    enrolledUser: async (email) => {
      const client = await user(email);
      const capture = await performCapture(client, new RecordedPerson(media, 'franck', 41), 'enrolments');
      if (capture.end?.body.status !== 'enrolled') throw new Error(`enrolment: ${capture.end?.text ?? 'no end'}`);
      return client;
    },
    withDatabase: async (work) => {
      const database = await createConnection(apps.env('gateway').MONGODB_URI ?? '').asPromise();
      try {
        return await work(database);
      } finally {
        await database.close();
      }
    },
    stop: async () => {
      await apps.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
