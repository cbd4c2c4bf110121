import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { type Attempted, type Device, people, saidBy } from '../harness/people.js';
import type { Finding, Scenario } from '../harness/scenario.js';
import { inParallel, sleep } from '../harness/time.js';
import { endings, firstOf, quantile, tally } from '../harness/words.js';

const BAR_MS = 2_000;
const REST_MS = 180_000;
const OUTBOX_MAX = 50;
/** So that a user's outbox stays below its limit while nobody drains it. */
const GRANTS_EACH = 15;

export const guardWrites: Scenario = {
  id: 'T31',
  title: 'Guard writes hang; audit service dead; outbox over its limit',
  seconds: [240, 70],
  run: async (context) => {
    const fleet = await Fleet.start(context, {
      workers: 2,
      proxied: ['gateway'],
      // As shipped: an empty variable is an unset one.
      env: { gateway: { MONGODB_WAIT_MS: '' } },
    });
    try {
      await context.row('T31 hang', () => hang(fleet, context.quick ? 3 : 10));
      await context.row('T31', () => withoutAudit(fleet, context.quick ? 45 : 1_000, context.say));
    } finally {
      await fleet.stop();
    }
  },
};

/** Every write of a gateway hangs from some moment of a capture on; all that a client can ask is asked. */
async function hang(fleet: Fleet, rounds: number): Promise<Finding> {
  const persons = await people(fleet.gateways, 10);
  const { mongo } = fleet.proxies;
  const answers: { status: string; ms: number }[] = [];
  const attempts: Attempted[] = [];
  for (let round = 0; round < rounds; round++) {
    const captures = inParallel(persons, persons.length, (device) => device.capture());
    await sleep(200 + 1_300 * Math.random());
    mongo.hold();
    // What was asked before is not measured here.
    await sleep(100);
    answers.push(...(await inParallel(persons, persons.length, (device) => timed(device))));
    mongo.release();
    attempts.push(...(await captures));
  }
  const ledger = await Ledger.settled(fleet.database, REST_MS);
  const problems = ledger.problems(attempts);
  const unjust = ledger.chargedUnjustly(attempts);
  const times = answers.map(({ ms }) => ms);
  return {
    id: 'T31 hang',
    scenario: 'Writes of the guard hang at a random moment of captures',
    injected: `${rounds} times, ${answers.length} begins meanwhile, ${attempts.length} attempts under way`,
    found: `answers ${tally(answers.map(({ status }) => status))}, p50 ${quantile(times, 0.5).toFixed(0)} ms, at most ${Math.max(...times).toFixed(0)} ms (bar ${BAR_MS}); ${problems.length} events lost or doubled, ${unjust.length} charged for our fault; ${endings(attempts)}${firstOf(problems)}`,
    ok:
      answers.every(({ status }) => status === '503') &&
      Math.max(...times) <= BAR_MS &&
      problems.length === 0 &&
      unjust.length === 0,
    trials: answers.length,
  };
}

async function timed(device: Device): Promise<{ status: string; ms: number }> {
  const from = performance.now();
  const answer = await device.once((client) => client.post('/v1/face/attempts'));
  return { status: String(answer?.status ?? 'no answer'), ms: performance.now() - from };
}

/** Grants go on while the audit service is dead: the outbox in the guard is their record, until it is full. */
async function withoutAudit(fleet: Fleet, grants: number, say: (line: string) => void): Promise<Finding[]> {
  const persons = await people(fleet.gateways, Math.ceil(grants / GRANTS_EACH));
  const [flooded] = (await people(fleet.gateways, 1)) as [Device];
  await Ledger.settled(fleet.database, REST_MS);
  await fleet.kill('audit-1');
  say(`the audit service is dead; ${persons.length} people begin`);
  const attempts = (
    await inParallel(persons, 24, async (device) => {
      const own: Attempted[] = [];
      for (let i = 0; i < GRANTS_EACH; i++) own.push(await device.capture());
      return own;
    })
  ).flat();
  const granted = attempts.filter((attempt) => attempt.granted);
  let logins = 0;
  while (logins < OUTBOX_MAX && (await flooded.login()).status === 200) logins += 1;
  const begun = await flooded.once((client) => client.post('/v1/face/attempts'));
  await flooded.once((client) => client.delete(`/v1/face/attempts/${String(begun?.body.attemptId)}`));
  await fleet.start('audit-1');
  const ledger = await Ledger.settled(fleet.database, REST_MS);
  const problems = ledger.problems(attempts);
  const unaudited = granted.filter(
    ({ userId, attemptId }) => ledger.endsOf(userId, attemptId ?? '')[0]?.type !== 'success',
  );
  const recorded = ledger.events.get(flooded.userId)?.filter(({ type }) => type === 'login_ok').length ?? 0;
  const after = await flooded.capture();
  return [
    {
      id: 'T31',
      scenario: 'Grants while the audit service is dead, and its return',
      injected: `${granted.length} grants of ${persons.length} people`,
      found: `${unaudited.length} without a record when it was back, ${problems.length} events lost or doubled; ${endings(attempts)}${firstOf(problems)}`,
      ok:
        granted.length === attempts.length &&
        granted.length >= grants &&
        unaudited.length === 0 &&
        problems.length === 0,
      trials: granted.length,
    },
    {
      id: 'T31 outbox',
      scenario: 'A user whose outbox is full of logins',
      injected: `${logins} logins while the audit service is dead, then a begin`,
      found: `begin answered ${saidBy(begun)}; ${recorded} logins in the log afterwards (one more for the enrolment's session), then ${after.status}`,
      ok: begun?.status === 201 && recorded === logins + 1 && after.granted,
    },
  ];
}
