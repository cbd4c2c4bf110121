import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type KeyRotation, keyRotationSchema } from '#contracts';
import { CommandError, EXIT, type Io } from '../command.js';
import { Database } from '../database/database.repository.js';
import { bar } from '../progress.js';

const LOOK_EVERY_MS = 300;
/** Gateways look every two seconds, and a lease of a dead one ends after twenty. */
const TAKEN_UP_MS = 40_000;

const REASONS: Record<NonNullable<KeyRotation['reason']>, string> = {
  no_worker_has_the_key: 'the workers do not all have the newest key: put it into TEMPLATE_KEK of every one',
  too_many_rows_do_not_open: 'too many rows do not open: is a key that they name missing in TEMPLATE_KEK?',
};

/**
 * Asks for a rotation and follows it. This process never sees a key: workers wrap, gateways store. Ending it does not
 * end the rotation; calling it again follows the one that runs.
 */
export async function rotate(o: { json?: boolean; wait: boolean }, io: Io): Promise<void> {
  await Database.with(async (database) => {
    const rows = database.collection<KeyRotation>('key_rotations');
    const running = await rows.findOne({ state: { $eq: 'running' } });
    const rotationId = running?._id ?? randomUUID();
    if (!running) {
      await database.recordAction();
      await rows.insertOne(newRotation(rotationId));
    }
    const find = async (): Promise<KeyRotation> =>
      keyRotationSchema.parse(await rows.findOne({ _id: { $eq: rotationId } }));
    tell(o.wait ? await follow(find, io) : await find(), o, io);
  });
}

async function follow(find: () => Promise<KeyRotation>, io: Io): Promise<KeyRotation> {
  const from = performance.now();
  for (;;) {
    const rotation = await find();
    if (rotation.state !== 'running') return rotation;
    if (rotation.target === null && performance.now() - from > TAKEN_UP_MS) {
      throw new CommandError(
        'no gateway has taken it up, or no worker answers it; it stays queued (countersign doctor says more)',
      );
    }
    io.progress(
      rotation.target === null ? 'waiting for a gateway and a worker' : bar(rotation.moved, rotation.total, 'rows'),
    );
    await sleep(LOOK_EVERY_MS);
  }
}

function tell(rotation: KeyRotation, o: { json?: boolean }, io: Io): void {
  const { state, reason, target, total, moved, unopened } = rotation;
  if (state === 'failed' || unopened > 0) io.exit(EXIT.bad);
  if (o.json) return io.out(JSON.stringify({ state, reason, target, total, moved, unopened }));
  if (state === 'running') return io.out('asked for; "keys rotate" follows it');
  if (reason !== null) return io.out(`FAILED after ${moved} of ${total} rows: ${REASONS[reason]}`);
  io.out(`${moved} rows moved; every row that opens is wrapped by version ${target ?? ''}`);
  if (unopened > 0) io.out(`${unopened} rows do not open under any key of TEMPLATE_KEK: their people must enrol again`);
  else io.out('older keys may leave TEMPLATE_KEK two minutes from now');
}

const newRotation = (_id: string): KeyRotation => ({
  _id,
  requestedAt: new Date(),
  state: 'running',
  reason: null,
  target: null,
  total: 0,
  moved: 0,
  unopened: 0,
  finishedAt: null,
  owner: null,
  leaseUntil: new Date(0),
});
