import { findNginx, type Nginx, type Program, startNginx } from '#stack';
import type { Finding } from '../../apps/cli/src/doctor/check.js';
import { wayIn } from '../../apps/cli/src/doctor/way-in.js';
import { GatewayWorld } from './gateway-world.js';

jest.setTimeout(120_000);

/** Another address of the loopback interface than the one that nginx comes from. */
const CLIENT = '127.0.0.2';
/** As docs/proxies.md has them. */
const GOOD = [
  'client_max_body_size 5m',
  'proxy_request_buffering off',
  'proxy_http_version 1.1',
  'proxy_set_header X-Forwarded-For $remote_addr',
];
const without = (name: string): string[] => GOOD.filter((line) => !line.includes(name));

describe('doctor --url, through a real nginx to a real gateway', () => {
  let world: GatewayWorld;
  let program: Program;
  beforeAll(async () => {
    world = await GatewayWorld.start({ TRUSTED_PROXIES: '127.0.0.1/32' });
    program = await findNginx(process.env, () => undefined);
  });
  afterAll(() => world?.stop());

  async function through(settings: readonly string[], from = CLIENT): Promise<Record<string, Finding['verdict']>> {
    const nginx: Nginx = await startNginx(program, { upstream: world.url, settings });
    try {
      const findings = await wayIn(nginx.url, from);
      for (const { verdict, advice } of findings) expect(verdict === 'ok' || advice !== undefined).toBe(true);
      return Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict]));
    } finally {
      await nginx.stop();
    }
  }

  const WELL = { gateway: 'ok', 'body size': 'ok', 'request buffering': 'ok', 'addresses of clients': 'ok' };

  it('13.3: nginx as docs/proxies.md sets it is well', async () => {
    expect(await through(GOOD)).toEqual(WELL);
    const appended = [...without('X-Forwarded'), 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for'];
    expect(await through(appended)).toEqual(WELL);
  });

  it('13.3: of nginx as it comes it says what is wrong', async () => {
    // It hands on what the client has written, and so does its limit of 1 MB refuse an upload.
    const asItComes = { gateway: 'ok', 'body size': 'bad', 'request buffering': 'note', 'addresses of clients': 'bad' };
    expect(await through([])).toEqual(asItComes);
    expect(await through(without('buffering'))).toEqual({ ...WELL, 'request buffering': 'bad' });
    expect(await through(without('body_size'))).toEqual({ ...WELL, 'body size': 'bad', 'request buffering': 'note' });
    const dropped = [...without('X-Forwarded'), 'proxy_set_header X-Forwarded-For ""'];
    expect(await through(dropped)).toEqual({ ...WELL, 'addresses of clients': 'bad' });
  });

  it('a gateway that is away, or none, is told', async () => {
    expect(await wayIn('http://127.0.0.1:1')).toMatchObject([{ check: 'gateway', verdict: 'bad' }]);
  });

  it('a gateway without a proxy knows by its own address whoever is no proxy', async () => {
    const findings = await wayIn(world.url, CLIENT);
    expect(findings.map(({ verdict }) => verdict)).toEqual(['ok', 'ok', 'ok', 'ok']);
  });
});
