import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** Files of the audit service's certificate, its key, and the authority that signed it. */
export interface TlsFiles {
  cert: string;
  key: string;
  ca: string;
}

const DAY_MS = 86_400_000;
const YEARS = 10;

/**
 * A certificate for this machine's loopback addresses and the authority for it, made once, for development. The
 * authority's own key is never stored: nothing else can be signed with it. Node makes no certificates, so the few
 * structures of RFC 5280 that are needed are written here; the test reads them back with Node and through a handshake.
 */
export function developmentCertificate(dir: string): TlsFiles {
  const folder = path.join(dir, 'tls');
  const files = { cert: path.join(folder, 'audit.pem'), key: path.join(folder, 'audit.key'), ca: path.join(folder, 'ca.pem') }; // prettier-ignore
  // The last one written: with it all are there.
  if (fs.existsSync(files.ca)) return files;
  const [authority, server] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
  const issuer = 'Countersign development CA';
  const issued = (subject: string, publicKey: KeyObject, extension: Buffer) =>
    certificate({ issuer, subject, publicKey, extension, signWith: authority.privateKey });
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const put = (file: string, text: string) => fs.writeFileSync(file, text, { mode: 0o600 });
  put(files.key, server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  put(files.cert, issued('localhost', server.publicKey, LOOPBACK_NAMES));
  put(files.ca, issued(issuer, authority.publicKey, IS_AUTHORITY));
  return files;
}

const der = (tag: number, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const hex = body.length.toString(16);
  const length = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
};
const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const bits = (bytes: Buffer): Buffer => der(0x03, Buffer.from([0]), bytes);
const name = (common: string): Buffer =>
  sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(common, 'utf8')))));
/** UTCTime: years to 2049. */
const time = (at: number): Buffer =>
  der(0x17, Buffer.from(`${new Date(at).toISOString().replace(/[-:T]|\.\d+/g, '').slice(2)}`, 'latin1')); // prettier-ignore

const ED25519 = sequence(oid('2b6570'));
const TRUE = der(0x01, Buffer.from([0xff]));
/** basicConstraints, critical: CA. */
const IS_AUTHORITY = sequence(oid('551d13'), TRUE, der(0x04, sequence(TRUE)));
/** subjectAltName: localhost, 127.0.0.1, ::1. */
const LOOPBACK_NAMES = sequence(
  oid('551d11'),
  der(
    0x04,
    sequence(
      der(0x82, Buffer.from('localhost', 'latin1')),
      der(0x87, Buffer.from([127, 0, 0, 1])),
      der(0x87, Buffer.from([...Array<number>(15).fill(0), 1])),
    ),
  ),
);

function certificate(o: {
  issuer: string;
  subject: string;
  publicKey: KeyObject;
  extension: Buffer;
  signWith: KeyObject;
}): string {
  const now = Date.now();
  const serial = Buffer.concat([Buffer.from([0x01]), randomBytes(15)]);
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ED25519,
    name(o.issuer),
    sequence(time(now - DAY_MS), time(now + YEARS * 365 * DAY_MS)),
    name(o.subject),
    o.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(o.extension)),
  );
  const whole = sequence(body, ED25519, bits(sign(null, body, o.signWith)));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
