import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { type Attempted, people } from '../harness/people.js';
import type { Finding, Scenario } from '../harness/scenario.js';
import type { Script } from '../harness/script.js';
import { inParallel, sleep } from '../harness/time.js';
import { endings, firstOf } from '../harness/words.js';

/** What attempts of one person find, in this order: strikes stay below a lock, and a success clears them. */
const SCRIPTS: readonly Partial<Script>[] = [{}, { person: 'stranger' }, { verdict: { kind: 'wrong_action' } }, {}];
const AT_ONCE = 10;
const WORKERS = 4;
/** Half of the fleet lives at any time: how long starting takes is not what is looked for. */
const DEAD_MAX = WORKERS / 2;
/** A step's analysis takes about as long on the models. Long enough to be killed in. */
const WORK_MS = 250;
/** decideUntil at its latest, 60 s later. */
const REST_MS = 120_000;

export const workerKilled: Scenario = {
  id: 'T21',
  title: 'SIGKILL of a worker in the middle of a job',
  seconds: [150, 40],
  run: async (context) => {
    const kills = context.quick ? 10 : 50;
    const fleet = await Fleet.start({ ...context, dir: `${context.dir}/once` }, { workers: WORKERS });
    try {
      await context.row('T21', () => once(fleet, kills, context.say));
      await context.row('T21 twice', () => twice(fleet, context.quick ? 2 : 6));
    } finally {
      await fleet.stop();
    }
  },
};

/** At most one kill a job: every worker dies in the middle of something, and all it held goes to another. */
async function once(fleet: Fleet, kills: number, say: (line: string) => void): Promise<Finding> {
  const persons = await people(fleet.gateways, Math.ceil(kills / 2));
  say(`${persons.length} people enrolled`);
  /** Jobs in a worker's hands, by worker; and those that have lost one. */
  const held = new Map<string, Set<string>>();
  const hit = new Set<string>();
  const restarting = new Set<string>();
  let killed = 0;
  fleet.onPoint(async ({ process, name, about }) => {
    const jobId = String(about.jobId);
    const jobs = held.get(process) ?? new Set();
    held.set(process, jobs);
    if (name === 'job:end') jobs.delete(jobId);
    if (name !== 'job:begin') return;
    jobs.add(jobId);
    if (restarting.has(process) || restarting.size >= DEAD_MAX || killed >= kills) return;
    if ([...jobs].some((id) => hit.has(id))) return;
    killed += 1;
    restarting.add(process);
    // Somewhere in its work, or just before or after.
    void sleep(Math.random() * WORK_MS * 1.2).then(async () => {
      for (const id of jobs) hit.add(id);
      held.delete(process);
      await (
        await fleet.replace(process)
      ).back;
      restarting.delete(process);
      if (killed % 10 === 0) say(`${killed} of ${kills} killed`);
    });
  });
  const attempts: Attempted[] = [];
  // As long as there are kills left, and a hundred attempts at least.
  for (let round = 0; attempts.length < 2 * kills || killed < kills; round++) {
    const script = { workMs: WORK_MS, ...SCRIPTS[round % SCRIPTS.length] };
    attempts.push(...(await inParallel(persons, AT_ONCE, (device) => device.capture(script))));
  }
  fleet.onPoint();
  for (const name of fleet.names('inference')) await fleet.ready(name);
  const ledger = await Ledger.settled(fleet.database, REST_MS);
  const problems = ledger.problems(attempts);
  const unjust = ledger.chargedUnjustly(attempts);
  const begun = attempts.filter(({ attemptId }) => attemptId !== null);
  return {
    id: 'T21',
    scenario: 'SIGKILL of a worker with jobs in its hands, at most one kill a job',
    injected: `${killed} kills over ${begun.length} attempts of ${persons.length} people, ${WORKERS} workers`,
    found: `${begun.length - problems.length} of ${begun.length} ended, told and recorded once; ${unjust.length} charged for our fault; ${endings(attempts)}${firstOf(problems)}`,
    ok: killed === kills && begun.length === attempts.length && problems.length === 0 && unjust.length === 0,
    trials: begun.length,
  };
}

/** The job that decides kills its worker, is given to another and kills that, too. */
async function twice(fleet: Fleet, count: number): Promise<Finding> {
  const persons = await people(fleet.gateways, count);
  const deaths = new Map<string, number>();
  fleet.onPoint(async ({ process, name, about }) => {
    const jobId = String(about.jobId);
    if (name !== 'job:begin' || about.job !== 'match' || (deaths.get(jobId) ?? 0) >= 2) return;
    deaths.set(jobId, (deaths.get(jobId) ?? 0) + 1);
    await fleet.replace(process);
  });
  const attempts: Attempted[] = [];
  for (const device of persons) attempts.push(await device.capture());
  fleet.onPoint();
  for (const name of fleet.names('inference')) await fleet.ready(name);
  const ledger = await Ledger.settled(fleet.database, REST_MS);
  const ends = attempts.map(({ userId, attemptId }) => ledger.endsOf(userId, attemptId ?? '')[0]);
  const stalled = ends.filter((end) => end?.reason === 'stalled_twice' && end.type === 'error' && !end.charged);
  const problems = ledger.problems(attempts);
  const killed = [...deaths.values()].reduce((sum, n) => sum + n, 0);
  return {
    id: 'T21 twice',
    scenario: 'The same deciding job kills its worker twice',
    injected: `${killed} kills over ${count} attempts`,
    found: `${stalled.length} of ${count} ended as stalled_twice, uncharged; ${endings(attempts)}${firstOf(problems)}`,
    ok: stalled.length === count && problems.length === 0,
    trials: count,
  };
}
