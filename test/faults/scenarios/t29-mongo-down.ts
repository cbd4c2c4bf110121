import { Fleet } from '../harness/fleet.js';
import { type Outage, outage } from '../harness/outage.js';
import type { Scenario } from '../harness/scenario.js';

const REFUSED_MS = 2_000;
const BACK_MS = 15_000;
const LATENCY_MS = 2_000;

export const mongoDown: Scenario = {
  id: 'T29',
  title: 'MongoDB down for a minute, slow, half-open',
  seconds: [240, 110],
  run: async (context) => {
    const fleet = await Fleet.start(context, {
      proxied: ['gateway', 'audit'],
      // As shipped: an empty variable is an unset one.
      env: { gateway: { MONGODB_WAIT_MS: '' } },
    });
    const { mongo } = fleet.proxies;
    const [long, short] = context.quick ? [8_000, 8_000] : [60_000, 30_000];
    const bars = { refusedWithinMs: REFUSED_MS, backWithinMs: BACK_MS };
    const outages: Outage[] = [
      { id: 'T29', scenario: 'MongoDB down: every connection reset, new ones refused', down: () => mongo.cut(), up: () => mongo.open(), ms: long, ...bars },
      { id: 'T29 slow', scenario: 'MongoDB answers 4 s late', down: () => void (mongo.latencyMs = LATENCY_MS), up: () => void (mongo.latencyMs = 0), ms: short, ...bars },
      { id: 'T29 half-open', scenario: 'The network swallows all that goes to MongoDB and comes from it', down: () => mongo.hold(), up: () => mongo.release(), ms: short, ...bars },
    ]; // prettier-ignore
    try {
      for (const one of outages) await context.row(one.id, () => outage(fleet, one));
      const members = await membersOf(fleet);
      if (members < 2)
        await context.row('T29 step-down', () =>
          Promise.resolve({
            id: 'T29 step-down',
            scenario: 'The primary steps down',
            why: `the database here has ${members} member`,
          }),
        );
    } finally {
      await fleet.stop();
    }
  },
};

async function membersOf(fleet: Fleet): Promise<number> {
  const hello = await fleet.database.getClient().db('admin').command({ hello: 1 });
  return Array.isArray(hello.hosts) ? hello.hosts.length : 1;
}
