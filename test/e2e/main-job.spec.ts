import { readdir, readFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { type Answer, ApiClient } from '#testing';
import { openOperator } from '../../tools/demo/operator.js';
import type { StepReport } from '../../tools/demo/report.js';
import { runScenario } from '../../tools/demo/scenario.js';
import { PASSWORD, startWorld, type World } from './world.js';

/** Raw JPEG, its base64 and its hex; and eight numbers in a row, which is how an embedding would look. */
const FRAMES = [/\xff\xd8\xff/, /\\xff\\xd8\\xff/, /\/9j\/4/, /ffd8ffe0/i];
const EMBEDDING = /(-?\d\.\d{4,}(e-\d+)?\s*,\s*){8}/;

/**
 * Every command that reaches this database of Redis, as MONITOR writes it. By hand: the client library does not expect
 * traffic in the same packet as the answer to MONITOR.
 */
function watch(url: string, onCommand: (line: string) => void): net.Socket {
  const { hostname, port, username, password, pathname } = new URL(url);
  const socket = net.connect(Number(port), hostname);
  const user = username === '' ? [] : [decodeURIComponent(username)];
  if (password) socket.write(`${['AUTH', ...user, decodeURIComponent(password)].join(' ')}\r\n`);
  socket.write('MONITOR\r\n');
  readline.createInterface({ input: socket }).on('line', (line) => {
    const [, database, command = ''] = /^\+[\d.]+ \[(\d+) \S+\] (.*)$/.exec(line) ?? [];
    if (`/${database}` === pathname && !/^"auth"/i.test(command)) onCommand(command);
  });
  return socket;
}

/** Real processes, real Redis, real MongoDB, real SMTP, real models, recorded people. */
describe('main job', () => {
  let world: World;
  let operator: ReturnType<typeof openOperator>;
  let tap: net.Socket;
  const reports: StepReport[] = [];
  const answers: { path: string; answer: Answer }[] = [];
  const tokens = new Set<string>();
  const redisTraffic: string[] = [];

  beforeAll(async () => {
    world = await startWorld({ name: 'main-job' });
    tap = watch(world.apps.env('gateway').REDIS_URL ?? '', (line) => redisTraffic.push(line));

    class Observed extends ApiClient {
      protected override observe(route: string, answer: Answer): void {
        answers.push({ path: route, answer });
        for (const body of [answer.body, answer.body.session as Record<string, unknown> | undefined]) {
          if (typeof body?.token === 'string') tokens.add(body.token);
        }
      }
    }
    operator = openOperator({
      env: world.apps.env('gateway'),
      gatewayUrl: world.apps.gatewayUrl,
      logFile: path.join(world.dir, 'logs', 'relying-app.log'),
    });
    await runScenario({
      connect: (device) => new Observed(world.apps.gatewayUrl, device),
      mailDir: world.services.mailDir,
      media: world.media,
      operator,
      emit: (report) => reports.push(report),
    }).catch(() => undefined);
  }, 300_000);

  afterAll(async () => {
    tap?.destroy();
    await operator?.stop();
    await world?.stop();
  });

  it('every step of the demo has the outcome it must have', () => {
    expect(reports.filter((report) => !report.ok)).toEqual([]);
    expect(reports.length).toBeGreaterThanOrEqual(36);
  });

  it('no answer was a fault of ours', () => {
    expect(answers.filter(({ answer }) => answer.status >= 500).map(({ path: route }) => route)).toEqual([]);
  });

  describe('nothing private leaves its place', () => {
    const check = (what: string, texts: string[], secrets: Iterable<string>): void => {
      const found: string[] = [];
      for (const text of texts) {
        for (const pattern of FRAMES) if (pattern.test(text)) found.push(`${what}: a frame`);
        if (EMBEDDING.test(text)) found.push(`${what}: an embedding`);
        if (/similarity"?\s*[:=]\s*-?[01]\.\d/.test(text)) found.push(`${what}: a similarity`);
        for (const secret of secrets) if (text.includes(secret)) found.push(`${what}: a secret`);
      }
      expect(found).toEqual([]);
    };
    const secrets = (): string[] => [PASSWORD, ...tokens];

    it('the log lines', async () => {
      const folder = path.join(world.dir, 'logs');
      const files = await readdir(folder);
      const lines = await Promise.all(files.map(async (file) => readFile(path.join(folder, file), 'latin1')));
      expect(lines.join('').split('\n').length).toBeGreaterThan(20);
      check('log', lines, secrets());
      expect(lines.join('')).not.toMatch(/(alice|bob|carol|admin|officer)@example\.org/);
    });

    it('job payloads and everything else that crosses the persistent Redis', () => {
      expect(redisTraffic.filter((line) => line.includes('face.step')).length).toBeGreaterThan(10);
      check('redis', redisTraffic, secrets());
    });

    it('HTTP answers: tokens only where one is issued, no score at all', () => {
      expect(tokens.size).toBeGreaterThan(5);
      const issuing = answers.filter(({ answer }) => answer.body.token ?? answer.body.session);
      const others = answers.filter((one) => !issuing.includes(one));
      check('answer', others.map(({ answer }) => answer.text), secrets()); // prettier-ignore
      check('answer', issuing.map(({ answer }) => answer.text), [PASSWORD]); // prettier-ignore
      expect(answers.filter(({ answer }) => /similarity|score/.test(answer.text))).toEqual([]);
    });

    it('the database: no password, no token, no readable embedding', async () => {
      const rows = await world.withDatabase(async (database) => {
        const collections = await database.listCollections();
        return Promise.all(collections.map(({ name }) => database.collection(name).find().toArray()));
      });
      const texts = rows.flat().map((row) => JSON.stringify(row));
      expect(texts.length).toBeGreaterThan(20);
      for (const text of texts) {
        expect(text).not.toMatch(EMBEDDING);
        for (const secret of secrets()) expect(text).not.toContain(secret);
      }
    });
  });
});
