import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { ACR } from '#contracts';
import { repositoryRoot } from '#stack';
import { GatewayWorld, GOOD } from './gateway-world.js';

jest.setTimeout(180_000);

interface Made {
  clientId: string;
  secret: string;
}

describe('relying applications (real Redis and MongoDB, the real command line)', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  const cli = (...args: string[]) => {
    const main = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
    const env = { PATH: process.env.PATH, MONGODB_URI: world.config.MONGODB_URI };
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', env });
    return { status, stdout, stderr };
  };
  const made = (...args: string[]): Made => JSON.parse(cli('client', ...args, '--json').stdout) as Made;

  const ask = async (client: Made | null, body: unknown, headers: Record<string, string> = {}) => {
    const basic = client && `Basic ${Buffer.from(`${client.clientId}:${client.secret}`).toString('base64')}`;
    const response = await fetch(`${world.url}/v1/sessions/introspect`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(basic ? { authorization: basic } : {}), ...headers },
      body: JSON.stringify(body),
    });
    return {
      status: response.status,
      challenge: response.headers.get('www-authenticate'),
      body: (await response.json()) as Record<string, unknown>,
    };
  };

  it('learns the level of a live session and of the fresh face, and its events name who asked', async () => {
    const app = made('create', 'bank', '--scope', 'introspect');
    const { client, userId } = await world.enrolled();
    expect((await ask(app, { token: client.token })).body).toEqual({
      active: true,
      sub: userId,
      acr: ACR.pwd,
      amr: ['pwd'],
      authTime: expect.any(String) as string,
      faceAuthTime: null,
      levels: [{ acr: ACR.pwd, at: expect.any(String) as string }],
      clientId: app.clientId,
    });

    const before = client.token;
    expect((await world.capture(client, 'attempts', GOOD)).body).toMatchObject({ status: 'verified' });
    expect((await ask(app, { token: before })).body).toEqual({ active: false });
    const raised = (await ask(app, { token: client.token })).body;
    expect(raised).toMatchObject({ active: true, acr: ACR.face, amr: ['pwd', 'face', 'mfa'] });
    expect(Date.now() - Date.parse(String(raised.faceAuthTime))).toBeLessThan(20_000);
    const { authTime, faceAuthTime } = raised;
    expect(raised.levels).toEqual([
      { acr: ACR.face, at: faceAuthTime },
      { acr: ACR.pwd, at: authTime },
    ]);

    const { outbox } = (await world.guard(userId)) as { outbox: { event?: { type: string; clientId?: string } }[] };
    const told = outbox.filter(({ event }) => event?.type === 'introspected');
    expect(told.map(({ event }) => event?.clientId)).toEqual([app.clientId]);
  });

  it('is told no more than that a token is of no live session, whatever it is', async () => {
    const app = made('create', 'shop', '--scope', 'introspect');
    const ended = await world.account();
    const changed = await world.account();
    const disabled = await world.account();
    const tokens = [ended, changed, disabled].map(({ client }) => client.token);
    expect(await ended.client.post('/v1/auth/logout')).toMatchObject({ status: 204 });
    await world.db
      .collection<{ _id: string }>('users')
      .updateOne({ _id: changed.userId }, { $inc: { sessionEpoch: 1 } });
    await world.db
      .collection<{ _id: string }>('face_guards')
      .updateOne({ _id: disabled.userId }, { $set: { state: 'disabled' } });
    for (const token of [...tokens, 'x', 'A'.repeat(43), `${'A'.repeat(43)}\n`, randomUUID(), '💥'.repeat(200)]) {
      expect(await ask(app, { token })).toMatchObject({ status: 200, body: { active: false } });
    }
  });

  it('needs its own secret, and no session will do instead', async () => {
    const app = made('create', 'clinic', '--scope', 'introspect');
    const other = made('create', 'clinic 2', '--scope', 'introspect');
    const { client } = await world.account();
    const body = { token: client.token };
    const wrong: [Made | null, Record<string, string>][] = [
      [null, {}],
      [null, { authorization: `Bearer ${client.token}` }],
      [null, { authorization: 'Basic !' }],
      [null, { authorization: `Basic ${Buffer.from('no colon').toString('base64')}` }],
      [{ ...app, secret: other.secret }, {}],
      [{ ...app, secret: '' }, {}],
      [{ ...app, clientId: randomUUID() }, {}],
      [{ ...app, clientId: '{"$ne":""}' }, {}],
    ];
    for (const [who, headers] of wrong) {
      expect(await ask(who, body, headers)).toMatchObject({
        status: 401,
        challenge: 'Basic realm="countersign"',
        body: { code: 'invalid_client' },
      });
    }
    expect(await ask(app, body)).toMatchObject({ status: 200, body: { active: true } });
    expect(await ask(app, { ...body, surprise: 1 })).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    await world.db
      .collection<{ _id: string }>('service_clients')
      .updateOne({ _id: app.clientId }, { $set: { scopes: [] } });
    expect(await ask(app, body)).toMatchObject({ status: 403, body: { code: 'forbidden' } });
  });

  it('goes on with the old secret while the new one is brought in, and with none once it is disabled', async () => {
    const first = made('create', 'ledger', '--scope', 'introspect');
    const second = made('rotate', 'ledger');
    const { client } = await world.account();
    const body = { token: client.token };
    expect(second.clientId).toBe(first.clientId);
    for (const secret of [first, second]) expect((await ask(secret, body)).status).toBe(200);
    const third = made('rotate', 'ledger', '--overlap', '0');
    for (const secret of [first, second]) expect((await ask(secret, body)).status).toBe(401);
    expect((await ask(third, body)).status).toBe(200);
    expect(cli('client', 'disable', 'ledger')).toMatchObject({ status: 0, stdout: 'disabled ledger\n' });
    expect((await ask(third, body)).status).toBe(401);
    const revived = made('rotate', 'ledger');
    expect((await ask(revived, body)).status).toBe(401);
  });

  it('has its secret stored and listed nowhere', async () => {
    const app = made('create', 'archive', '--scope', 'introspect');
    const stored = JSON.stringify(await world.db.collection('service_clients').find().toArray());
    const outboxes = JSON.stringify(await world.db.collection('system_outboxes').find().toArray());
    const listed = cli('client', 'list').stdout + cli('client', 'list', '--json').stdout;
    expect(stored).toContain(app.clientId);
    expect(outboxes).toContain(app.clientId);
    expect(listed).toContain(app.clientId);
    for (const text of [stored, outboxes, listed]) expect(text).not.toContain(app.secret);
  });

  it('is made under one name only, with a scope there is', () => {
    made('create', 'twice', '--scope', 'introspect');
    expect(cli('client', 'create', 'twice', '--scope', 'introspect')).toMatchObject({
      status: 2,
      stderr: 'countersign: a client of this name exists\n',
    });
    expect(cli('client', 'create', 'x', '--scope', 'everything')).toMatchObject({ status: 2, stdout: '' });
    expect(cli('client', 'create', '$where', '--scope', 'introspect')).toMatchObject({ status: 2, stdout: '' });
    expect(cli('client', 'rotate', 'nobody')).toMatchObject({
      status: 2,
      stderr: 'countersign: there is no client of this name\n',
    });
    expect(cli('client', 'rotate', 'twice', '--overlap', '-1')).toMatchObject({ status: 2, stdout: '' });
  });

  it('cannot be guessed at without end from one address', async () => {
    const app = made('create', 'guessed', '--scope', 'introspect');
    const guess = () => ask({ ...app, secret: `countersign_${'A'.repeat(43)}` }, { token: 'x' });
    const statuses = new Set<number>();
    for (let i = 0; i < 25; i++) statuses.add((await guess()).status);
    expect([...statuses]).toEqual([401, 429]);
  });

  it('http B4: strangers at its own address do not keep it out, and who brings no credential has guessed nothing', async () => {
    const app = made('create', 'shared-egress', '--scope', 'introspect');
    const { client } = await world.account({ consent: false });
    const statuses = new Set<number>();
    for (let i = 0; i < 30; i++) {
      const stranger = { clientId: i % 2 ? app.clientId : randomUUID(), secret: `countersign_${'A'.repeat(43)}` };
      statuses.add((await ask(stranger, { token: client.token })).status);
    }
    expect(statuses).toContain(429);
    expect(await ask(app, { token: client.token })).toMatchObject({ status: 200, body: { active: true } });
    for (let i = 0; i < 30; i++) expect(await ask(null, { token: client.token })).toMatchObject({ status: 401 });
    expect(await ask(app, { token: client.token })).toMatchObject({ status: 200, body: { active: true } });
  });
});
