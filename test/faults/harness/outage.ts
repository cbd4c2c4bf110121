import type { Fleet } from './fleet.js';
import { Ledger } from './ledger.js';
import { type Attempted, begunOf, people, saidBy } from './people.js';
import type { Finding } from './scenario.js';
import { inParallel, sleep } from './time.js';
import { endings, firstOf, quantile, tally } from './words.js';

const FILMING = 6;
const ASKING = 4;
const ASK_EVERY_MS = 300;
/** Requests that were on their way when the server went. */
const NOTICED_MS = 1_000;
const REST_MS = 180_000;

export interface Outage {
  id: string;
  scenario: string;
  down: () => void | Promise<void>;
  up: () => void | Promise<void>;
  ms: number;
  /** Bars: how long a refusal may take, and how long the return. */
  refusedWithinMs: number;
  backWithinMs: number;
}

/** Takes a server away from a gateway under load, asks it meanwhile, gives the server back, and adds up. */
export async function outage(fleet: Fleet, o: Outage): Promise<Finding> {
  const [filming, asking] = [await people(fleet.gateways, FILMING), await people(fleet.gateways, ASKING)];
  const attempts: Attempted[] = [];
  let over = false;
  let grantsMeanwhile = 0;
  let awayFrom = Infinity;
  let awayTo = Infinity;
  const load = inParallel(filming, FILMING, async (device) => {
    while (!over) {
      const attempted = await device.capture();
      const now = performance.now();
      if (attempted.granted && now > awayFrom + NOTICED_MS && now < awayTo) grantsMeanwhile += 1;
      attempts.push(attempted);
    }
  });
  await sleep(2_000);
  const memoryBefore = fleet.residentMb('gateway-1');
  await o.down();
  awayFrom = performance.now();
  const answers: { status: string; ms: number }[] = [];
  await inParallel(asking, ASKING, async (device) => {
    for (let i = 0; performance.now() < awayFrom + o.ms; i++) {
      const began = performance.now();
      const answer = await device.once((client) =>
        i % 2 === 0 ? client.post('/v1/face/attempts') : client.get('/v1/auth/session'),
      );
      answers.push({ status: saidBy(answer), ms: performance.now() - began });
      await sleep(ASK_EVERY_MS);
    }
  });
  awayTo = performance.now();
  const grownMb = fleet.residentMb('gateway-1') - memoryBefore;
  await o.up();
  const back = await inParallel(asking, ASKING, async (device) => {
    const from = performance.now();
    for (;;) {
      const begun = begunOf(await device.once((client) => client.post('/v1/face/attempts')));
      if (begun) {
        const ms = performance.now() - from;
        attempts.push(await device.follow(begun, {}));
        return ms;
      }
      if (performance.now() > from + REST_MS) return Infinity;
      await sleep(ASK_EVERY_MS);
    }
  });
  over = true;
  await load;
  const ledger = await Ledger.settled(fleet.database, REST_MS);
  const problems = ledger.problems(attempts);
  const unjust = ledger.chargedUnjustly(attempts);
  const times = answers.map(({ ms }) => ms);
  const [p50, p99, backMs] = [quantile(times, 0.5), quantile(times, 0.99), Math.max(...back)];
  return {
    id: o.id,
    scenario: o.scenario,
    injected: `${(o.ms / 1000).toFixed(0)} s, ${answers.length} requests meanwhile, ${attempts.length} attempts in all`,
    found:
      `answers ${tally(answers.map(({ status }) => status))}, p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms (bar ${o.refusedWithinMs}); ` +
      `${grantsMeanwhile} grants meanwhile; begins again after ${(backMs / 1000).toFixed(1)} s (bar ${o.backWithinMs / 1000}); ` +
      `gateway +${grownMb.toFixed(0)} MB; ${problems.length} events lost or doubled, ${unjust.length} charged for our fault; ${endings(attempts)}${firstOf(problems)}`,
    ok:
      answers.every(({ status }) => status.startsWith('503')) &&
      p99 <= o.refusedWithinMs &&
      backMs <= o.backWithinMs &&
      grantsMeanwhile === 0 &&
      grownMb <= 50 &&
      problems.length === 0 &&
      unjust.length === 0,
    trials: answers.length,
  };
}
