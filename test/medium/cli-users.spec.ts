import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { GatewayWorld, GOOD, PASSWORD } from './gateway-world.js';

jest.setTimeout(180_000);

const MISMATCH = { ...GOOD, judgement: 'mismatch' as const, similarity: 0.1 };

describe('accounts on the command line (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start(20);
  });
  afterAll(() => world?.stop());

  const cli = (args: string[], input = '') =>
    new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
      const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
      const env = { PATH: process.env.PATH, MONGODB_URI: world.config.MONGODB_URI };
      const child = spawn(process.execPath, [main, ...args], { env });
      let [stdout, stderr] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.on('close', (status) => resolve({ status, stdout, stderr }));
      child.stdin.end(input);
    });
  const json = async (...args: string[]) =>
    JSON.parse((await cli([...args, '--json'])).stdout) as Record<string, unknown>;

  it('makes the first administrator, with a password that was given and no other', async () => {
    const email = `${randomUUID()}@example.org`;
    for (const [input, why] of [
      ['', '12 to 256'],
      ['short\n', '12 to 256'],
      ['qwerty123456\n', 'everybody tries'],
    ] as const) {
      const { status, stderr } = await cli(['admin', 'create', email], input);
      expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(why) as string });
    }
    const made = await cli(['admin', 'create', email.toUpperCase()], `${PASSWORD}\n`);
    expect(made).toMatchObject({ status: 0, stderr: '' });
    expect(made.stdout).toMatch(new RegExp(`^created ${email} \\(user, admin\\): `));
    expect(await world.client().login(email, PASSWORD)).toMatchObject({ status: 200 });
    expect(await json('user', 'show', email)).toMatchObject({
      email,
      emailVerified: true,
      roles: ['user', 'admin'],
      state: 'active',
      enrolled: false,
    });
    expect(await cli(['admin', 'create', email], `${PASSWORD}\n`)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('an account with this e-mail exists') as string,
    });
  });

  it('gives roles that there are, once, on record', async () => {
    const { email, userId } = await world.account();
    expect(await cli(['user', 'role', email, '--role', 'king'])).toMatchObject({ status: 2, stdout: '' });
    expect((await cli(['user', 'role', email, '--role', 'security', 'auditor'])).stdout).toBe(
      'added security, auditor: roles are user, security, auditor\n',
    );
    expect((await cli(['user', 'role', email, '--role', 'security'])).stdout).toMatch(/^nothing to change/);
    expect((await world.eventTypes(userId)).filter((type) => type === 'admin_action')).toHaveLength(1);
  });

  it('shuts an account out at once and lets it in again', async () => {
    const { client, email } = await world.account();
    expect(await cli(['user', 'disable', email])).toMatchObject({ status: 0, stdout: `disabled ${email}\n` });
    expect((await client.get('/v1/auth/session')).status).toBe(401);
    expect((await world.client().login(email, PASSWORD)).status).toBe(401);
    expect(await json('user', 'show', email)).toMatchObject({ state: 'disabled' });
    expect(await cli(['user', 'enable', email])).toMatchObject({ status: 0 });
    expect((await world.client().login(email, PASSWORD)).status).toBe(200);
  });

  it('ends the lock of a face', async () => {
    const { client, email } = await world.enrolled();
    for (let i = 0; i < 3; i++) await world.capture(client, 'attempts', MISMATCH);
    expect((await client.post('/v1/face/attempts')).status).toBe(423);
    expect((await json('user', 'show', email)).lockedUntil).toEqual(expect.any(String));
    expect(await cli(['user', 'unlock', email])).toMatchObject({ status: 0 });
    expect(await json('user', 'show', email)).toMatchObject({ lockedUntil: null, enrolled: true });
    expect((await client.post('/v1/face/attempts')).status).toBe(201);
  });

  it('says what is wrong with what it was given, and that a database is away', async () => {
    for (const action of ['show', 'disable', 'enable', 'unlock']) {
      expect(await cli(['user', action, 'nobody@example.org'])).toMatchObject({
        status: 2,
        stderr: 'countersign: no account has this e-mail address\n',
      });
    }
    expect(await cli(['user', 'show', 'nobody'])).toMatchObject({
      status: 2,
      stderr: 'countersign: this is not an e-mail address\n',
    });
  });
});
