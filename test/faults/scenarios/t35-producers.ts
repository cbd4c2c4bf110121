import { randomUUID } from 'node:crypto';
import type { Connection } from 'mongoose';
import { createProofSealer, type EventProofs, type StoredEntry } from '#audit-log';
import type { OutboxEvent } from '#contracts';
import { createGuardStore, type GuardDocument } from '#guard';
import { Fleet } from '../harness/fleet.js';
import { countersign } from '../harness/operator.js';
import type { Scenario } from '../harness/scenario.js';
import { inParallel, sleep, until } from '../harness/time.js';

const PRODUCERS = 8;
/** A producer writes into so many outboxes in turn: users have one each. */
const OUTBOXES = 25;
const KILL_EVERY_MS = 4_000;
const REST_MS = 240_000;

/** Appends the event; resolves when the database has acknowledged it. */
type Push = (eventId: string) => Promise<unknown>;

export const producers: Scenario = {
  id: 'T35',
  title: 'Many producers of events, the writer of the log killed and replaced',
  seconds: [300, 60],
  run: (context) =>
    context.row('T35', async () => {
      const each = context.quick ? 500 : 10_000;
      const fleet = await Fleet.start(context, { gateways: 0, workers: 0, audits: 2 });
      try {
        const { database } = fleet;
        const lanes = [
          ...(await Promise.all(Array.from({ length: PRODUCERS / 2 }, () => ofGuards(database, fleet.proofs())))),
          ...Array.from({ length: PRODUCERS / 2 }, (_, i) => ofProcesses(database, `producer-${i}`, fleet.proofs())),
        ];
        const registered = (PRODUCERS / 2) * OUTBOXES;
        const sent: string[] = [];
        let over = false;
        const load = inParallel(lanes, PRODUCERS, async (push) => {
          for (let i = 0; i < each; i++) {
            const eventId = randomUUID();
            await push(eventId);
            sent.push(eventId);
            if (sent.length % 10_000 === 0) context.say(`${sent.length} of ${PRODUCERS * each} events`);
          }
        }).finally(() => (over = true));
        let kills = 0;
        while (!over) {
          await Promise.race([load, sleep(KILL_EVERY_MS)]);
          // The other one takes over, and this one comes back to a log that has gone on.
          if (!over) await (await fleet.replace(`audit-${(kills++ % 2) + 1}`)).back;
        }
        await load;
        for (const name of fleet.names('audit')) await fleet.ready(name);
        const log = database.collection<StoredEntry>('face_auth_events');
        const wanted = sent.length + registered;
        await until('all events in the log', async () => (await log.countDocuments()) >= wanted, REST_MS).catch(
          () => undefined,
        );
        const rows = await log.find({}, { projection: { seq: 1, eventId: 1, prevHash: 1, type: 1 } }).toArray();
        const ids = new Set(rows.map(({ eventId }) => eventId));
        const malformed = rows.filter(({ type }) => type === 'malformed').length;
        const lost = sent.filter((id) => !ids.has(id)).length;
        const gaps = rows.map(({ seq }) => seq).sort((a, b) => a - b).filter((seq, i) => seq !== i).length; // prettier-ignore
        const forks = rows.length - new Set(rows.map(({ prevHash }) => prevHash)).size;
        // A writer that ends signs the rest.
        for (const name of fleet.names('audit')) await fleet.kill(name, 'SIGTERM');
        const [fsck, verify] = [await countersign(fleet, 'audit', 'fsck'), await countersign(fleet, 'audit', 'verify')];
        return {
          id: 'T35',
          scenario: `${PRODUCERS} producers of ${each} events each; one of two writers killed every ${KILL_EVERY_MS / 1000} s`,
          injected: `${sent.length} events, ${kills} writers killed`,
          found: `${lost} lost, ${rows.length - ids.size} twice, ${gaps} gaps, ${forks} forks, ${malformed} malformed; audit fsck exit ${fsck.code}, audit verify exit ${verify.code}`,
          ok:
            rows.length === wanted && ids.size === wanted && lost + gaps + forks + malformed === 0 && kills > 0 && fsck.code === 0 && verify.code === 0,
          trials: sent.length,
        }; // prettier-ignore
      } finally {
        await fleet.stop();
      }
    }),
};

/** A gateway's way: through users' guards, each written to in turn. */
async function ofGuards(database: Connection, proofs: EventProofs): Promise<Push> {
  const collection = database.collection<GuardDocument>('face_guards');
  const guard = createGuardStore({ collection, sealer: createProofSealer(proofs) });
  const users = Array.from({ length: OUTBOXES }, () => randomUUID());
  for (const userId of users)
    await guard.create(userId, { faceRequired: false, event: { eventId: randomUUID(), type: 'registered' } });
  let next = 0;
  return async (eventId) => {
    if (!(await guard.appendEvent(users[next++ % OUTBOXES] ?? '', { eventId, type: 'logout' })))
      throw new Error('a guard did not take an event');
  };
}

/** A process's way: events of nobody, through its own outbox. */
function ofProcesses(database: Connection, name: string, proofs: EventProofs): Push {
  const outboxes = database.collection<{ _id: string; entries: OutboxEvent[]; hasOutbox: boolean }>('system_outboxes');
  let next = 0;
  return (eventId) => {
    const [type, nothing, timestamp] = ['config_changed' as const, { parts: [], tags: [] }, new Date()];
    const proof = proofs.make(null, eventId, { types: [type], fields: { timestamp } }, nothing);
    const entry: OutboxEvent = { eventId, userId: null, type, timestamp, sealed: { ...nothing, proof } };
    return outboxes.updateOne(
      { _id: `${name}-${next++ % OUTBOXES}` },
      { $push: { entries: entry }, $set: { hasOutbox: true } },
      { upsert: true, writeConcern: { w: 'majority', j: true } },
    );
  };
}
