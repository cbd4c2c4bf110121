import { checkServer, serverPolicy } from './servers.js';

describe('versions of servers', () => {
  it.each([
    ['redis', '7.2.11'],
    ['redis', '7.4.6'],
    ['redis', '8.0.6'],
    ['redis', '8.2.2'],
    ['redis', '8.4.0'],
    ['redis', '9.0.0'],
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
    ['mongodb', '6.0.27'],
    ['mongodb', '7.0.27'],
    ['mongodb', '8.0.16'],
    ['mongodb', '8.1.1'],
    ['mongodb', 'canary'],
  ] as const)('%s %s is refused by name of its variable, and the override is named', (server, version) => {
    const check = (): unknown => checkServer(server, version, 'refuse');
    const [variable, override] =
      server === 'redis' ? ['REDIS_URL', 'ALLOW_OLD_REDIS'] : ['MONGODB_URI', 'ALLOW_OLD_MONGODB'];
    expect(check).toThrow(`${variable}: must name`);
    expect(check).toThrow(`${override}=yes`);
    expect(check).not.toThrow('canary');
    expect(checkServer(server, version, 'warn')).toContain(variable);
  });

  it('an old one is refused in production only, and not when its operator vouches for it', () => {
    expect(serverPolicy('production', 'no')).toBe('refuse');
    expect(serverPolicy('production', 'yes')).toBe('warn');
    expect(serverPolicy('development', 'no')).toBe('warn');
  });
});
