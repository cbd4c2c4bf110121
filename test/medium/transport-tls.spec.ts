import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { developmentCertificate, temporaryFolder } from '#stack';
import { GatewayWorld } from './gateway-world.js';

jest.setTimeout(60_000);

const listening = (server: net.Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));

/** The shared secret and the answers (addresses, similarities) pass between the gateway and the audit service. */
describe('audit reads: the gateway says nothing to whoever is not the audit service', () => {
  const dir = temporaryFolder('transport-tls');
  const trusted = developmentCertificate(dir);
  const strange = developmentCertificate(path.join(dir, 'stranger'));
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it.each([
    ['speaks in clear', (heard: Buffer[]) => net.createServer((s) => void s.on('data', (b: Buffer) => heard.push(b)).on('error', () => undefined))],
    ['has a certificate of another authority', (heard: Buffer[]) => {
      const files = { cert: readFileSync(strange.cert), key: readFileSync(strange.key) };
      const server = tls.createServer(files, (s) => void s.on('data', (b: Buffer) => heard.push(b)).on('error', () => undefined));
      return server.on('tlsClientError', () => undefined);
    }],
  ])('and %s', async (_what, impostor) => {
    const heard: Buffer[] = [];
    const server = impostor(heard);
    const world = await GatewayWorld.start({
      AUDIT_PORT: String(await listening(server)),
      AUDIT_TLS_CA_FILE: trusted.ca,
    });
    try {
      const { client } = await world.account();
      expect(await client.get('/v1/security/events')).toMatchObject({ status: 503, body: { code: 'unavailable' } });
      expect(Buffer.concat(heard).includes(world.config.AUDIT_SHARED_SECRET)).toBe(false);
      expect(Buffer.concat(heard).includes('secret')).toBe(false);
    } finally {
      await world.stop();
      server.close();
    }
  }); // prettier-ignore
});
