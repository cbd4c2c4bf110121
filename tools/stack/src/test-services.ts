import { type Services } from './services.js';

const VARIABLES = {
  redisUrl: 'COUNTERSIGN_TEST_REDIS_URL',
  redisBlobUrl: 'COUNTERSIGN_TEST_REDIS_BLOB_URL',
  mongoUri: 'COUNTERSIGN_TEST_MONGODB_URI',
  smtpUrl: 'COUNTERSIGN_TEST_SMTP_URL',
  mailDir: 'COUNTERSIGN_TEST_MAIL_DIR',
} as const;
type Field = keyof typeof VARIABLES;

/** What `npm test` hands to Jest: the servers it has started once for all tests. */
export function testEnvironment(services: Services): Record<string, string> {
  return Object.fromEntries((Object.keys(VARIABLES) as Field[]).map((field) => [VARIABLES[field], services[field]]));
}

/** The other end of `testEnvironment`, for a test that starts apps against those servers. */
export function servicesOfTestRun(env: NodeJS.ProcessEnv = process.env): Services {
  const value = (field: Field): string => {
    const text = env[VARIABLES[field]];
    if (!text)
      throw new Error(`${VARIABLES[field]} is not set: run tests with "npm test" or "node tools/run.mjs jest"`);
    return text;
  };
  const chosen = 'given by the test run';
  return {
    redisUrl: value('redisUrl'),
    redisBlobUrl: value('redisBlobUrl'),
    mongoUri: value('mongoUri'),
    smtpUrl: value('smtpUrl'),
    mailDir: value('mailDir'),
    chosen: { redis: chosen, mongo: chosen, mail: chosen },
    control: {},
    stop: async () => undefined,
  };
}
