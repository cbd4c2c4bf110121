import { spawnSync } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { CountersignClient } from '#client';
import { repositoryRoot } from '#stack';
import { relyingApp } from '../../examples/relying-app/app.js';
import { startWorld, type World } from './world.js';

const FRESH_SECONDS = 300;

/** What a face is worth to it, in a process of its own, is a lane of the demo (main-job.spec.ts). */
describe('the relying application', () => {
  let world: World;
  let app: ReturnType<typeof relyingApp>;
  let clientId: string;

  beforeAll(async () => {
    world = await startWorld({ name: 'relying-app' });
    const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
    const args = [main, 'client', 'create', 'bank', '--scope', 'introspect', '--json'];
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', env: world.apps.env('gateway') });
    const credentials = JSON.parse(stdout) as { clientId: string; secret: string };
    ({ clientId } = credentials);
    const countersign = new CountersignClient({ baseUrl: world.apps.gatewayUrl, credentials });
    app = relyingApp(countersign, { transferMaxAge: FRESH_SECONDS });
    await app.listen({ host: '127.0.0.1', port: 0 });
  }, 120_000);
  afterAll(async () => {
    await app?.close();
    await world?.stop();
  });

  const ask = async (method: 'GET' | 'POST', route: string, token: string | null, of = app) => {
    const address = of.addresses()[0] as AddressInfo | undefined;
    const response = await fetch(`http://127.0.0.1:${address?.port}${route}`, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
      },
      ...(method === 'POST' ? { body: JSON.stringify({ to: 'DE02', amount: 5 }) } : {}),
    });
    const body = (await response.json()) as Record<string, unknown>;
    return { status: response.status, challenge: response.headers.get('www-authenticate') ?? '', body };
  };
  const transfer = (token: string | null, of = app) => ask('POST', '/transfer', token, of);

  it('knows no session without a token, nor with one of nobody', async () => {
    expect(await transfer(null)).toMatchObject({ status: 401, challenge: 'Bearer' });
    for (const token of ['A'.repeat(43), `cst_${'A'.repeat(43)}`]) {
      expect(await transfer(token)).toMatchObject({ status: 401, challenge: 'Bearer error="invalid_token"' });
      expect(await ask('GET', '/', token)).toMatchObject({ status: 401 });
    }
    // Longer than any token: that is no fault of the service's (C8).
    expect(await transfer('A'.repeat(2_000))).toMatchObject({ status: 401 });
  });

  it("takes a token made for it, and not the session's own", async () => {
    const owner = await world.user('made-for-it@example.org');
    expect(await transfer(owner.token)).toMatchObject({ status: 401, challenge: 'Bearer error="invalid_token"' });
    const page = new CountersignClient({ baseUrl: world.apps.gatewayUrl });
    const { token } = await page.tokenFor(owner.token ?? '', clientId);
    const answer = await transfer(token);
    expect(answer).toMatchObject({ status: 401 });
    expect(answer.challenge).toContain('insufficient_user_authentication');
  });

  it('says no, and when to ask again, while nobody can tell what a session is worth', async () => {
    const owner = await world.user('relying@example.org');
    const away = new CountersignClient({ baseUrl: 'http://127.0.0.1:1', credentials: { clientId: 'a', secret: 'b' } });
    const blind = relyingApp(away, { transferMaxAge: FRESH_SECONDS });
    await blind.listen({ host: '127.0.0.1', port: 0 });
    expect(await transfer(owner.token, blind)).toMatchObject({ status: 503, body: { error: 'try again' } });
    await blind.close();
  });
});
