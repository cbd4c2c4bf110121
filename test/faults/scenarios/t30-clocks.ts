import path from 'node:path';
import { z } from 'zod';
import { type Clock, movableClock, startServices } from '#stack';
import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { type Attempted, Device, people, saidBy } from '../harness/people.js';
import type { Context, Finding, Scenario, Skipped } from '../harness/scenario.js';
import { inParallel } from '../harness/time.js';
import { endings, firstOf } from '../harness/words.js';

const SCENARIO =
  'Gateways at -10 and +10 min, worker at +10, audit at -10; the database goes back 1 h in the middle of a lock';
const LOCK_MS = 30 * 60_000;
const BAR_MS = 2_000;
const REST_MS = 60_000;

export const clocks: Scenario = {
  id: 'T30',
  title: 'Clocks of processes wrong, and the clock of the database jumps',
  seconds: [60, 50],
  run: (context) =>
    context.row('T30', async () => {
      const skipped = (why: string): Skipped => ({ id: 'T30', scenario: SCENARIO, why });
      if (process.env.MONGODB_URI) return skipped('the clock of the server in MONGODB_URI is not ours');
      const all = await Promise.all(Array.from({ length: 3 }, () => movableClock(process.env, context.say)));
      const clocks = all.filter((clock) => clock !== undefined);
      const [database, early, late] = clocks;
      if (!database || !early || !late) return skipped('no libfaketime on this machine');
      const dir = path.join(context.dir, 'services');
      const services = await startServices({ dir, ephemeral: true, log: () => undefined, clock: database });
      context.atEnd(() => services.stop());
      try {
        if (!services.chosen.mongo.includes('DocumentDB')) return skipped('this mongod cannot be given another clock');
        return await skewed({ ...context, services, dir: path.join(context.dir, 'fleet') }, { database, early, late });
      } finally {
        await services.stop();
        for (const clock of clocks) clock.remove();
      }
    }),
};

async function skewed(
  context: Context,
  { database, early, late }: Record<'database' | 'early' | 'late', Clock>,
): Promise<Finding> {
  early.set('-10m');
  late.set('+10m');
  const clockOf = (name: string): Clock => (name === 'gateway-1' || name.startsWith('audit') ? early : late);
  const fleet = await Fleet.start(context, {
    gateways: 2,
    workers: 1,
    wrap: (name, command, args) => clockOf(name).wrap(command, args),
    envOf: (name) => clockOf(name).env,
  });
  try {
    const now = async (): Promise<number> => {
      const [row] = await fleet.database
        .collection('face_guards')
        .aggregate<{ now: Date }>([{ $limit: 1 }, { $project: { now: '$$NOW' } }])
        .toArray();
      return row?.now.getTime() ?? Number.NaN;
    };
    const persons = await people(fleet.gateways, 6);
    // Both gateways serve every attempt: each request of a client goes to the other one.
    for (const device of persons) device.roams = true;
    const attempts: Attempted[] = await inParallel(persons, 6, (device) => device.capture());
    const [locked] = (await people(fleet.gateways, 1)) as [Device];
    locked.roams = true;
    for (let i = 0; i < 3; i++) attempts.push(await locked.capture({ person: 'stranger' }));
    const guard = (await Ledger.read(fleet.database)).guards.get(locked.userId);
    const end = guard?.lockedUntil?.getTime() ?? Number.NaN;
    const lockedFor = end - Date.parse((await lockedEvent(fleet, locked.userId)) ?? '');
    const minutes = await Promise.all(fleet.gateways.map((url) => told(url, locked)));

    database.set('-1h');
    const back = await Promise.all(fleet.gateways.map((url) => told(url, locked)));
    const unchanged = (await Ledger.read(fleet.database)).guards.get(locked.userId)?.lockedUntil?.getTime() === end;
    // To two seconds before the end of the lock by the database's own time, and past it.
    const move = async (to: number): Promise<void> => {
      database.set('+0');
      const ahead = (to - (await now())) / 1_000;
      database.set(`${ahead < 0 ? '' : '+'}${ahead.toFixed(3)}`);
    };
    await move(end - BAR_MS);
    const before = await told(fleet.gateways[0] ?? '', locked);
    await move(end + BAR_MS);
    await locked.login();
    const after = await locked.capture();
    attempts.push(after);
    const ledger = await Ledger.settled(fleet.database, REST_MS);
    const problems = ledger.problems(attempts);
    const same = new Set(minutes).size === 1;
    return {
      id: 'T30',
      scenario: SCENARIO,
      injected: `${attempts.length} attempts through both gateways, one lock`,
      found:
        `locked for ${(lockedFor / 60_000).toFixed(2)} min by the database; both gateways say ${minutes.join(' and ')}, after the jump ${back.join(' and ')}, its end ${unchanged ? 'unchanged' : 'MOVED'}; ` +
        `2 s before the end ${before}, 2 s after it ${after.status}; ${endings(attempts)}${firstOf(problems)}`,
      ok:
        Math.abs(lockedFor - LOCK_MS) <= BAR_MS &&
        same &&
        back.every((said) => said.startsWith('423')) &&
        unchanged &&
        before.startsWith('423') &&
        after.granted &&
        problems.length === 0,
      trials: attempts.length,
    };
  } finally {
    await fleet.stop();
  }
}

/** When the lock began, as the log says. */
async function lockedEvent(fleet: Fleet, userId: string): Promise<string | undefined> {
  const ledger = await Ledger.settled(fleet.database, REST_MS);
  return ledger.events.get(userId)?.find(({ type }) => type === 'locked')?.ts;
}

/** What one gateway answers a begin with. */
async function told(gateway: string, { email, userId, token }: Device): Promise<string> {
  const device = new Device([gateway], email, userId);
  device.token = token;
  const answer = await device.once((client) => client.post('/v1/face/attempts'));
  const minutes = z.int().safeParse(answer?.body.minutes).data;
  return minutes === undefined ? saidBy(answer) : `${answer?.status ?? ''} with ${minutes} min`;
}
