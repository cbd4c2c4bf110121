import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { type Attempted, people } from '../harness/people.js';
import type { Scenario } from '../harness/scenario.js';
import type { Script } from '../harness/script.js';
import { inParallel } from '../harness/time.js';
import { endings, firstOf } from '../harness/words.js';

/** Between any two calls that change something: on each side of every one. */
const POINTS = ['reserve', 'frames', 'accept', 'enqueue', 'verdict', 'decide', 'clean', 'redeem', 'rotate'].flatMap((call) => [`${call}:before`, `${call}:after`]); // prettier-ignore
const SCRIPTS: readonly Partial<Script>[] = [{}, {}, { person: 'stranger' }, {}];
const GATEWAYS = 3;
const AT_ONCE = 10;
/** The longest life of an attempt, and 60 s. */
const REST_MS = 90_000 + 60_000;

export const gatewayKilled: Scenario = {
  id: 'T22',
  title: 'SIGKILL of a gateway between any two of its effects',
  seconds: [150, 60],
  run: (context) =>
    context.row('T22', async () => {
      const kills = context.quick ? POINTS.length : 54;
      const fleet = await Fleet.start(context, { gateways: GATEWAYS, workers: 2 });
      try {
        const persons = await people(fleet.gateways, 20);
        context.say(`${persons.length} people enrolled`);
        const plan = Array.from({ length: kills }, (_, i) => POINTS[i % POINTS.length] ?? '');
        const done: string[] = [];
        const dead = new Set<string>();
        fleet.onPoint(async ({ process, name }) => {
          // One gateway is always there; and where one point is rare, others need not wait for it.
          const at = dead.size < GATEWAYS - 1 && !dead.has(process) ? plan.indexOf(name) : -1;
          if (at < 0) return;
          plan.splice(at, 1);
          done.push(name);
          dead.add(process);
          const { back } = await fleet.replace(process);
          void back.then(() => dead.delete(process));
          if (done.length % 10 === 0) context.say(`${done.length} of ${kills} killed`);
        });
        const attempts: Attempted[] = [];
        for (let round = 0; plan.length > 0 && round < 20; round++)
          attempts.push(
            ...(await inParallel(persons, AT_ONCE, (device) => device.capture(SCRIPTS[round % SCRIPTS.length]))),
          );
        fleet.onPoint();
        const ledger = await Ledger.settled(fleet.database, REST_MS);
        const problems = ledger.problems(attempts);
        const unjust = ledger.chargedUnjustly(attempts);
        const begun = attempts.filter(({ attemptId }) => attemptId !== null);
        const orphans = [...ledger.guards.values()].filter(({ reservation }) => reservation).length;
        const loginAgain = attempts.filter(({ status }) => status === '401').length;
        return {
          id: 'T22',
          scenario:
            'SIGKILL of a gateway before and after reserve, frames, accept, enqueue, verdict, decide, clean, redeem, rotate',
          injected: `${done.length} kills at ${new Set(done).size} points over ${begun.length} attempts of ${persons.length} people, ${GATEWAYS} gateways`,
          found: `${orphans} reservations left, ${unjust.length} charged for our fault, ${loginAgain} logins for a lost answer; told ${endings(attempts)}; recorded ${ledger.recorded(attempts)}${firstOf(problems)}`,
          ok:
            plan.length === 0 &&
            problems.length === 0 &&
            unjust.length === 0 &&
            orphans === 0 &&
            loginAgain <= done.length,
          trials: done.length,
        };
      } finally {
        await fleet.stop();
      }
    }),
};
