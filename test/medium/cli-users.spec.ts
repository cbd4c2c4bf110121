import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import path from 'node:path';
import { ACR } from '#contracts';
import { newestOf } from '#sealing';
import { repositoryRoot, temporaryFolder } from '#stack';
import { GatewayWorld, GOOD, PASSWORD } from './gateway-world.js';

jest.setTimeout(180_000);

const MISMATCH = { ...GOOD, judgement: 'mismatch' as const, similarity: 0.1 };

describe('accounts on the command line (real Redis and MongoDB)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  const cli = (args: string[], input = '') =>
    new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
      const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
      const MAIL_KEY = newestOf(world.config.MAIL_KEY).bytes.toString('base64url');
      const env = { PATH: process.env.PATH, MONGODB_URI: world.config.MONGODB_URI, MAIL_KEY };
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
    const refusals = (
      [
        ['', '12 to 256'],
        ['qwerty123456\n', 'everybody tries'],
      ] as const
    ).map(async ([input, why]) => {
      const { status, stderr } = await cli(['admin', 'create', email], input);
      expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(why) as string });
    });
    await Promise.all(refusals);
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

  it('makes the first administrator without a password: by a link that works once, printed or mailed', async () => {
    const email = `${randomUUID()}@example.org`;
    const accept = (token: string) =>
      world.client().post('/v1/auth/invitation/accept', { token, newPassword: PASSWORD });
    const first = await json('admin', 'create', email, '--link');
    expect(first).toMatchObject({ email, roles: ['user', 'admin'], invited: true });
    expect(await world.client().login(email, PASSWORD)).toMatchObject({ status: 401 });
    // Asked for again: the one before does nothing any more.
    const again = await cli(['admin', 'create', email, '--link']);
    expect(again).toMatchObject({ status: 0, stderr: '' });
    const [link = ''] = /https?:\S+\/accept-invitation\?token=\S+/.exec(again.stdout) ?? [];
    const tokenOf = (url: string): string => new URL(url).searchParams.get('token') ?? '';
    expect(await accept(tokenOf(String(first.link)))).toMatchObject({ status: 400, body: { code: 'token_invalid' } });
    expect(await accept(tokenOf(link))).toMatchObject({ status: 200, body: { acr: ACR.pwd } });
    expect(await accept(tokenOf(link))).toMatchObject({ status: 400 });
    expect(await world.client().login(email, PASSWORD)).toMatchObject({ status: 200 });
    expect(await json('user', 'show', email)).toMatchObject({ emailVerified: true, roles: ['user', 'admin'] });
    expect(await cli(['admin', 'create', email, '--link'])).toMatchObject({ status: 2 });

    const mailed = `${randomUUID()}@example.org`;
    expect(await cli(['user', 'create', mailed, '--mail', '--link'])).toMatchObject({ status: 2, stdout: '' });
    const { userId, link: none } = await json('user', 'create', mailed, '--role', 'security', '--mail');
    expect(none).toBeNull();
    expect(await accept(await world.mailSecret(String(userId), 'account_invite'))).toMatchObject({ status: 200 });
    expect(await world.client().login(mailed, PASSWORD)).toMatchObject({ status: 200 });
  });

  it('gives roles that there are, once, on record', async () => {
    const { email, userId } = await world.account();
    expect(await cli(['user', 'role', email, '--role', 'king'])).toMatchObject({ status: 2, stdout: '' });
    expect(await cli(['user', 'role', email])).toMatchObject({ status: 2, stdout: '' });
    // Nobody has shown whose address it is (A4).
    expect(await cli(['user', 'role', email, '--role', 'security'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('nobody has shown that this address') as string,
    });
    await world.verifyEmail(userId);
    expect((await cli(['user', 'role', email, '--role', 'security', 'auditor'])).stdout).toBe(
      'added security, auditor: roles are user, security, auditor\n',
    );
    expect((await cli(['user', 'role', email, '--role', 'security'])).stdout).toMatch(/^nothing to change/);
    const { outbox } = (await world.guard(userId)) as { outbox: { event?: { type: string; detail?: object } }[] };
    const given = outbox.filter(({ event }) => event?.type === 'roles_changed').map(({ event }) => event?.detail);
    const operator = userInfo().username;
    expect(given).toEqual([{ by: 'command_line', operator, added: ['security', 'auditor'], removed: [] }]);
  });

  it('takes roles away, and says on record who did it (B7, B10)', async () => {
    const [one, boss] = [await world.account(), await world.account()];
    await world.verifyEmail(one.userId);
    await cli(['user', 'role', one.email, '--role', 'security', 'auditor']);
    expect(await world.client().login(one.email, PASSWORD)).toMatchObject({ status: 200 });
    const nobody = await cli(['user', 'role', one.email, '--revoke', 'auditor', '--as', 'nobody@example.org']);
    expect(nobody).toMatchObject({ status: 2, stderr: 'countersign: --as: no account has this e-mail address\n' });
    expect((await cli(['user', 'role', one.email, '--revoke', 'auditor', '--as', boss.email])).stdout).toBe(
      'took away auditor: roles are user, security\n',
    );
    const { outbox } = (await world.guard(one.userId)) as { outbox: { event?: { type: string; actorId?: string; detail?: object } }[] }; // prettier-ignore
    const changed = outbox.flatMap(({ event }) => (event?.type === 'roles_changed' ? [event] : []));
    expect(changed.at(-1)).toMatchObject({
      actorId: boss.userId,
      detail: { by: 'command_line', operator: userInfo().username, added: [], removed: ['auditor'] },
    });
  });

  it('neither strips nor disables the last administrator (C5)', async () => {
    await world.db.collection('users').updateMany({ roles: 'admin' }, { $set: { roles: ['user'] } });
    await world.db.collection('offices').deleteMany({});
    const email = `${randomUUID()}@example.org`;
    expect(await cli(['admin', 'create', email], `${PASSWORD}\n`)).toMatchObject({ status: 0 });
    const last = { status: 2, stderr: 'countersign: nobody would be left who is administrator\n' };
    expect(await cli(['user', 'role', email, '--revoke', 'admin'])).toMatchObject(last);
    expect(await cli(['user', 'disable', email])).toMatchObject(last);
    const second = `${randomUUID()}@example.org`;
    expect(await cli(['admin', 'create', second], `${PASSWORD}\n`)).toMatchObject({ status: 0 });
    expect(await cli(['user', 'role', email, '--revoke', 'admin'])).toMatchObject({ status: 0 });
    expect(await cli(['user', 'disable', second])).toMatchObject(last);
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

  it('says what is wrong with what it was given', async () => {
    const [unlock, show] = await Promise.all([
      cli(['user', 'unlock', 'nobody@example.org']),
      cli(['user', 'show', 'nobody']),
    ]);
    expect(unlock).toMatchObject({ status: 2, stderr: 'countersign: no account has this e-mail address\n' });
    expect(show).toMatchObject({ status: 2, stderr: 'countersign: this is not an e-mail address\n' });
  });

  it('case 20: invites everybody in a file, once; a bad line stops no other; a dry run only looks', async () => {
    const { email: known } = await world.account();
    const [first, second] = [`${randomUUID()}@example.org`, `${randomUUID()}@example.org`];
    const folder = temporaryFolder('cli-import');
    const file = path.join(folder, 'people.csv');
    const importing = async (csv: string, ...args: string[]) => {
      writeFileSync(file, csv);
      const { status, stdout } = await cli(['user', 'import', file, '--json', ...args]);
      return { status, report: JSON.parse(stdout) as Record<string, unknown> };
    };
    const rowsOf = (email: string) => world.db.collection('users').countDocuments({ email });
    const csv = `email,roles\n${first},security auditor\n${known},\n${second},\n`;
    const lines = (outcome: string) => [
      { line: 2, email: first, outcome },
      { line: 3, email: known, outcome: 'exists' },
      { line: 4, email: second, outcome },
    ];

    const errors = [
      { line: 5, message: 'email is not an address' },
      { line: 5, message: 'roles are user, security, auditor, privacy, admin' },
    ];
    expect(await importing(`${csv}nobody,king\n`, '--dry-run')).toEqual({
      status: 1,
      report: { dryRun: true, kind: 'imported', lines: lines('would_invite'), errors },
    });
    expect(await importing('name\nAda\n')).toMatchObject({ status: 1, report: { kind: 'refused' } });
    writeFileSync(file, Buffer.from(`\uFEFF${csv}`, 'utf16le'));
    expect(await cli(['user', 'import', file])).toMatchObject({ status: 2, stderr: expect.stringContaining('UTF-16') as string }); // prettier-ignore
    expect(await importing(csv, '--dry-run')).toEqual({
      status: 0,
      report: { dryRun: true, kind: 'imported', lines: lines('would_invite'), errors: [] },
    });
    expect(await rowsOf(first)).toBe(0);
    expect(await importing(`${csv.replaceAll(',', ';')}nobody;king\n`)).toEqual({
      status: 1,
      report: { dryRun: false, kind: 'imported', lines: lines('invited'), errors },
    });
    expect(await rowsOf(first)).toBe(1);
    expect(await json('user', 'show', first)).toMatchObject({
      hasPassword: false,
      roles: ['user', 'security', 'auditor'],
    });
    const invited = await world.db.collection('users').findOne({ email: second });
    expect(await world.mailSecret(String(invited?._id), 'account_invite')).toMatch(/^[\w-]{20,}$/);
    rmSync(folder, { recursive: true, force: true });
  });
});
