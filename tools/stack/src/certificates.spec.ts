import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { developmentCertificate, type TlsFiles } from './certificates.js';

describe("the development certificate of the audit service's port", () => {
  let dir: string;
  let files: TlsFiles;
  const read = (file: string) => fs.readFileSync(file, 'utf8');
  beforeAll(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tls-'));
    files = developmentCertificate(dir);
  });
  afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

  it('is for the loopback addresses, signed by its authority, private, and the same after a restart', () => {
    const [cert, ca] = [new X509Certificate(read(files.cert)), new X509Certificate(read(files.ca))];
    expect(ca.ca && ca.verify(ca.publicKey)).toBe(true);
    expect(cert.ca).toBe(false);
    expect(cert.verify(ca.publicKey) && cert.checkIssued(ca)).toBe(true);
    expect([cert.checkHost('localhost'), cert.checkIP('127.0.0.1'), cert.checkIP('::1')]).not.toContain(undefined);
    expect(cert.checkHost('example.org')).toBeUndefined();
    expect(fs.statSync(files.key).mode & 0o777).toBe(0o600);
    expect(developmentCertificate(dir)).toEqual(files);
    expect(read(files.cert)).toBe(cert.toString());
  });

  it('holds in a handshake, and no other authority does', async () => {
    const other = developmentCertificate(path.join(dir, 'other'));
    const server = tls.createServer({ cert: read(files.cert), key: read(files.key) }, (socket) => {
      // Whoever does not trust us hangs up.
      socket.on('error', () => undefined).end('hello');
    });
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const said = (ca: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = tls.connect({ port, host: '127.0.0.1', ca: read(ca) });
        socket.on('error', reject).on('data', (bytes: Buffer) => resolve(bytes.toString()));
      });
    expect(await said(files.ca)).toBe('hello');
    await expect(said(other.ca)).rejects.toThrow(/certificate/);
    server.close();
  });
});
