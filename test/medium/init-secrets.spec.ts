import { spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { Redis } from 'ioredis';
import { ConfigError } from '#config';
import {
  anyFreePort,
  cacheFolder,
  findRedis,
  ManagedProcess,
  repositoryRoot,
  servicesOfTestRun,
  temporaryFolder,
  withDatabase,
} from '#stack';
import { ApiClient, Media, performCapture, RecordedPerson } from '#testing';
import { loadConfig as loadAudit } from '../../apps/audit/src/config.js';
import { loadConfig as loadGateway } from '../../apps/gateway/src/config.js';
import { loadConfig as loadInference } from '../../apps/inference/src/config.js';

// Three processes and two captures: half a minute on an idle machine.
jest.setTimeout(480_000);

const GROUP = 10_001;
const MAIN = path.join(repositoryRoot(), 'dist/apps/cli/src/main.js');
const SERVICES = ['gateway', 'inference', 'audit', 'migrate', 'cli', 'keda', 'redis', 'redis-blobs', 'mongodb', 'nginx', 'tests']; // prettier-ignore
const isRoot = process.getuid?.() === 0;
/** What gives files to a group, and reads as another user, is for root to try. */
const asRoot = isRoot ? it : it.skip;

/** The built command in a process of its own, with the umask of a careful user. */
function init(args: string[], as?: { uid: number; gid: number }): { status: number | null; output: string } {
  const ran = spawnSync('sh', ['-c', 'umask 077; exec "$@"', 'sh', process.execPath, MAIN, 'init', ...args], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: process.env.PATH, PUBLIC_URL: 'https://id.example.org' },
    ...as,
  });
  return { status: ran.status, output: ran.stdout + ran.stderr };
}

const own = String(isRoot ? GROUP : process.getgid?.());

