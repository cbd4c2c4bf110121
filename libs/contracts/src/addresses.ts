import { isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';

/** `203.0.113.7:51001` and `[2001:db8::1]:4100`, as gateways write them; also with an obfuscated port (RFC 7239, 6.3). */
const WITH_PORT = /^(?:\[([^\]]+)\]|([\da-f:]*\d{1,3}(?:\.\d{1,3}){3}))(?::(?:\d{1,5}|_[\w.-]+))?$/i;
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;

/**
 * The one way in which an address is written: without port, brackets, zone and quotes, IPv4-mapped IPv6 as IPv4, IPv6 as
 * RFC 5952 has it. Undefined for what is no address (`unknown`, `_hidden`, a host name).
 */
export function canonicalAddress(text: string | undefined): string | undefined {
  const bare = (text ?? '').trim().replace(/^"(.*)"$/, '$1');
  const [, bracketed, dotted] = WITH_PORT.exec(bare) ?? [];
  const address = (bracketed ?? dotted ?? bare).replace(/%.*$/, '');
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return undefined;
  const written = new SocketAddress({ address, family: 'ipv6' }).address;
  return MAPPED.exec(written)?.[1] ?? written;
}

/** An address as its bits: 32 of IPv4, 128 of IPv6. Canonical addresses only. */
function valueOf(address: string): bigint {
  if (isIPv4(address)) return address.split('.').reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  // The last two groups may be written as IPv4.
  const [head = '', tail] = address
    .replace(/\d+\.\d+\.\d+\.\d+$/, (v4) => {
      const bits = valueOf(v4);
      return `${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`;
    })
    .split('::', 2);
  const groups = (part: string | undefined): string[] => (part ?? '').split(':').filter(Boolean);
  const [left, right] = [groups(head), groups(tail)];
  const zeros = Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...zeros, ...right].reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** The network of so many bits that an address is in: `192.0.2.0/24`, `2001:db8:1::/48`. */
function networkOf(address: string, bits: number): string {
  const v6 = isIP(address) === 6;
  const host = BigInt((v6 ? 128 : 32) - bits);
  const value = (valueOf(address) >> host) << host;
  const size = v6 ? 16 : 8;
  const parts = Array.from({ length: v6 ? 8 : 4 }, (_, i) => {
    const part = (value >> BigInt(size * ((v6 ? 7 : 3) - i))) & BigInt(2 ** size - 1);
    return part.toString(v6 ? 16 : 10);
  });
  return `${canonicalAddress(parts.join(v6 ? ':' : '.'))}/${bits}`;
}

/**
 * The network that events keep when the address itself is gone: /24 of IPv4, /48 of IPv6 with its three groups written
 * out, as search tags have been made of it from the beginning. Undefined for no address.
 */
export function eventNetworkOf(text: string): string | undefined {
  const address = canonicalAddress(text);
  if (address === undefined) return undefined;
  if (isIPv4(address)) return networkOf(address, 24);
  const bits = valueOf(address);
  return `${[112n, 96n, 80n].map((shift) => ((bits >> shift) & 0xffffn).toString(16)).join(':')}::/48`;
}

/** What stands for a client whose address nobody knows: all of them are one. */
const NOWHERE = 'nowhere';

/**
 * Whom a limit counts as one: an IPv4 address, or the /64 of an IPv6 address, which one host has all of (RFC 4291, 2.5.1).
 * `site`: the /48 of an IPv6 address, which one customer may have all of (RFC 6177, 2); its limit is higher.
 */
export function clientNetworksOf(address: string | undefined): { network: string; site: string | null } {
  const canonical = canonicalAddress(address);
  if (canonical === undefined) return { network: NOWHERE, site: null };
  if (isIPv4(canonical)) return { network: canonical, site: null };
  return { network: networkOf(canonical, 64), site: networkOf(canonical, 48) };
}

/** A range of addresses: all those whose first `bits` bits are those of `first`. */
export interface AddressRange {
  family: 'ipv4' | 'ipv6';
  first: bigint;
  bits: number;
}

const WIDTH = { ipv4: 32, ipv6: 128 } as const;
const MAPPED_BITS = 96;

/** An address or a CIDR network. Null for anything else. A network of IPv4-mapped addresses is one of IPv4. */
export function addressRangeOf(text: string): AddressRange | null {
  const [written = '', length, ...rest] = text.split('/');
  if (rest.length > 0 || isIP(written) === 0 || written.includes('%')) return null;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return null;
  const address = canonicalAddress(written) ?? '';
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  const mapped = family === 'ipv4' && isIPv6(written) ? MAPPED_BITS : 0;
  const bits = length === undefined ? WIDTH[family] : Number(length) - mapped;
  if (bits < 0 || bits > WIDTH[family]) return null;
  const host = BigInt(WIDTH[family] - bits);
  return { family, first: (valueOf(address) >> host) << host, bits };
}

/** Whether a canonical address lies in one of the ranges. */
export function isInRanges(address: string, ranges: readonly AddressRange[]): boolean {
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  const value = valueOf(address);
  return ranges.some((range) => range.family === family && (value ^ range.first) >> hostBits(range) === 0n);
}

const hostBits = ({ family, bits }: AddressRange): bigint => BigInt(WIDTH[family] - bits);

/** The share of all addresses of a family that lie in at least one of the ranges: 0 to 1. */
export function shareCovered(ranges: readonly AddressRange[], family: AddressRange['family']): number {
  const spans = ranges
    .filter((range) => range.family === family)
    .map((range) => ({ from: range.first, to: range.first + (1n << hostBits(range)) }))
    .sort((a, b) => (a.from < b.from ? -1 : 1));
  let [covered, reached] = [0n, 0n];
  for (const { from, to } of spans) {
    if (to <= reached) continue;
    covered += to - (from > reached ? from : reached);
    reached = to;
  }
  return Number(covered) / 2 ** WIDTH[family];
}
