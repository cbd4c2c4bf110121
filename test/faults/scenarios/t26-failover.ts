import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Redis as Client } from 'ioredis';
import { anyFreePort, cacheFolder, findRedis, ManagedProcess, type Redis, startRedis } from '#stack';
import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { type Attempted, begunOf, people } from '../harness/people.js';
import type { Context, Scenario } from '../harness/scenario.js';
import { inParallel, sleep, until } from '../harness/time.js';
import { endings, firstOf } from '../harness/words.js';

const NAME = 'countersign';
const SENTINELS = 3;
const DOWN_AFTER_MS = 2_000;
const BAR_MS = 30_000;
const REST_MS = 180_000;

export const failover: Scenario = {
  id: 'T26',
  title: 'Sentinel fails over to a replica, the master killed, or reachable as a replica',
  seconds: [240, 80],
  run: (context) =>
    context.row('T26', async () => {
      const times = context.quick ? 2 : 10;
      const password = randomBytes(18).toString('base64url');
      const settings = [`masterauth ${password}`];
      const proxied = ['gateway', 'inference', 'audit'] as const;
      const fleet = await Fleet.start(context, {
        workers: 2,
        proxied,
        redisPassword: password,
        redisSettings: settings,
      });
      const started: ManagedProcess[] = [];
      try {
        const replica = await startReplica(context, fleet, password, settings);
        started.push(replica.process);
        context.atEnd(() => Promise.all(started.map((process) => process.kill('SIGKILL'))));
        const sentinelPort = await startSentinels(context, fleet, password, started);
        const servers = new Map([fleet.redis, replica].map((redis) => [Number(new URL(redis.url).port), redis]));
        let master = Number(new URL(fleet.redis.url).port);
        await until('a replica in step', () => hasReplica(servers.get(master)), 60_000);

        const persons = await people(fleet.gateways, 6);
        const [probe] = await people(fleet.gateways, 1);
        const attempts: Attempted[] = [];
        let over = false;
        const load = inParallel(persons, persons.length, async (device) => {
          while (!over) attempts.push(await device.capture());
        });
        const pids = [...fleet.names('gateway'), ...fleet.names('inference')].map((name) => fleet.of(name).pid);
        const resumed: number[] = [];
        for (let i = 0; i < times; i++) {
          const old = servers.get(master);
          // Every other time the old master lives on: it becomes a replica that refuses writes, and lets nobody go.
          const killed = i % 2 === 0;
          const from = performance.now();
          if (killed) await old?.process.kill('SIGKILL');
          else await promoteAnother(sentinelPort);
          await until(
            'sentinels agree on another master',
            async () => (await masterOf(sentinelPort)) !== master,
            60_000,
          );
          master = await masterOf(sentinelPort);
          if (killed) fleet.proxies.redis.lead(master);
          else fleet.proxies.redis.leadNew(master);
          await until('a capture is judged again', async () => {
          const answer = await probe?.once((client) => client.post('/v1/face/attempts'));
          if (answer?.status === 401) await probe?.login();
          const begun = begunOf(answer ?? null);
          if (!begun || !probe) return false;
          attempts.push(await probe.follow(begun, {}));
          return attempts.at(-1)?.granted ?? false;
        }, REST_MS); // prettier-ignore
          resumed.push(performance.now() - from);
          if (killed) await old?.start();
          await until('the old master follows', () => hasReplica(servers.get(master)), 60_000);
          context.say(
            `${i + 1} of ${times} (old master ${killed ? 'killed' : 'a replica'}): judged again after ${((resumed.at(-1) ?? 0) / 1000).toFixed(1)} s`,
          );
          await sleep(1_000);
        }
        over = true;
        await load;
        const ledger = await Ledger.settled(fleet.database, REST_MS);
        const problems = ledger.problems(attempts);
        const unjust = ledger.chargedUnjustly(attempts);
        const same = pids.join() === [...fleet.names('gateway'), ...fleet.names('inference')].map((name) => fleet.of(name).pid).join(); // prettier-ignore
        const slowest = Math.max(...resumed);
        return {
          id: 'T26',
          scenario: `The master killed, every other time made a replica that stays reachable; ${SENTINELS} sentinels promote its replica, and the one address the processes know leads there`,
          injected: `${times} failovers over ${attempts.length} attempts`,
          found: `the first capture verified at most ${(slowest / 1000).toFixed(1)} s after the failover (bar ${BAR_MS / 1000}), processes ${same ? 'not restarted' : 'RESTARTED'}; ${problems.length} events lost or doubled, ${unjust.length} charged for our fault; ${endings(attempts)}${firstOf(problems)}`,
          ok: resumed.length === times && slowest <= BAR_MS && same && problems.length === 0 && unjust.length === 0,
          trials: attempts.length,
        };
      } finally {
        for (const process of started) await process.kill('SIGKILL');
        await fleet.stop();
      }
    }),
};

