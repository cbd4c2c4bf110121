import { gatewayEnvSchema } from './config.js';

const proxies = (text: string) => gatewayEnvSchema.shape.TRUSTED_PROXIES.safeParse(text);

describe('trusted proxies', () => {
  it('are addresses and networks, none by default', () => {
    expect(proxies('10.0.0.0/8, 192.0.2.7,2001:db8::/32').data).toEqual(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32']);
    expect(gatewayEnvSchema.shape.TRUSTED_PROXIES.parse(undefined)).toEqual([]);
  });

  it.each(['true', '*', '1', 'all', '0.0.0.0/0', '::/0', '10.0.0.0/33', '10.0.0.0/8/8', 'proxy.internal'])(
    'are not %s: a client could then choose its own address',
    (text) => {
      expect(proxies(text).success).toBe(false);
    },
  );
});
