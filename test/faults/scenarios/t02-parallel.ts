import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { anotherSession, type Attempted, begunOf, type Device, people } from '../harness/people.js';
import type { Scenario } from '../harness/scenario.js';
import { inParallel, sleep } from '../harness/time.js';
import { firstOf, tally } from '../harness/words.js';

const SESSIONS = 20;
const GATEWAYS = 3;
/** What whoever may not begin is told; 503 by a gateway that sheds what it cannot answer in time. */
const REFUSALS = ['409', '423', '429', '503'];
/** All begin at the same moment, and again after so long to twice that: more would only queue in this client. */
const AGAIN_MS = 4_000;
/** Whoever is told that the gateway is busy waits longer each time, up to so much: on a slow machine as on a fast one. */
const BUSY_MAX_MS = 32_000;
const REST_MS = 60_000;
const STRANGER = { person: 'stranger' };

export const parallel: Scenario = {
  id: 'T02',
  title: '1,000 clients of one user at once, over three gateways',
  seconds: [420, 60],
  run: (context) =>
    context.row('T02', async () => {
      const [rounds, clients] = context.quick ? [2, 200] : [20, 1_000];
      const fleet = await Fleet.start(context, { gateways: GATEWAYS, workers: 2 });
      try {
        const matched = new Map<string, Set<string>>();
        fleet.onPoint(({ name, about }) => {
          if (name !== 'job:begin' || about.job !== 'match') return;
          const attempts = matched.get(String(about.userId)) ?? new Set();
          matched.set(String(about.userId), attempts.add(String(about.attemptId)));
        });
        const victims = await people(fleet.gateways, rounds);
        const answers: string[] = [];
        const attempts: Attempted[] = [];
        for (const [round, victim] of victims.entries()) {
          const sessions = await inParallel(Array.from({ length: SESSIONS }), 8, () =>
            anotherSession(fleet.gateways, victim),
          );
          const all = Array.from({ length: clients }, (_, i) => attempt(sessions[i % SESSIONS] ?? victim, answers));
          attempts.push(...(await Promise.all(all)).filter((one) => one !== null));
          context.say(`round ${round + 1} of ${rounds}: ${matched.get(victim.userId)?.size ?? 0} comparisons`);
        }
        const ledger = await Ledger.settled(fleet.database, REST_MS);
        const mails = await lockMails(fleet, rounds);
        const locks = victims.map(
          ({ userId }) => ledger.events.get(userId)?.filter(({ type }) => type === 'locked').length ?? 0,
        );
        const compared = victims.map(({ userId }) => matched.get(userId)?.size ?? 0);
        const strange = answers.filter((status) => !REFUSALS.includes(status));
        const problems = ledger.problems(attempts);
        return {
          id: 'T02',
          scenario: `${clients} clients of one user at once over ${GATEWAYS} gateways, each begins until it may or is told of the lock`,
          injected: `${rounds} rounds, ${answers.length + attempts.length} begins, ${SESSIONS} sessions a user`,
          found: `at most ${Math.max(...compared)} comparisons a user, ${sum(locks)} locks, ${sum(mails)} mails about them; refusals: ${tally(answers)}${firstOf(problems)}`,
          ok:
            Math.max(...compared) <= 3 &&
            only(locks, 1) &&
            only(mails, 1) &&
            strange.length === 0 &&
            problems.length === 0,
          trials: answers.length + attempts.length,
        };
      } finally {
        await fleet.stop();
      }
    }),
};

/** Begins until it may, then films a stranger; or until it is told of the lock. */
async function attempt(device: Device, answers: string[]): Promise<Attempted | null> {
  for (let againMs = AGAIN_MS; ;) {
    const answer = await device.once((client) => client.post('/v1/face/attempts'));
    const begun = begunOf(answer);
    if (begun) return device.follow(begun, STRANGER);
    answers.push(answer ? String(answer.status) : 'no answer');
    if (answer?.status === 423) return null;
    againMs = answer?.status === 409 ? AGAIN_MS : Math.min(2 * againMs, BUSY_MAX_MS);
    await sleep(againMs + againMs * Math.random());
  }
}

async function lockMails(fleet: Fleet, rounds: number): Promise<number[]> {
  const rows = await fleet.database.collection('mails').find({ template: 'face_locked' }).toArray();
  const users = new Map<string, number>();
  for (const { userId } of rows) users.set(String(userId), (users.get(String(userId)) ?? 0) + 1);
  return [...users.values(), ...Array.from({ length: rounds - users.size }, () => 0)];
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const only = (values: readonly number[], wanted: number): boolean => values.every((value) => value === wanted);
