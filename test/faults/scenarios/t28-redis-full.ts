import { Redis } from 'ioredis';
import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { type Attempted, people, saidBy } from '../harness/people.js';
import type { Finding, Scenario } from '../harness/scenario.js';
import { inParallel, until } from '../harness/time.js';
import { endings, firstOf, tally } from '../harness/words.js';

const EXIT_MS = 5_000;
const REST_MS = 150_000;
const APPS = ['gateway-1', 'inference-1', 'audit-1'];

export const redisFull: Scenario = {
  id: 'T28',
  title: 'Redis full; Redis with a policy that forgets',
  seconds: [60, 50],
  run: async (context) => {
    const fleet = await Fleet.start(context, { workers: 1 });
    try {
      await context.row('T28', () => full(fleet));
      await context.row('T28 policy', () => forgetful(fleet));
    } finally {
      await fleet.stop();
    }
  },
};

/** No more memory than is used: in the middle of captures, and then for those who would begin one. */
async function full(fleet: Fleet): Promise<Finding> {
  const persons = await people(fleet.gateways, 10);
  const servers = [new Redis(fleet.redis.url), new Redis(fleet.blobs.url)];
  const pids = APPS.map((name) => fleet.of(name).pid);
  const limit = (bytes: number): Promise<unknown> =>
    Promise.all(servers.map((redis) => redis.config('SET', 'maxmemory', bytes)));
  try {
    const captures = inParallel(persons, persons.length, (device) => device.capture());
    await limit(1_000_000);
    const answers = await inParallel(Array.from({ length: 40 }), 8, async (_, i) => {
      const answer = await persons[i % persons.length]?.once((client) => client.post('/v1/face/attempts'));
      return saidBy(answer);
    });
    await limit(0);
    const attempts: Attempted[] = await captures;
    const after = await inParallel(persons, persons.length, (device) => device.capture());
    const ledger = await Ledger.settled(fleet.database, REST_MS);
    const problems = ledger.problems([...attempts, ...after]);
    const unjust = ledger.chargedUnjustly([...attempts, ...after]);
    const alive = APPS.filter((name, i) => fleet.of(name).pid === pids[i]).length;
    return {
      id: 'T28',
      scenario: 'Both Redis at their maxmemory (noeviction) in the middle of captures',
      injected: `${answers.length} begins, ${attempts.length} captures under way`,
      found: `answers ${tally(answers)}; ${alive} of ${APPS.length} processes live on; ${unjust.length} charged for our fault; afterwards ${endings(after)}${firstOf(problems)}`,
      ok: answers.every((status) => /^(503|409)/.test(status)) && alive === APPS.length && problems.length === 0 && unjust.length === 0 && after.every(({ granted }) => granted), // prettier-ignore
      trials: answers.length,
    };
  } finally {
    await limit(0);
    for (const redis of servers) redis.disconnect();
  }
}

async function forgetful(fleet: Fleet): Promise<Finding> {
  const redis = new Redis(fleet.redis.url);
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  redis.disconnect();
  const ended: string[] = [];
  let slowest = 0;
  for (const name of APPS) {
    const process = fleet.of(name);
    await process.kill('SIGKILL');
    const from = performance.now();
    await process.start();
    await until(`${name} ends`, () => !process.running, 4 * EXIT_MS).catch(() => undefined);
    slowest = Math.max(slowest, performance.now() - from);
    if (!process.running && process.lines.some((line) => line.includes('REDIS_URL') && line.includes('noeviction')))
      ended.push(name);
  }
  return {
    id: 'T28 policy',
    scenario: 'maxmemory-policy allkeys-lru at the start of a process',
    injected: `${APPS.length} processes`,
    found: `${ended.length} of ${APPS.length} ended with a line that names REDIS_URL and noeviction, the slowest after ${(slowest / 1000).toFixed(1)} s (bar ${EXIT_MS / 1000})`,
    ok: ended.length === APPS.length && slowest <= EXIT_MS,
  };
}
