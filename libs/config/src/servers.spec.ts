import { checkServer, redisServer, serverPolicy } from './servers.js';

describe('versions of servers', () => {
  it.each([
    ['redis', '7.2.11'],
    ['redis', '7.4.6'],
    ['redis', '8.0.6'],
    ['redis', '8.2.2'],
    ['redis', '8.4.0'],
    ['redis', '9.0.0'],
    ['valkey', '7.2.11'],
    ['valkey', '8.1.4'],
    ['valkey', '9.1.2'],
    ['mongodb', '7.0.28'],
    ['mongodb', '8.0.17'],
    ['mongodb', '8.2.3-rc1'],
    ['mongodb', '8.3.0'],
  ] as const)('%s %s is taken', (server, version) => {
    expect(checkServer(server, version, 'refuse')).toBeNull();
  });

  it.each([
    ['redis', '7.0.15'],
    ['redis', '7.2.10'],
    ['redis', '7.3.99'],
    ['redis', '8.0.3'],
    ['redis', '8.1.9'],
    ['redis', '8.2.1'],
    ['redis', ''],
    ['valkey', '7.2.4'],
    ['valkey', '8.0.5'],
    ['valkey', '8.1.3'],
    ['mongodb', '6.0.27'],
    ['mongodb', '7.0.27'],
    ['mongodb', '8.0.16'],
    ['mongodb', '8.1.1'],
    ['mongodb', 'canary'],
  ] as const)('%s %s is refused by name of its variable, and the override is named', (server, version) => {
    const check = (): unknown => checkServer(server, version, 'refuse');
    const [variable, override] =
      server === 'mongodb' ? ['MONGODB_URI', 'ALLOW_OLD_MONGODB'] : ['REDIS_URL', 'ALLOW_OLD_REDIS'];
    expect(check).toThrow(`${variable}: must name`);
    expect(check).toThrow(`${override}=yes`);
    expect(check).not.toThrow('canary');
    expect(checkServer(server, version, 'warn')).toContain(variable);
  });

  it.each([
    ['# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n', 'valkey', '9.1.2'],
    ['redis_version:8.0.6\r\nredis_mode:standalone\r\n', 'redis', '8.0.6'],
    ['redis_version:7.2.4\nserver_name:other\nvalkey_version:9.1.2\n', 'redis', '7.2.4'],
    ['', 'redis', ''],
  ] as const)(
    'case 9: a server is judged by its own version, not by the one it is compatible with',
    (info, server, version) => {
      expect(redisServer(info)).toEqual({ server, version });
    },
  );

  it('an old one is refused in production only, and not when its operator vouches for it', () => {
    expect(serverPolicy('production', 'no')).toBe('refuse');
    expect(serverPolicy('production', 'yes')).toBe('warn');
    expect(serverPolicy('development', 'no')).toBe('warn');
  });
});
