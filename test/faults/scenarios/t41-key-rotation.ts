import { randomBytes, randomUUID } from 'node:crypto';
import type { KeyRotation } from '#contracts';
import { LocalKeks } from '../../../apps/inference/src/keys/local-keks.js';
import { sealTemplate } from '../../../apps/inference/src/template/template.js';
import { Fleet } from '../harness/fleet.js';
import { countersign } from '../harness/operator.js';
import { type Attempted, type Device, people } from '../harness/people.js';
import type { Context, Finding, Scenario } from '../harness/scenario.js';
import { inParallel, sleep } from '../harness/time.js';
import { endings } from '../harness/words.js';

const KILLS = 10;
const PEOPLE = 8;
const LOOK_MS = 20;
const BATCH = 500;
const WORKERS = ['inference-1', 'inference-2'];
/** Each an equal part of the way after the one before: gateways ask and store, workers wrap. */
const VICTIMS = ['gateway-1', 'inference-1', 'gateway-2', 'inference-2'];
/** What a person with the right face may be told by a fleet that is being killed, but for a verdict on the face. */
const FAILED = /not_verified|locked|re_enrolment|retry/;

const OLD = randomBytes(32);
const NEXT = randomBytes(32);
const text = (name: string, bytes: Buffer): string => `${name}:${bytes.toString('base64url')}`;
const BEFORE = text('first', OLD);
const AFTER = text('second', NEXT);

export const keyRotation: Scenario = {
  id: 'T41',
  title: 'Keys of the templates are changed under load, with SIGKILL at ten points',
  seconds: [240, 150],
  run: async (context) => {
    const env = { inference: { TEMPLATE_KEK: BEFORE } };
    const fleet = await Fleet.start(context, { gateways: 2, workers: WORKERS.length, env });
    try {
      await context.row('T41', () => rotate(fleet, context));
    } finally {
      await fleet.stop();
    }
  },
};

async function rotate(fleet: Fleet, { quick, say }: Context): Promise<Finding> {
  const persons = await people(fleet.gateways, PEOPLE);
  await fill(fleet, quick ? 3_000 : 20_000);
  const rows = await templates(fleet).countDocuments();
  await giveKeys(fleet, `${AFTER},${BEFORE}`);
  say(`${rows} templates under the old key, ${PEOPLE} of them of people who will go on verifying`);

  let isDone = false;
  const load = inParallel(persons, PEOPLE, async (device) => {
    const attempts: Attempted[] = [];
    while (!isDone) attempts.push(await device.capture());
    return attempts;
  });
  const command = countersign(fleet, 'keys', 'rotate', '--json').finally(() => (isDone = true));
  const owners = new Set<string>();
  let killed = 0;
  while (!isDone) {
    const { moved, owner } = await rotation(fleet);
    if (owner) owners.add(owner);
    const victim = VICTIMS[killed % VICTIMS.length] ?? '';
    if (killed < KILLS && moved >= ((killed + 1) * rows) / (KILLS + 1) && fleet.of(victim).running) {
      killed += 1;
      say(`${victim} killed at ${moved} of ${rows}`);
      await fleet.replace(victim);
    }
    await sleep(LOOK_MS);
  }
  const { code, output } = await command;
  const attempts = (await load).flat();
  for (const name of [...WORKERS, ...fleet.names('gateway')]) await fleet.ready(name);

  const target = await new LocalKeks([{ id: 'second', bytes: NEXT }]).newest();
  const left = await templates(fleet).countDocuments({ keyVersion: { $ne: target } });
  await giveKeys(fleet, AFTER);
  const alone = await inParallel(persons, PEOPLE, verified);
  const failed = attempts.filter(({ status }) => FAILED.test(status));
  const unverified = alone.filter((status) => status !== 'verified');
  return {
    id: 'T41',
    scenario: 'All template keys are wrapped anew by `countersign keys rotate` while people verify',
    injected: `${rows} templates, ${killed} kills of gateways and workers at equal parts of the way; ${attempts.length} attempts meanwhile`,
    found: `exit code ${code}${code === 0 ? '' : ` (${output.slice(-120)})`}, ${owners.size} gateways had it in hand; ${rows - left} of ${rows} on the new version; attempts ${endings(attempts)}, ${failed.length} failed; without the old key ${alone.length - unverified.length} of ${alone.length} verified`,
    ok: code === 0 && killed === KILLS && left === 0 && failed.length === 0 && unverified.length === 0,
    trials: attempts.length,
  };
}

/** Once more where a busy machine missed a window: a face that does not open never verifies. */
async function verified(device: Device): Promise<string> {
  const { status } = await device.capture();
  return status === 'verified' ? status : (await device.capture()).status;
}

const templates = (fleet: Fleet) => fleet.database.collection('face_templates');

async function rotation(fleet: Fleet): Promise<{ moved: number; owner: string | null }> {
  const row = await fleet.database.collection<KeyRotation>('key_rotations').findOne({});
  return { moved: row?.moved ?? 0, owner: row?.owner ?? null };
}

/** Templates of nobody, sealed as a worker seals them, so that there is a way on which to be killed. */
async function fill(fleet: Fleet, count: number): Promise<void> {
  const keks = new LocalKeks([{ id: 'first', bytes: OLD }]);
  const face = Float32Array.from({ length: 8 }, (_, i) => i);
  for (let made = 0; made < count; made += BATCH) {
    const sealed = await Promise.all(
      Array.from({ length: BATCH }, () =>
        sealTemplate(keks, { userId: randomUUID(), templateId: randomUUID(), modelDigest: 'none' }, face),
      ),
    );
    const rows = sealed.map(({ templateId, ...rest }) => ({ ...rest, _id: templateId, createdAt: new Date() }));
    await fleet.database.collection<{ _id: string }>('face_templates').insertMany(rows);
  }
}

/** Workers are started anew, one after the other, with these keys. */
async function giveKeys(fleet: Fleet, keys: string): Promise<void> {
  for (const name of WORKERS) {
    fleet.of(name).spec.env.TEMPLATE_KEK = keys;
    await fleet.kill(name, 'SIGTERM');
    await fleet.start(name);
  }
}
