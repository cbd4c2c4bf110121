import { sourceFiles } from './source-files.js';

const HOME = 'apps/gateway/src/http/origin.ts';
/** Asks from outside, and compares: the address there is the proxy's. */
const DOCTOR = 'apps/cli/src/doctor/way-in.ts';
const CANONICAL = 'libs/contracts/src/addresses.ts';

/** Without comments: they may speak of what the code must not do. */
const codeOf = (text: string): string => text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
const filesWith = (pattern: RegExp): string[] =>
  sourceFiles('apps', 'libs')
    .filter(({ text }) => pattern.test(codeOf(text)))
    .map(({ file }) => file);

/** How the address of a client can be come by: the framework's, the socket's, what proxies write. */
const RAW = [
  /\.\s*ips?\b/,
  /\[['"]ips?['"]\]/,
  /[{,]\s*ips?\s*[,}:]/,
  /remoteAddress|remoteFamily|getPeerName|peername/i,
  /['"`](x-)?(forwarded|real-ip|client-ip|cluster-client-ip|true-client-ip|cf-connecting-ip|fastly-client-ip|appengine-user-ip|forwarded-for|original-forwarded-for)['"`]/i,
];

describe('addresses of clients (case 5, http B2)', () => {
  it('are read in one place, which makes them canonical', () => {
    expect([...new Set(RAW.flatMap(filesWith))].filter((file) => file !== DOCTOR)).toEqual([HOME]);
  });

  it.each(['request.ip', 'const { ip } = request', "headers['x-forwarded-for']", 'socket.remoteAddress', 'req.raw.socket?.remoteAddress', "request['ip']", 'request.ips'])(
    'the search finds %s',
    (code) => expect(RAW.some((pattern) => pattern.test(code))).toBe(true),
  ); // prettier-ignore

  it('are told from text and cut to networks in one place', () => {
    expect(filesWith(/\bisIP(v[46])?\b|\bBlockList\b|\bSocketAddress\b|::ffff/i)).toEqual([CANONICAL]);
  });

  it('are counted by network: every limiter is one of these, and what it counts by address goes through clientNetworksOf', () => {
    expect(filesWith(/rate-limiter-flexible/)).toEqual(['apps/gateway/src/redis/limiter.ts']);
    expect(filesWith(/\bclientNetworksOf\(/)).toEqual(['apps/gateway/src/redis/limiter.ts', CANONICAL]);
  });
});
