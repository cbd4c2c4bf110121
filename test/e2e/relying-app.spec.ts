import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { simpleParser } from 'mailparser';
import { ACR, CountersignClient } from '#client';
import { repositoryRoot } from '#stack';
import { type ApiClient, performCapture, RecordedPerson } from '#testing';
import { relyingApp } from '../../examples/relying-app/app.js';
import { startWorld, type World } from './world.js';

const FRESH_SECONDS = 300;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** All processes, the example application on a port of its own, recorded people; HTTP only. */
describe('the relying application', () => {
  let world: World;
  let countersign: CountersignClient;
  let app: ReturnType<typeof relyingApp>;
  let impatient: ReturnType<typeof relyingApp>;
  const email = `${randomUUID()}@example.org`;
  let owner: ApiClient;

  beforeAll(async () => {
    world = await startWorld({ name: 'relying-app', redisDatabase: 19 });
    const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
    const args = [main, 'client', 'create', 'bank', '--scope', 'introspect', '--json'];
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', env: world.apps.env('gateway') });
    const credentials = JSON.parse(stdout) as { clientId: string; secret: string };
    countersign = new CountersignClient({ baseUrl: world.apps.gatewayUrl, credentials });
    app = relyingApp(countersign, { transferMaxAge: FRESH_SECONDS });
    impatient = relyingApp(countersign, { transferMaxAge: 2 });
    await app.listen({ host: '127.0.0.1', port: 0 });
    await impatient.listen({ host: '127.0.0.1', port: 0 });
    owner = await world.enrolledUser(email);
  }, 120_000);
  afterAll(async () => {
    await app?.close();
    await impatient?.close();
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
  const refusedFor = (maxAge = FRESH_SECONDS) => ({
    status: 401,
    challenge: expect.stringMatching(
      new RegExp(
        `^Bearer error="insufficient_user_authentication", .*acr_values="urn:countersign:pwd\\+face", max_age="${maxAge}"$`,
      ),
    ) as string,
  });

  const recover = async (client: ApiClient, to: string): Promise<void> => {
    const from = new Date();
    expect(await client.post('/v1/recovery/codes')).toMatchObject({ status: 202 });
    for (let i = 0; i < 150; i++) {
      for (const file of await readdir(world.services.mailDir)) {
        if (!file.endsWith('.eml')) continue;
        const mail = await simpleParser(await readFile(path.join(world.services.mailDir, file)));
        const code = /\b[A-Z0-9]{4}-?[A-Z0-9]{4}\b/.exec(mail.text ?? '')?.[0];
        if (JSON.stringify(mail.to).includes(to) && code && (mail.date ?? from) >= new Date(from.getTime() - 2_000)) {
          const answer = await client.post('/v1/recovery/verify', { code });
          if (answer.status !== 200) continue;
          client.token = String(answer.body.token);
          return;
        }
      }
      await sleep(200);
    }
    throw new Error('no code came');
  };

  it('knows no session without a token, nor with one of nobody', async () => {
    expect(await transfer(null)).toMatchObject({ status: 401, challenge: 'Bearer' });
    expect(await transfer('A'.repeat(43))).toMatchObject({ status: 401, challenge: 'Bearer error="invalid_token"' });
    expect(await ask('GET', '/', 'A'.repeat(43))).toMatchObject({ status: 401 });
  });

  it('refuses at pwd, grants on a fresh face, and refuses again when the face is stale', async () => {
    expect(await transfer(owner.token)).toMatchObject(refusedFor());
    expect(await ask('GET', '/', owner.token)).toMatchObject({
      status: 401,
      challenge: expect.stringContaining('acr_values="urn:countersign:pwd+otp urn:countersign:pwd+face"') as string,
    });
    const before = owner.token;
    const capture = await performCapture(owner, new RecordedPerson(world.media, 'franck', 51));
    expect(capture.end?.body).toMatchObject({ status: 'verified' });
    const { sub } = (await countersign.introspect(owner.token ?? '')) as { sub: string };
    expect(await transfer(owner.token)).toMatchObject({
      status: 200,
      body: { done: true, by: sub, to: 'DE02', amount: 5 },
    });
    expect(await ask('GET', '/', owner.token)).toMatchObject({ status: 200, body: { hello: sub } });
    expect(await transfer(before)).toMatchObject({ status: 401, challenge: 'Bearer error="invalid_token"' });

    await sleep(2_000);
    expect(await transfer(owner.token, impatient)).toMatchObject(refusedFor(2));
    expect(await transfer(owner.token)).toMatchObject({ status: 200 });
  }, 60_000);

  it('refuses at pwd+otp, and inside the hold of a face enrolled from there though that face was verified', async () => {
    const session = world.connect('iPhone 17');
    await session.login(email, 'correct horse battery staple');
    expect((await world.connect().post('/v1/auth/email/verify', { token: await verification() })).status).toBe(200);
    await recover(session, email);
    expect(await countersign.introspect(session.token ?? '')).toMatchObject({ acr: ACR.otp, faceAuthTime: null });
    expect(await transfer(session.token)).toMatchObject(refusedFor());
    expect(await ask('GET', '/', session.token)).toMatchObject({ status: 200 });

    const enrolled = await performCapture(session, new RecordedPerson(world.media, 'franck', 52), 'enrolments');
    expect(enrolled.end?.body).toMatchObject({ status: 'enrolled' });
    const held = await performCapture(session, new RecordedPerson(world.media, 'franck', 53));
    expect(held.end?.body).toMatchObject({ status: 'verified' });
    expect(await countersign.introspect(session.token ?? '')).toMatchObject({ acr: ACR.otp, faceAuthTime: null });
    expect(await transfer(session.token)).toMatchObject(refusedFor());
  }, 90_000);

  it('says no, and when to ask again, while nobody can tell what a session is worth', async () => {
    const away = new CountersignClient({ baseUrl: 'http://127.0.0.1:1', credentials: { clientId: 'a', secret: 'b' } });
    const blind = relyingApp(away, { transferMaxAge: FRESH_SECONDS });
    await blind.listen({ host: '127.0.0.1', port: 0 });
    expect(await transfer(owner.token, blind)).toMatchObject({ status: 503, body: { error: 'try again' } });
    await blind.close();
  });

  const verification = async (): Promise<string> => {
    for (let i = 0; i < 100; i++) {
      for (const file of await readdir(world.services.mailDir)) {
        const text = await readFile(path.join(world.services.mailDir, file), 'utf8');
        if (!text.includes(email)) continue;
        const token = /token=([A-Za-z0-9_-]{43})/.exec((await simpleParser(text)).text ?? '')?.[1];
        if (token) return token;
      }
      await sleep(200);
    }
    throw new Error('no mail to verify the address');
  };
});
