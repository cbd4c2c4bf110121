import { Fleet } from '../harness/fleet.js';
import { outage } from '../harness/outage.js';
import type { Scenario } from '../harness/scenario.js';

const REFUSED_MS = 1_000;
const BACK_MS = 10_000;

export const redisDown: Scenario = {
  id: 'T27',
  title: 'Redis down for a minute',
  seconds: [100, 45],
  run: (context) =>
    context.row('T27', async () => {
      const fleet = await Fleet.start(context, { proxied: ['gateway', 'inference', 'audit'] });
      const { redis, blobs } = fleet.proxies;
      try {
        return [
          await outage(fleet, {
            id: 'T27',
            scenario: 'Both Redis down: every connection reset, new ones refused',
            down: async () => void (await Promise.all([redis.cut(), blobs.cut()])),
            up: async () => void (await Promise.all([redis.open(), blobs.open()])),
            ms: context.quick ? 10_000 : 60_000,
            refusedWithinMs: REFUSED_MS,
            backWithinMs: BACK_MS,
          }),
        ];
      } finally {
        await fleet.stop();
      }
    }),
};
