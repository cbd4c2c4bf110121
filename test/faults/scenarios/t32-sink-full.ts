import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { countersign } from '../harness/operator.js';
import { type Attempted, people } from '../harness/people.js';
import type { Scenario } from '../harness/scenario.js';
import { inParallel } from '../harness/time.js';
import { endings, firstOf } from '../harness/words.js';

const REST_MS = 60_000;
const DISK = '64k';
const LOGINS = 40;

export const sinkFull: Scenario = {
  id: 'T32',
  title: 'The disk of the checkpoint file is full',
  seconds: [60, 50],
  run: (context) =>
    context.row('T32', async () => {
      const scenario = `Checkpoints go to a file system of ${DISK}iB that is full`;
      const disk = path.join(context.dir, 'disk');
      fs.mkdirSync(disk, { recursive: true });
      const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', disk]);
      if (mounted.status !== 0) return { id: 'T32', scenario, why: 'this user may not mount a file system' };
      // Lazily: what is still open there must not keep the folder from being removed.
      context.atEnd(() => spawnSync('umount', ['-l', disk]));
      const file = path.join(disk, 'checkpoints.jsonl');
      let fleet: Fleet | undefined;
      try {
        fleet = await Fleet.start(context, { env: { audit: { AUDIT_CHECKPOINT_FILE: file } } });
        const persons = await people(fleet.gateways, 8);
        const attempts: Attempted[] = await inParallel(persons, 8, (device) => device.capture());
        await Ledger.settled(fleet.database, REST_MS);
        const ballast = path.join(disk, 'ballast');
        spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1k']);
        // A checkpoint comes every 256 entries.
        for (let i = 0; i < LOGINS; i++) await inParallel(persons, 8, (device) => device.login());
        attempts.push(...(await inParallel(persons, 8, (device) => device.capture())));
        const during = await Ledger.settled(fleet.database, REST_MS);
        const lost = during.problems(attempts);
        const alerts = fleet
          .log('audit-1')
          .split('\n')
          .filter((line) => line.includes('checkpoint_sink_failed')).length;
        const unpublished = await fleet.database.collection('audit_checkpoints').countDocuments({ published: false });
        fs.rmSync(ballast);
        // The last checkpoint of a process that ends publishes what waits.
        await fleet.kill('audit-1', 'SIGTERM');
        const waiting = await fleet.database.collection('audit_checkpoints').countDocuments({ published: false });
        const verify = await countersign(fleet, 'audit', 'verify');
        return {
          id: 'T32',
          scenario,
          injected: `${LOGINS * persons.length} logins and ${attempts.length} attempts, the disk full in the middle`,
          found: `${lost.length} events lost or doubled; ${alerts} alerts, ${unpublished} checkpoints waited; with room again ${waiting} wait, audit verify exit ${verify.code}; ${endings(attempts)}${firstOf(lost)}`,
          ok: lost.length === 0 && alerts > 0 && unpublished > 0 && waiting === 0 && verify.code === 0,
          trials: attempts.length,
        };
      } finally {
        await fleet?.stop();
      }
    }),
};