async function startReplica(
  context: Context,
  fleet: Fleet,
  password: string,
  settings: readonly string[],
): Promise<Redis> {
  const program = await findRedis(process.env, cacheFolder, () => undefined);
  const { port } = new URL(fleet.redis.url);
  return startRedis(program, {
    name: 'replica',
    dir: path.join(context.dir, 'replica'),
    persistent: true,
    logFile: path.join(context.dir, 'logs', 'replica.log'),
    env: process.env,
    password,
    settings: [...settings, `replicaof 127.0.0.1 ${port}`],
  });
}

/** They write into their configuration, so each has a file of its own. The port of one of them. */
async function startSentinels(
  context: Context,
  fleet: Fleet,
  password: string,
  started: ManagedProcess[],
): Promise<number> {
  const program = await findRedis(process.env, cacheFolder, () => undefined);
  let port = 0;
  for (let i = 1; i <= SENTINELS; i++) {
    const dir = path.join(context.dir, `sentinel-${i}`);
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    port = await anyFreePort();
    const file = path.join(dir, 'sentinel.conf');
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir "${dir}"`,
      `sentinel monitor ${NAME} 127.0.0.1 ${new URL(fleet.redis.url).port} 2`,
      `sentinel auth-pass ${NAME} ${password}`,
      `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${NAME} 6000`,
      '',
    ];
    fs.writeFileSync(file, lines.join('\n'), { mode: 0o600 });
    const [command, args] = program.command([file, '--sentinel']);
    const env = { PATH: process.env.PATH, LC_ALL: 'C' };
    const sentinel = new ManagedProcess({ name: `sentinel-${i}`, command, args, env, logFile: path.join(context.dir, 'logs', `sentinel-${i}.log`) }); // prettier-ignore
    await sentinel.start();
    started.push(sentinel);
  }
  return port;
}

/** The port of the master, as one sentinel says. */
async function masterOf(sentinelPort: number): Promise<number> {
  const address = (await askSentinel(sentinelPort, 'get-master-addr-by-name')) as [string, string] | null;
  return Number(address?.[1]);
}

/** A failover that an operator asks for. Refused while the one before it is not over. */
function promoteAnother(sentinelPort: number): Promise<void> {
  return until('a sentinel takes the order', () => askSentinel(sentinelPort, 'failover').then(() => true, () => false), 60_000); // prettier-ignore
}

async function askSentinel(sentinelPort: number, question: string): Promise<unknown> {
  const client = new Client(sentinelPort, '127.0.0.1', { maxRetriesPerRequest: 3 });
  client.on('error', () => undefined);
  try {
    return await client.call('SENTINEL', question, NAME);
  } finally {
    client.disconnect();
  }
}

async function hasReplica(redis: Redis | undefined): Promise<boolean> {
  if (!redis) return false;
  const client = new Client(redis.url, { maxRetriesPerRequest: 1 });
  client.on('error', () => undefined);
  try {
    return /state=online/.test(await client.info('replication'));
  } catch {
    return false;
  } finally {
    client.disconnect();
  }
}