describe('countersign init', () => {
  let dir: string;
  let made: ReturnType<typeof init>;
  beforeAll(() => {
    dir = path.join(temporaryFolder('init'), 'secrets');
    made = init(['--dir', dir, '--group', own]);
  });
  afterAll(() => fs.rmSync(path.dirname(dir), { recursive: true, force: true }));

  const read = (service: string, name: string): string => fs.readFileSync(path.join(dir, service, name), 'utf8');
  const all = (): string[] => fs.readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort();

  it('makes a folder for each service, and tells names of files only', () => {
    expect(made.status).toBe(0);
    expect(fs.readdirSync(dir).sort()).toEqual([...SERVICES].sort());
    const files = all().filter((name) => name.includes('/'));
    expect(made.output.trim().split('\n').sort()).toEqual(files.map((name) => path.join(dir, name)).sort());
  });

  it('whatever the umask: the owner writes, the group reads, nobody else does anything', () => {
    for (const name of ['', ...all()]) {
      const stat = fs.statSync(path.join(dir, name));
      const mode = (stat.mode & 0o777).toString(8);
      expect({ name, mode, gid: stat.gid }).toEqual({ name, mode: stat.isFile() ? '640' : '750', gid: Number(own) });
    }
  });

  asRoot('another user of that group reads every file and writes none; one who is not in it does neither', () => {
    fs.chmodSync(path.dirname(dir), 0o711);
    const look = `
      const fs = require('fs'), path = require('path');
      const tally = { read: 0, written: 0 };
      for (const file of process.argv.slice(1)) {
        try { fs.readFileSync(file); tally.read++; } catch {}
        try { fs.accessSync(file, fs.constants.W_OK); tally.written++; } catch {}
      }
      console.log(JSON.stringify(tally));`;
    const files = all()
      .filter((name) => name.includes('/'))
      .map((name) => path.join(dir, name));
    const seenBy = (gid: number): unknown => {
      const { stdout } = spawnSync(process.execPath, ['-e', look, ...files], { uid: 4321, gid, encoding: 'utf8' });
      return JSON.parse(stdout);
    };
    expect(seenBy(GROUP)).toEqual({ read: files.length, written: 0 });
    expect(seenBy(4321)).toEqual({ read: 0, written: 0 });
  });

  it('a folder that holds anything is refused and left as it is', () => {
    const before = all().map((name) => fs.statSync(path.join(dir, name)).mtimeMs);
    expect(init(['--dir', dir, '--group', own])).toEqual({
      status: 2,
      output: expect.stringContaining('is not empty') as string,
    });
    expect(all().map((name) => fs.statSync(path.join(dir, name)).mtimeMs)).toEqual(before);
  });

  asRoot('who may not give files to the group is told before anything is made', () => {
    const home = temporaryFolder('init-other', { uid: 4321, gid: 4321 });
    const to = path.join(home, 'secrets');
    expect(init(['--dir', to], { uid: 4321, gid: 4321 })).toEqual({
      status: 2,
      output: expect.stringContaining('cannot be given to group 10001') as string,
    });
    expect(fs.existsSync(to)).toBe(false);
    expect(init(['--dir', to, '--group', '4321'], { uid: 4321, gid: 4321 }).status).toBe(0);
    expect(fs.statSync(path.join(to, 'gateway/SESSION_KEY'))).toMatchObject({ uid: 4321, gid: 4321 });
    fs.rmSync(home, { recursive: true });
  });

  it('one that cannot be written leaves nothing behind', () => {
    expect(init(['--dir', path.join(dir, 'gateway/SESSION_KEY/x'), '--group', own])).toMatchObject({ status: 2 });
    expect(init(['--dir', '/proc/secrets', '--group', own])).toEqual({
      status: 2,
      output: expect.stringContaining('nothing of it was kept') as string,
    });
  });

  it('every server has a certificate of its own for its name, of an authority whose key is nowhere', () => {
    const ca = new X509Certificate(read('gateway', 'ca.crt'));
    expect(ca.ca).toBe(true);
    expect(ca.verify(ca.publicKey)).toBe(true);
    const names = { audit: 'audit', redis: 'redis', 'redis-blobs': 'redis-blobs', mongodb: 'mongodb', nginx: 'id.example.org' }; // prettier-ignore
    for (const [service, host] of Object.entries(names)) {
      const [cert, key] = service === 'mongodb' ? ['tls.pem', 'tls.pem'] : ['tls.crt', 'tls.key'];
      const certificate = new X509Certificate(read(service, cert));
      expect(certificate.checkIssued(ca) && certificate.verify(ca.publicKey)).toBe(true);
      expect(certificate.checkHost(host)).toBe(host);
      expect(certificate.checkHost('elsewhere.example.org')).toBeUndefined();
      expect(certificate.ca).toBe(false);
      expect(certificate.checkPrivateKey(createPrivateKey(read(service, key)))).toBe(true);
      expect(Date.parse(certificate.validTo) - Date.now()).toBeGreaterThan(9 * 365 * 86_400_000);
    }
    const keys = all().filter((name) => name.endsWith('/tls.key') || name.endsWith('/tls.pem'));
    expect(keys).toHaveLength(5);
    for (const name of keys)
      expect(ca.checkPrivateKey(createPrivateKey(fs.readFileSync(path.join(dir, name))))).toBe(false);
  });

  it('no folder has a secret that its service has no use for', () => {
    const filesOf = (secret: string): string[] =>
      all().filter(
        (name) => name.includes('/') && fs.readFileSync(path.join(dir, name), 'utf8').includes(secret.trim()),
      );
    expect(filesOf(read('inference', 'TEMPLATE_KEK'))).toEqual(['inference/TEMPLATE_KEK']);
    expect(filesOf(read('inference', 'FRAME_PRIVATE_KEYS'))).toEqual(['inference/FRAME_PRIVATE_KEYS']);
    expect(filesOf(read('audit', 'CHECKPOINT_KEY'))).toEqual(['audit/CHECKPOINT_KEY']);
    expect(filesOf(read('gateway', 'EVENT_KEK'))).toEqual(['audit/EVENT_KEK', 'gateway/EVENT_KEK']);
    expect(filesOf(read('gateway', 'EVENT_MAC_KEY'))).toEqual(['audit/EVENT_MAC_KEY', 'cli/EVENT_MAC_KEY', 'gateway/EVENT_MAC_KEY', 'migrate/EVENT_MAC_KEY']); // prettier-ignore
    // The servers of Redis know digests of passwords.
    const { password } = new URL(read('inference', 'REDIS_URL').trim());
    expect(filesOf(password)).toEqual(['inference/REDIS_URL']);
    expect(fs.readdirSync(path.join(dir, 'inference'))).not.toContain('MONGODB_URI');
  });

  describe('with what it made a production set-up runs', () => {
    const services = servicesOfTestRun;
    const running: ManagedProcess[] = [];
    const database = `init_${process.pid}`;
    const folder = (service: string): string => path.join(dir, service);
    let redis: Record<'redis' | 'redis-blobs', number>;
    let base: Record<string, string>;
    let ports: { gateway: string; audit: string; health: string[] };

    beforeAll(async () => {
      const program = await findRedis(process.env, cacheFolder, () => undefined);
      const start = async (service: 'redis' | 'redis-blobs'): Promise<number> => {
        const port = await anyFreePort();
        // One who may ask what was refused, beside those that init made.
        const users = path.join(path.dirname(dir), `${service}.acl`);
        fs.writeFileSync(users, `${read(service, 'users.acl')}user tester on nopass +acl|log\n`);
        const lines = [
          'port 0', `tls-port ${port}`, 'bind 127.0.0.1', 'tls-auth-clients no', 'save ""', 'maxmemory-policy noeviction',
          `tls-cert-file ${folder(service)}/tls.crt`, `tls-key-file ${folder(service)}/tls.key`,
          `tls-ca-cert-file ${folder(service)}/ca.crt`, `aclfile ${users}`, '',
        ]; // prettier-ignore
        const [command, args] = program.command(['-']);
        const server = new ManagedProcess({
          name: service,
          command,
          args,
          env: { LC_ALL: 'C' },
          input: lines.join('\n'),
        });
        await server.start();
        running.push(server);
        await server.waitUntil(() => isOpen(port, folder('gateway')), 30_000);
        return port;
      };
      redis = { redis: await start('redis'), 'redis-blobs': await start('redis-blobs') };
      const free = async (): Promise<string> => String(await anyFreePort());
      ports = { gateway: await free(), audit: await free(), health: [await free(), await free()] };
      base = {
        PATH: process.env.PATH ?? '',
        NODE_ENV: 'production',
        LOG_LEVEL: 'info',
        ORT_DISABLE_TELEMETRY: '1',
        PUBLIC_URL: `http://localhost:${ports.gateway}`,
        TRUSTED_PROXIES: 'none',
        FIRST_ENROLMENT: 'open',
        MONGODB_WAIT_MS: '10000',
        // What the machine at hand has; the versions have tests of their own.
        ALLOW_OLD_REDIS: 'yes',
        ALLOW_OLD_MONGODB: 'yes',
        MAIL_FROM: 'Countersign <no-reply@countersign.example>',
        SMTP_URL: services().smtpUrl,
        AUDIT_HOST: 'localhost',
        AUDIT_PORT: ports.audit,
        AUDIT_CHECKPOINT_FILE: path.join(path.dirname(dir), 'checkpoints'),
        MODEL_MANIFEST: path.join(repositoryRoot(), 'models/manifest.json'),
        INFERENCE_THREADS: '2',
      };
    });
    afterAll(async () => {
      await Promise.all(running.map((one) => one.stop()));
    });

    /** Every file of the folder as a variable's; the servers are on this machine, the database is the test run's. */
    function environment(service: string, more: Record<string, string> = {}): Record<string, string> {
      const files = fs.readdirSync(folder(service)).filter((name) => /^[A-Z_]+$/.test(name));
      const given = Object.fromEntries(files.map((name) => [`${name}_FILE`, path.join(folder(service), name)]));
      const { MONGODB_URI_FILE, REDIS_URL_FILE, REDIS_BLOB_URL_FILE, ...rest } = given;
      const moved = (file: string | undefined, port: number): string =>
        fs.readFileSync(file ?? '', 'utf8').trim().replace(/@[\w-]+:6379/, `@localhost:${port}`); // prettier-ignore
      return {
        ...base,
        ...rest,
        ...(MONGODB_URI_FILE ? { MONGODB_URI: withDatabase(services().mongoUri, database) } : {}),
        ...(REDIS_URL_FILE ? { REDIS_URL: moved(REDIS_URL_FILE, redis.redis) } : {}),
        ...(REDIS_BLOB_URL_FILE ? { REDIS_BLOB_URL: moved(REDIS_BLOB_URL_FILE, redis['redis-blobs']) } : {}),
        NODE_EXTRA_CA_CERTS: path.join(folder(service), 'ca.crt'),
        ...more,
      };
    }
    const cli = (service: string, ...args: string[]): { status: number | null; output: string } => {
      const env = environment(service);
      const ran = spawnSync(process.execPath, [MAIN, ...args], {
        env,
        encoding: 'utf8',
        gid: Number(own),
        timeout: 60_000,
      });
      return { status: ran.status, output: ran.stdout + ran.stderr };
    };

    it('each process takes its folder as its configuration, and nothing less', () => {
      const loads = { gateway: loadGateway, inference: loadInference, audit: loadAudit };
      for (const [service, load] of Object.entries(loads)) {
        const tlsFiles: Record<string, string> = service === 'gateway' ? { AUDIT_TLS_CA_FILE: path.join(folder(service), 'ca.crt') } : { AUDIT_TLS_CERT_FILE: path.join(folder(service), 'tls.crt'), AUDIT_TLS_KEY_FILE: path.join(folder(service), 'tls.key') }; // prettier-ignore
        const given = environment(service, { HEALTH_PORT: '1', ...tlsFiles });
        expect(() => load(given)).not.toThrow();
        for (const name of fs.readdirSync(folder(service)).filter((file) => /^[A-Z_]+$/.test(file))) {
          const { [name]: _value, [`${name}_FILE`]: _file, ...less } = given;
          expect(() => load(less)).toThrow(ConfigError);
        }
      }
    });

    it('a capture is taken, users of Redis are refused nothing, audit answers, and doctor looks by users of its own', async () => {
      expect(cli('migrate', 'migrate')).toMatchObject({ status: 0 });
      const start = async (service: string, more: Record<string, string>, health: string): Promise<void> => {
        const main = path.join(repositoryRoot(), `dist/apps/${service}/src/main.js`);
        const env = environment(service, more);
        const one = new ManagedProcess({ name: service, command: process.execPath, args: [main], env });
        await one.start();
        running.unshift(one);
        await one.waitUntil(async () => (await answer(`http://localhost:${health}/health/ready`)) === 200, 180_000);
      };
      const [ofInference = '', ofAudit = ''] = ports.health;
      const [cert, key] = ['tls.crt', 'tls.key'].map((name) => path.join(folder('audit'), name));
      await Promise.all([
        start(
          'audit',
          { HEALTH_PORT: ofAudit, AUDIT_TLS_CERT_FILE: cert ?? '', AUDIT_TLS_KEY_FILE: key ?? '' },
          ofAudit,
        ),
        start('inference', { HEALTH_PORT: ofInference }, ofInference),
        start(
          'gateway',
          { GATEWAY_PORT: ports.gateway, AUDIT_TLS_CA_FILE: path.join(folder('gateway'), 'ca.crt') },
          ports.gateway,
        ),
      ]);

      const client = new ApiClient(`http://localhost:${ports.gateway}`, 'Pixel 9');
      const person = { email: 'ada@example.org', password: 'correct horse battery staple' };
      await client.post('/v1/auth/register', person);
      await client.login(person.email, person.password);
      const { version, textSha256 } = (await client.get('/v1/face/consent')).body;
      await client.put('/v1/face/consent', { version, textSha256 });
      const media = new Media(path.join(repositoryRoot(), 'test/media'));
      // A capture plays in real time: whether this machine was quick enough for it is not what is looked at here.
      const { begin } = await performCapture(client, new RecordedPerson(media, 'franck', 41), 'enrolments');
      expect(begin).toMatchObject({ status: 201 });
      // Answered by audit, over TLS.
      expect(await client.get('/v1/security/events')).toMatchObject({ status: 200 });

      // What it says of the other servers, within its three seconds, is another test's.
      const { output } = cli('cli', 'doctor');
      expect(output).toMatch(/^ok +Redis maxmemory-policy: noeviction$/m);
      expect(output).not.toMatch(/^BAD +(configuration|key files|Redis|clock of Redis|\w+ processes)/m);
      for (const service of ['redis', 'redis-blobs'] as const) expect(await refusals(service)).toEqual([]);
    });

    it('each user of Redis is refused what is not his, and nobody comes in without a name', async () => {
      const refused = async (service: string, from: string, ...command: [string, ...string[]]): Promise<string> => {
        const env = environment(service);
        const client = new Redis(env[from] ?? '', { tls: trust(), maxRetriesPerRequest: 0, retryStrategy: () => null });
        client.on('error', () => undefined);
        try {
          return String(await client.call(...command));
        } catch (error) {
          return error instanceof Error ? (error.message.split(' ')[0] ?? '') : 'unknown';
        } finally {
          client.disconnect();
        }
      };
      expect(await refused('inference', 'REDIS_URL', 'GET', 'sess:x')).toBe('NOPERM');
      expect(await refused('audit', 'REDIS_URL', 'GET', 'sess:x')).toBe('NOPERM');
      expect(await refused('gateway', 'REDIS_URL', 'FLUSHALL')).toBe('NOPERM');
      expect(await refused('gateway', 'REDIS_URL', 'ACL', 'LIST')).toBe('NOPERM');
      expect(await refused('gateway', 'REDIS_URL', 'CONFIG', 'SET', 'maxmemory', '1')).toBe('NOPERM');
      expect(await refused('cli', 'REDIS_URL', 'GET', 'bull:face:meta')).toBe('NOPERM');
      expect(await refused('gateway', 'REDIS_URL', 'SET', 'limit:x', '1')).toBe('OK');
      expect(await refused('inference', 'REDIS_BLOB_URL', 'SET', 'bull:x', '1')).toBe('NOPERM');

      const { username, password } = { username: read('keda', 'username'), password: read('keda', 'password') };
      const at = { host: 'localhost', port: redis.redis, tls: trust(), lazyConnect: true, enableReadyCheck: false, retryStrategy: () => null }; // prettier-ignore
      const keda = new Redis({ ...at, username, password });
      keda.on('error', () => undefined);
      // What its scaler does: PING, then a script that asks for type and length.
      const script = "if redis.call('type', KEYS[1]).ok == 'list' then return redis.call('llen', KEYS[1]) end return 0";
      expect(await keda.call('PING')).toBe('PONG');
      expect(await keda.eval(script, 1, 'bull:face:wait')).toBe(0);
      await expect(keda.eval(script, 1, 'bull:audit:wait')).rejects.toThrow('NOPERM');
      await expect(keda.call('LPUSH', 'bull:face:wait', 'x')).rejects.toThrow('NOPERM');
      keda.disconnect();
      const nobody = new Redis(at);
      nobody.on('error', () => undefined);
      await expect(nobody.call('PING')).rejects.toThrow('NOAUTH');
      nobody.disconnect();
      const health = new Redis({ ...at, username: 'health', password: 'any' });
      health.on('error', () => undefined);
      await expect(health.call('PING')).resolves.toBe('PONG');
      await expect(health.call('INFO')).rejects.toThrow('NOPERM');
      health.disconnect();
    });

    it('a Redis with those users that is killed has what transactions and scripts wrote when it is back', async () => {
      const program = await findRedis(process.env, cacheFolder, () => undefined);
      const data = temporaryFolder('init-aof');
      const port = await anyFreePort();
      const lines = ['bind 127.0.0.1', `port ${port}`, `dir ${data}`, 'appendonly yes', 'appendfsync always', 'save ""', `aclfile ${folder('redis')}/users.acl`, '']; // prettier-ignore
      const [command, args] = program.command(['-']);
      const input = lines.join('\n');
      const { username, password } = new URL(read('gateway', 'REDIS_URL').trim());
      const client = (): Redis => new Redis({ host: '127.0.0.1', port, username, password, retryStrategy: () => 100, maxRetriesPerRequest: null }).on('error', () => undefined); // prettier-ignore
      const first = new ManagedProcess({ name: 'aof', command, args, env: { LC_ALL: 'C' }, input });
      await first.start();
      const writer = client();
      await writer.multi().set('sess:1', '1').set('sess:2', '1').exec();
      await writer.eval("redis.call('SET', KEYS[1], '1'); redis.call('SET', KEYS[2], '1')", 2, 'sess:3', 'sess:4');
      await writer.set('sess:5', '1');
      writer.disconnect();
      await first.kill('SIGKILL');
      const second = new ManagedProcess({ name: 'aof', command, args, env: { LC_ALL: 'C' }, input });
      await second.start();
      running.push(second);
      const reader = client();
      expect(await reader.mget('sess:1', 'sess:2', 'sess:3', 'sess:4', 'sess:5')).toEqual(['1', '1', '1', '1', '1']);
      reader.disconnect();
    });

    const trust = (): tls.ConnectionOptions => ({ ca: read('gateway', 'ca.crt') });

    /** What the server has refused: user, command or key. */
    async function refusals(service: 'redis' | 'redis-blobs'): Promise<string[]> {
      const client = new Redis({ host: 'localhost', port: redis[service], tls: trust(), username: 'tester', password: 'any' }); // prettier-ignore
      try {
        const entries = (await client.call('ACL', 'LOG')) as string[][];
        const told = entries.map((entry) => `${entry[entry.indexOf('username') + 1]}: ${entry[entry.indexOf('object') + 1]}`); // prettier-ignore
        return told.filter((one) => !one.startsWith('tester'));
      } finally {
        client.disconnect();
      }
    }
  });
});

/** Whether a TLS handshake is answered there. */
async function isOpen(port: number, folder: string): Promise<boolean> {
  const socket = tls.connect({ host: 'localhost', port, ca: fs.readFileSync(path.join(folder, 'ca.crt')) });
  try {
    await once(socket, 'secureConnect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function answer(url: string): Promise<number> {
  try {
    return (await fetch(url)).status;
  } catch {
    return 0;
  }
}
