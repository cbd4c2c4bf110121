import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { StoredCheckpoint } from '#audit-log';
import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { countersign } from '../harness/operator.js';
import { type Attempted, people } from '../harness/people.js';
import type { Context, Finding, Scenario, Skipped } from '../harness/scenario.js';
import { inParallel } from '../harness/time.js';
import { endings, firstOf } from '../harness/words.js';

const REST_MS = 120_000;
/** One in so many points kills: a writer must get somewhere between two deaths. */
const SPARED = 8;
const ROUNDS_MAX = 100;

export const auditKilled: Scenario = {
  id: 'T33',
  title: 'SIGKILL of the audit writer between any two database calls; faults of its sink',
  seconds: [150, 60],
  run: async (context) => {
    await context.row('T33', () => killed(context));
    await context.row('T33 sink', () => faultySink(context));
  },
};

async function killed(context: Context): Promise<Finding> {
  const kills = context.quick ? 8 : 40;
  const fleet = await Fleet.start({ ...context, dir: `${context.dir}/killed` }, { audits: 2, probedAudit: true });
  try {
    const persons = await people(fleet.gateways, 8);
    const hits = new Map<string, number>();
    const dead = new Set<string>();
    let [seen, done] = [0, 0];
    fleet.onPoint(async ({ process, name }) => {
      // A point that is new at once; of the others none much more often than the rest.
      if (!process.startsWith('audit') || dead.size > 0 || done >= kills) return;
      const share = Math.ceil(kills / hits.size);
      if (hits.has(name) && (++seen % SPARED !== 0 || (hits.get(name) ?? 0) > share)) return;
      hits.set(name, (hits.get(name) ?? 0) + 1);
      done += 1;
      dead.add(process);
      const { back } = await fleet.replace(process);
      void back.then(() => dead.delete(process));
      if (done % 10 === 0) context.say(`${done} of ${kills} killed`);
    });
    const attempts: Attempted[] = [];
    for (let round = 0; done < kills && round < ROUNDS_MAX; round++)
      attempts.push(
        ...(await inParallel(persons, persons.length, (device) =>
          device.capture(round % 2 ? { person: 'stranger' } : {}),
        )),
      );
    fleet.onPoint();
    for (const name of fleet.names('audit')) await fleet.ready(name).catch(() => undefined);
    const ledger = await Ledger.settled(fleet.database, REST_MS);
    const problems = ledger.problems(attempts);
    const fsck = await countersign(fleet, 'audit', 'fsck');
    return {
      id: 'T33',
      scenario: 'SIGKILL of one of two audit writers before and after each kind of write',
      injected: `${done} kills at ${hits.size} points, ${attempts.length} attempts meanwhile`,
      found: `audit fsck ${fsck.code === 0 ? 'clean' : `NOT clean (${fsck.output.slice(0, 200)})`}; ${problems.length} events lost or doubled; ${endings(attempts)}${firstOf(problems)}`,
      ok: done >= kills && fsck.code === 0 && problems.length === 0,
      trials: done,
    };
  } finally {
    await fleet.stop();
  }
}

/** The calls by which a checkpoint gets onto a disk, in their order, and what each answers. */
const FAULTS = ['openat:error=EIO', 'statx:error=EIO', 'pread64:error=EIO', 'write:error=ENOSPC', 'fsync:error=EIO', 'close:error=EIO']; // prettier-ignore
const SINK = 'Each system call on the checkpoint file fails (strace)';

/** Each in a writer that is stopped, and so writes its last checkpoint; the last one has a sound disk again. */
async function faultySink(context: Context): Promise<Finding | Skipped> {
  if (spawnSync('strace', ['-V']).status !== 0) return { id: 'T33 sink', scenario: SINK, why: 'no strace' };
  const faults = context.quick ? FAULTS.slice(0, 2) : FAULTS;
  const fleet = await Fleet.start({ ...context, dir: `${context.dir}/sink` });
  const checkpoints = fleet.database.collection<StoredCheckpoint>('audit_checkpoints');
  const waiting = (): Promise<number> => checkpoints.countDocuments({ published: false });
  const file = path.join(fleet.dir, 'checkpoints.jsonl');
  const { spec } = fleet.of('audit-1');
  const { command, args } = spec;
  try {
    const persons = await people(fleet.gateways, 6);
    const attempts: Attempted[] = [];
    const felt: string[] = [];
    let injected = 0;
    for (const fault of faults) {
      await fleet.kill('audit-1', 'SIGTERM');
      const [call = ''] = fault.split(':');
      const trace = path.join(fleet.dir, `strace-${call}`);
      // With -D the process is its own and gets its signals; a tracer that is the parent keeps a SIGTERM to itself.
      spec.command = 'strace';
      spec.args = ['-D', '-f', '-qq', '-o', trace, '-P', file, '-e', `trace=${call}`, '-e', `inject=${fault}`, command, ...args]; // prettier-ignore
      await fleet.start('audit-1');
      attempts.push(...(await inParallel(persons, persons.length, (device) => device.capture())));
      await Ledger.settled(fleet.database, REST_MS);
      await fleet.kill('audit-1', 'SIGTERM');
      const times = readFileSync(trace, 'utf8').split('(INJECTED)').length - 1;
      injected += times;
      if (times > 0 && (await waiting()) > 0) felt.push(fault);
      context.say(`${fault}: ${times} times, ${await waiting()} checkpoints wait`);
      Object.assign(spec, { command, args });
      await fleet.start('audit-1');
    }
    const ledger = await Ledger.settled(fleet.database, REST_MS);
    const problems = ledger.problems(attempts);
    await fleet.kill('audit-1', 'SIGTERM');
    const outside = readFileSync(file, 'utf8');
    const signed = await checkpoints.find().toArray();
    const missing = signed.filter(({ note }) => !outside.includes(JSON.stringify(note))).length;
    const [fsck, verify] = [await countersign(fleet, 'audit', 'fsck'), await countersign(fleet, 'audit', 'verify')];
    return {
      id: 'T33 sink',
      scenario: SINK,
      injected: `${faults.join(', ')}: ${injected} calls failed, ${attempts.length} attempts meanwhile`,
      found: `${felt.length} of ${faults.length} kept the checkpoint waiting; on a sound disk ${await waiting()} wait and ${missing} of ${signed.length} are not in the file; audit fsck exit ${fsck.code}, audit verify exit ${verify.code}; ${problems.length} events lost or doubled; ${endings(attempts)}${firstOf(problems)}`,
      ok: felt.length === faults.length && (await waiting()) === 0 && missing === 0 && signed.length > faults.length && fsck.code === 0 && verify.code === 0 && problems.length === 0,
      trials: injected,
    }; // prettier-ignore
  } finally {
    await fleet.stop();
  }
}
