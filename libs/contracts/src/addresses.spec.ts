import { addressRangeOf, canonicalAddress, clientNetworksOf, eventNetworkOf, isInRanges } from './addresses.js';

describe('canonicalAddress', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7:51001', '203.0.113.7'],
    ['203.0.113.7:_hidden', '203.0.113.7'],
    [' "203.0.113.7:80" ', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['0:0:0:0:0:ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7:51001', '203.0.113.7'],
    ['[::ffff:203.0.113.7]:51001', '203.0.113.7'],
    ['[2001:db8::1]:4100', '2001:db8::1'],
    ['"[2001:db8::1]:4100"', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['2001:0DB8:0:0::0001', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25eth0]:80', 'fe80::1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['::1', '::1'],
  ])('case 5: %s is %s, and stays so', (written, canonical) => {
    expect(canonicalAddress(written)).toBe(canonical);
    expect(canonicalAddress(canonical)).toBe(canonical);
  });

  it.each([
    '', ' ', 'unknown', '_hidden', 'proxy.internal', '203.0.113', '203.0.113.256', '010.0.0.1', '203.0.113.7:', '203.0.113.7:x',
    '203.0.113.7:123456', '1.2.3.4, 5.6.7.8', '2001:db8::1::2', '[2001:db8::1', '2001:db8::1]:80', '0x7f000001', '2130706433', undefined,
  ])('case 5: %p is no address', (written) => expect(canonicalAddress(written)).toBeUndefined()); // prettier-ignore
});

describe('clientNetworksOf', () => {
  it('http B2: is the /64 and the /48 of IPv6, and the address itself of IPv4, also where it is mapped', () => {
    expect(clientNetworksOf('2001:db8:1:2:3:4:5:6')).toEqual({ network: '2001:db8:1:2::/64', site: '2001:db8:1::/48' });
    expect(clientNetworksOf('[2001:db8:1:2::1]:99')).toEqual(clientNetworksOf('2001:db8:1:2:ffff::'));
    expect(clientNetworksOf('::ffff:203.0.113.7')).toEqual({ network: '203.0.113.7', site: null });
    expect(clientNetworksOf('::1')).toEqual({ network: '::/64', site: '::/48' });
  });

  it('case 5: is one for all whose address nobody knows', () => {
    expect(clientNetworksOf(undefined)).toEqual(clientNetworksOf('unknown'));
    expect(clientNetworksOf('unknown').site).toBeNull();
  });
});

describe('eventNetworkOf', () => {
  it('is /24 and /48, written as the tags of stored events were made of it', () => {
    expect(eventNetworkOf('192.0.2.7')).toBe('192.0.2.0/24');
    expect(eventNetworkOf('::ffff:192.0.2.7')).toBe('192.0.2.0/24');
    expect(eventNetworkOf('2001:0DB8:1:2::5')).toBe('2001:db8:1::/48');
    expect(eventNetworkOf('2001:db8::5')).toBe('2001:db8:0::/48');
    expect(eventNetworkOf('64:ff9b::192.0.2.7')).toBe('64:ff9b:0::/48');
    expect(eventNetworkOf('elsewhere')).toBeUndefined();
  });
});

describe('ranges', () => {
  const among = (address: string, ...ranges: string[]): boolean =>
    isInRanges(
      address,
      ranges.flatMap((text) => addressRangeOf(text) ?? []),
    );

  it('hold what their first bits hold, each family by itself', () => {
    expect(among('10.255.0.1', '10.0.0.0/8')).toBe(true);
    expect(among('11.0.0.1', '10.0.0.0/8', '192.0.2.1')).toBe(false);
    expect(among('10.1.2.3', '10.9.9.9/8')).toBe(true);
    expect(among('10.1.2.3', '::ffff:10.0.0.0/104')).toBe(true);
    expect(among('2001:db8::1', '2001:db8::/32')).toBe(true);
    expect(among('::1', '0.0.0.0/0')).toBe(false);
  });

  it.each(['10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0.0/', '::ffff:10.0.0.0/95', 'fe80::1%eth0', '1.2.3.4:80', 'x'])(
    'are not %s',
    (text) => expect(addressRangeOf(text)).toBeNull(),
  ); // prettier-ignore
});
