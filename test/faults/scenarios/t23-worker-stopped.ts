import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { people } from '../harness/people.js';
import type { Scenario } from '../harness/scenario.js';
import { sleep, until } from '../harness/time.js';
import { endings, firstOf } from '../harness/words.js';

const STOPPED_MS = 40_000;
const JOBS = 5;
const WORK_MS = 300;
const REST_MS = 60_000;

export const workerStopped: Scenario = {
  id: 'T23',
  title: 'SIGSTOP of a worker for 40 s: it finishes late what others have done',
  seconds: [70, 35],
  run: (context) =>
    context.row('T23', async () => {
      const stoppedMs = context.quick ? 10_000 : STOPPED_MS;
      const fleet = await Fleet.start(context, { workers: 2, env: { inference: { INFERENCE_THREADS: '8' } } });
      try {
        const persons = await people(fleet.gateways, 12);
        const zombie = 'inference-1';
        const held = new Set<string>();
        const late: string[] = [];
        let stopped = false;
        fleet.onPoint(({ process, name, about }) => {
          if (process !== zombie) return;
          const jobId = String(about.jobId);
          if (name === 'job:begin' && !stopped) {
            held.add(jobId);
            stopped = held.size >= JOBS;
            if (stopped) fleet.of(zombie).signal('SIGSTOP');
          }
          if (name === 'job:end' && !stopped) held.delete(jobId);
          else if (name === 'job:end' && held.has(jobId)) late.push(jobId);
        });
        const captures = Promise.all(persons.map((device) => device.capture({ workMs: WORK_MS })));
        await until('a worker with jobs in its hands', () => stopped, 30_000);
        await sleep(stoppedMs);
        const attempts = await captures;
        const before = await Ledger.settled(fleet.database, REST_MS);
        fleet.of(zombie).signal('SIGCONT');
        await until('its jobs end late', () => late.length >= held.size, 30_000).catch(() => undefined);
        await sleep(3_000);
        const after = await Ledger.settled(fleet.database, REST_MS);
        const changed = [...after.guards].filter(([userId, { rev }]) => rev !== before.guards.get(userId)?.rev);
        const problems = after.problems(attempts);
        const unjust = after.chargedUnjustly(attempts);
        return {
          id: 'T23',
          scenario: 'SIGSTOP of a worker with jobs in its hands, SIGCONT when others have done them',
          injected: `${held.size} jobs held for ${stoppedMs / 1000} s, ${attempts.length} attempts`,
          found: `${late.length} finished late; ${changed.length} guards changed by that, ${unjust.length} charged; ${endings(attempts)}${firstOf(problems)}`,
          ok:
            held.size >= JOBS &&
            late.length > 0 &&
            changed.length === 0 &&
            problems.length === 0 &&
            unjust.length === 0,
          trials: held.size,
        };
      } finally {
        await fleet.stop();
      }
    }),
};
