import { Redis } from 'ioredis';
import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { type Attempted, type Device, people } from '../harness/people.js';
import type { Context, Finding, Scenario } from '../harness/scenario.js';
import type { Script } from '../harness/script.js';
import { inParallel, sleep } from '../harness/time.js';
import { endings, firstOf } from '../harness/words.js';

const SCRIPTS: readonly Partial<Script>[] = [{}, { person: 'stranger' }, {}, { verdict: { kind: 'no_action' } }];
const PEOPLE = 12;
const LOCKED = 3;
const AWAY_MS = 1_000;
const REST_MS = 150_000;

type Loss = 'everysec' | 'always' | 'empty';
const SAID: Record<Loss, string> = {
  everysec: 'SIGKILL and restart of both Redis under load, appendfsync everysec',
  always: 'SIGKILL and restart of both Redis under load, appendfsync always',
  empty: 'FLUSHALL of both Redis under load',
};

export const redisKilled: Scenario = {
  id: 'T24',
  title: 'Redis killed and restarted under load; emptied',
  seconds: [210, 100],
  run: async (context) => {
    for (const loss of ['everysec', 'always', 'empty'] as const)
      await context.row(`T24 ${loss}`, () => lose(context, loss));
  },
};

async function lose(context: Context, loss: Loss): Promise<Finding> {
  const times = context.quick ? 2 : 6;
  const redisSettings = loss === 'always' ? ['appendfsync always'] : [];
  const fleet = await Fleet.start({ ...context, dir: `${context.dir}/${loss}` }, { workers: 2, redisSettings });
  try {
    const [persons, locked] = [await people(fleet.gateways, PEOPLE), await people(fleet.gateways, LOCKED)];
    const attempts: Attempted[] = [];
    await lock(locked, attempts);
    const before = await Ledger.read(fleet.database);
    let losses = 0;
    const load = inParallel(persons, PEOPLE, async (device) => {
      for (let round = 0; losses < times || round < 2; round++)
        attempts.push(await device.capture(SCRIPTS[round % SCRIPTS.length]));
    });
    while (losses < times) {
      await sleep(2_000 + 2_000 * Math.random());
      await (loss === 'empty' ? empty(fleet) : restart(fleet));
      losses += 1;
    }
    await load;
    const ledger = await Ledger.settled(fleet.database, REST_MS);
    const problems = ledger.problems(attempts);
    const unjust = ledger.chargedUnjustly(attempts);
    const until = (from: Ledger): string =>
      locked.map(({ userId }) => from.guards.get(userId)?.lockedUntil?.getTime()).join();
    const same = until(before) === until(ledger) && !until(ledger).includes(',,');
    const begun = attempts.filter(({ attemptId }) => attemptId !== null).length;
    return {
      id: `T24 ${loss}`,
      scenario: SAID[loss],
      injected: `${losses} times, ${begun} attempts of ${PEOPLE} people, ${LOCKED} locked faces`,
      found: `${problems.length} events lost or doubled, ${unjust.length} charged for our fault, locks ${same ? 'unchanged' : 'CHANGED'}; ${endings(attempts)}${firstOf(problems)}`,
      ok: problems.length === 0 && unjust.length === 0 && same,
      trials: begun,
    };
  } finally {
    await fleet.stop();
  }
}

async function lock(devices: readonly Device[], attempts: Attempted[]): Promise<void> {
  await inParallel(devices, devices.length, async (device) => {
    for (let i = 0; i < 3; i++) attempts.push(await device.capture({ person: 'stranger' }));
  });
}

async function restart({ redis, blobs }: Fleet): Promise<void> {
  await Promise.all([redis.process.kill('SIGKILL'), blobs.process.kill('SIGKILL')]);
  await sleep(AWAY_MS);
  await Promise.all([redis.start(), blobs.start()]);
}

async function empty({ redis, blobs }: Fleet): Promise<void> {
  for (const { url } of [redis, blobs]) {
    const client = new Redis(url);
    await client.flushall();
    client.disconnect();
  }
}
