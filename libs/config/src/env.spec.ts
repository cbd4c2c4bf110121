import { z } from 'zod';
import { ConfigError, env, parseEnv } from './env.js';

describe('parseEnv', () => {
  const schema = z.object({
    REDIS_URL: env.redisUrl,
    KEY: env.key32,
    PORT: env.port.default(3000),
    LOG_LEVEL: env.logLevel,
  });
  const good = { REDIS_URL: 'redis://127.0.0.1:6379/1', KEY: Buffer.alloc(32, 7).toString('base64url') };

  it('parses, applies defaults, and takes an empty variable for an unset one', () => {
    const config = parseEnv(schema, { ...good, PORT: '' });
    expect(config).toMatchObject({ REDIS_URL: good.REDIS_URL, PORT: 3000, LOG_LEVEL: 'info' });
    expect(config.KEY).toHaveLength(32);
  });

  it.each<[string, string | false]>([
    ['https://portal.example', 'https://portal.example'],
    ['https://portal.example/', 'https://portal.example'],
    ['http://localhost:8080', 'http://localhost:8080'],
    ['https://portal.example:443', 'https://portal.example'],
    ['HTTPS://Portal.example', 'https://portal.example'],
    ['https://portal.example/.', 'https://portal.example'],
    ['https://portal.example/%2e', 'https://portal.example'],
    ['https://portal.example/a/..', 'https://portal.example'],
    ['https://@portal.example', 'https://portal.example'],
    ['https:portal.example', 'https://portal.example'],
    [' https://portal.example ', 'https://portal.example'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
    ['https://portal.example/stepup', false],
    ['https://portal.example\\stepup', false],
    ['https://portal.example/..;/stepup', false],
    ['https://portal.example/stepup/', false],
    ['https://portal.example//', false],
    ['https://portal.example/?', false],
    ['https://portal.example/#', false],
    ['https://portal.example?tenant=1', false],
    ['https://me:pw@portal.example', false],
    ['portal.example', false],
  ])('case 15: PUBLIC_URL %j is taken as: %s', (text, taken) => {
    const parse = () => parseEnv(z.object({ PUBLIC_URL: env.publicUrl }), { PUBLIC_URL: text });
    if (taken) expect(parse()).toEqual({ PUBLIC_URL: taken });
    else expect(parse).toThrow(/PUBLIC_URL: must be .*http/);
  });

  it('names every bad variable and prints no value', () => {
    const attempt = () => parseEnv(schema, { REDIS_URL: 'http://secret-host', KEY: 'hunter2hunter2', PORT: '70000' });
    expect(attempt).toThrow(ConfigError);
    try {
      attempt();
    } catch (error) {
      const text = String(error);
      for (const name of ['REDIS_URL', 'KEY', 'PORT']) expect(text).toContain(name);
      for (const value of ['secret-host', 'hunter2', '70000']) expect(text).not.toContain(value);
    }
  });
});
