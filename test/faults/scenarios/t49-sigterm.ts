import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { type Attempted, people } from '../harness/people.js';
import type { Scenario } from '../harness/scenario.js';
import { inParallel, sleep, until } from '../harness/time.js';
import { endings, firstOf, tally } from '../harness/words.js';

const EXIT_MS = 25_000;
const WORK_MS = 400;
const REST_MS = 120_000;

export const terminated: Scenario = {
  id: 'T49',
  title: 'SIGTERM of a worker or gateway with work in its hands',
  seconds: [150, 60],
  run: (context) =>
    context.row('T49', async () => {
      const times = context.quick ? 4 : 20;
      const fleet = await Fleet.start(context, {
        gateways: 2,
        workers: 2,
        env: { gateway: { SHUTDOWN_DRAIN_SECONDS: '1' } },
      });
      try {
        const persons = await people(fleet.gateways, 12);
        for (const device of persons) device.balanced = true;
        const held = new Map<string, number>();
        fleet.onPoint(({ process, name }) => {
          const by = name === 'job:begin' ? 1 : name === 'job:end' ? -1 : 0;
          held.set(process, (held.get(process) ?? 0) + by);
        });
        const attempts: Attempted[] = [];
        let over = false;
        const load = inParallel(persons, persons.length, async (device) => {
          while (!over) attempts.push(await device.capture({ workMs: WORK_MS }));
        });
        const exits: { name: string; ms: number; code: string }[] = [];
        for (let i = 0; i < times; i++) {
          const name = fleet.names(i % 2 === 0 ? 'inference' : 'gateway')[(i >> 1) % 2] ?? '';
          if (name.startsWith('inference')) await until('a worker at work', () => (held.get(name) ?? 0) > 0, 30_000);
          const from = performance.now();
          await fleet.kill(name, 'SIGTERM');
          exits.push({ name, ms: performance.now() - from, code: fleet.of(name).ended ?? '' });
          held.delete(name);
          await fleet.start(name);
          await sleep(500);
        }
        over = true;
        await load;
        const ledger = await Ledger.settled(fleet.database, REST_MS);
        const problems = ledger.problems(attempts);
        const unjust = ledger.chargedUnjustly(attempts);
        const faults = persons.flatMap(({ serverFaults }) => serverFaults);
        const cutOff = persons.flatMap((device) => device.cutOff);
        const slowest = Math.max(...exits.map(({ ms }) => ms));
        const clean = exits.filter(({ code }) => code === '0' || code === 'SIGTERM').length;
        return {
          id: 'T49',
          scenario: 'SIGTERM of a worker or gateway with work in its hands, another one stays',
          injected: `${times} times over ${attempts.length} attempts`,
          found: `${clean} of ${times} ended by themselves, the slowest after ${(slowest / 1000).toFixed(1)} s (bar ${EXIT_MS / 1000}); ${faults.length} answers 5xx${faults.length > 0 ? ` (${tally(faults)})` : ''}, ${cutOff.length} requests cut off${cutOff.length > 0 ? ` (${tally(cutOff)})` : ''}; ${unjust.length} charged for our fault; ${endings(attempts)}${firstOf(problems)}`,
          ok:
            clean === times &&
            slowest <= EXIT_MS &&
            faults.length === 0 &&
            cutOff.length === 0 &&
            problems.length === 0 &&
            unjust.length === 0,
          trials: attempts.length,
        };
      } finally {
        await fleet.stop();
      }
    }),
};
