/** Addresses of the real servers a medium or e2e test talks to. */
export interface TestServices {
  redisUrl: string;
  mongoUri: string;
  smtpUrl: string;
  mailDir: string;
}

/** @throws Error that says how to run the tests when they were started without servers. */
export function testServices(env: NodeJS.ProcessEnv = process.env): TestServices {
  const read = (name: string): string => {
    const value = env[`COUNTERSIGN_TEST_${name}`];
    if (!value)
      throw new Error(`no servers to test against: use \`npm test\`, or \`node tools/run.mjs jest\` for some`);
    return value;
  };
  return {
    redisUrl: read('REDIS_URL'),
    mongoUri: read('MONGODB_URI'),
    smtpUrl: read('SMTP_URL'),
    mailDir: read('MAIL_DIR'),
  };
}

/** The same server, another database: each test file has data of its own. */
export const withDatabase = (mongoUri: string, name: string): string => {
  const url = new URL(mongoUri);
  url.pathname = `/${name}`;
  return url.toString();
};

/** The same Redis, another of its 16 numbered databases. */
export const withRedisDatabase = (redisUrl: string, database: number): string => {
  const url = new URL(redisUrl);
  url.pathname = `/${database}`;
  return url.toString();
};
