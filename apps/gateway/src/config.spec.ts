import { gatewayEnvSchema } from './config.js';

const proxies = (text: string) => gatewayEnvSchema.shape.TRUSTED_PROXIES.safeParse(text);

describe('trusted proxies', () => {
  it('are addresses and networks, none by default', () => {
    expect(proxies('none').data).toEqual([]);
    const private4 = '10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,127.0.0.0/8';
    expect(proxies(`${private4},fc00::/7,fe80::/10,::1,::ffff:10.0.0.0/104`).success).toBe(true);
    expect(proxies('10.0.0.0/8, 192.0.2.7,2001:db8::/32').data).toEqual(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32']);
    expect(gatewayEnvSchema.shape.TRUSTED_PROXIES.parse(undefined)).toEqual([]);
  });

  it.each(['true', '*', '1', 'all', '0.0.0.0/0', '::/0', '10.0.0.0/33', '10.0.0.0/8/8', 'proxy.internal'])(
    'are not %s: a client could then choose its own address',
    (text) => {
      expect(proxies(text).success).toBe(false);
    },
  );

  it.each([
    '0.0.0.0/1,128.0.0.0/1',
    '0.0.0.0/2, 64.0.0.0/2, 128.0.0.0/2, 192.0.0.0/2',
    '0.0.0.0/1,128.0.0.0/2,192.0.0.0/3',
    Array.from({ length: 32 }, (_, i) => `${i * 8}.0.0.0/5`).join(','),
    '::/1,8000::/1',
    '2000::/3',
    '::ffff:0:0/96',
    '::ffff:0.0.0.0/97,::ffff:128.0.0.0/97',
    'none,0.0.0.0/0',
    'none,10.0.0.0/8',
  ])('http E: ranges that add up to nearly everything are refused: %s', (text) => {
    expect(proxies(text).success).toBe(false);
  });
});
