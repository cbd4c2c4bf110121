import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ServiceClientStore } from '#service-clients';
import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { mailsOf } from '../harness/mails.js';
import { anotherSession, type Device, PASSWORD, people, saidBy } from '../harness/people.js';
import type { Context, Finding, Scenario } from '../harness/scenario.js';
import { inParallel, sleep, until } from '../harness/time.js';
import { firstOf, tally } from '../harness/words.js';

/** Longer than appendfsync everysec may keep anything back. */
const FLUSHED_MS = 1_500;
const REST_MS = 120_000;
const MAILED_MS = 60_000;
/** A line of its own. */
const CODE = /^ *([2-9A-Z]{4}-?[2-9A-Z]{4}) *$/m;
const NEW_PASSWORD = 'another horse, another battery';

export const redisTail: Scenario = {
  id: 'T25',
  title: 'Redis loses the last second, or gets an old copy back',
  seconds: [60, 40],
  run: async (context) => {
    for (const how of ['tail', 'copy'] as const) await context.row(`T25 ${how}`, () => lose(context, how));
  },
};

/**
 * What ended in the part that is lost must stay ended: logout, password change, a used code, the token before a step-up; and
 * what a relying application was given for such a session.
 */
async function lose(context: Context, how: 'tail' | 'copy'): Promise<Finding> {
  const each = context.quick ? 3 : 10;
  const fleet = await Fleet.start({ ...context, dir: `${context.dir}/${how}` });
  try {
    const [leaving, changing, recovering, raising] = [await people(fleet.gateways, each), await people(fleet.gateways, each, { enrolled: false }), await people(fleet.gateways, each, { enrolled: false }), await people(fleet.gateways, each)]; // prettier-ignore
    const codes = await mailedCodes(fleet, recovering);
    const others = await inParallel(changing, each, (device) => anotherSession(fleet.gateways, device));
    const bank = await relyingApp(fleet);
    const given = await inParallel([...leaving, ...others], 2 * each, bank.tokenFor);
    const heldBefore = await inParallel(raising, each, bank.tokenFor);
    await sleep(FLUSHED_MS);
    const folder = path.join(fleet.dir, 'redis', 'appendonlydir');
    const saved = save(folder);

    await inParallel(leaving, each, (device) => device.ask((client) => client.post('/v1/auth/logout')));
    const changes = await inParallel(changing, each, (device) =>
      device.ask((client) => client.put('/v1/auth/password', { currentPassword: PASSWORD, newPassword: NEW_PASSWORD })),
    );
    const uses = await inParallel(recovering, each, (device, i) => use(device, codes[i]));
    const before = raising.map(({ token }) => token);
    const attempts = await inParallel(raising, each, (device) => device.capture());

    await fleet.redis.process.kill('SIGKILL');
    restore(folder, saved, how);
    await fleet.redis.start();
    await fleet.ready('gateway-1');

    const dead = [...leaving, ...others];
    // Before anybody comes with the tokens of these sessions themselves, by which they are found out and dropped.
    const told = await inParallel(given, each, bank.ask);
    const toldOfRaised = await inParallel(heldBefore, each, bank.ask);
    const revived = await inParallel(dead, each, rights);
    // A token from before a step-up is at the level it had: what must not come back is the raised one.
    const old = await inParallel(raising, each, async (device, i) => {
      device.token = before[i] ?? null;
      return rights(device);
    });
    // Redis has the session again as it was before the code was used.
    const again = await inParallel(recovering, each, (device, i) => use(device, codes[i]));
    const ledger = await Ledger.settled(fleet.database, REST_MS);
    const problems = ledger.problems(attempts);
    const bad = [
      ...again.filter((answer) => answer !== '400 code_invalid'),
      ...revived.filter((right) => right !== '401'),
      ...old.filter((right) => right.includes('face')),
      ...told.filter((right) => right !== 'inactive'),
      ...toldOfRaised.filter((right) => right.includes('face')),
    ];
    return {
      id: `T25 ${how}`,
      scenario:
        how === 'tail'
          ? 'The append-only file loses what was written after a moment'
          : 'An old copy of the append-only files is put back',
      injected: `${each} logouts, ${changes.filter(({ status }) => status === 204).length} password changes, ${uses.filter((answer) => answer === '200').length} codes used, ${attempts.filter(({ granted }) => granted).length} step-ups (of ${each} each) in the lost part`,
      found: `ended sessions answer ${tally(revived)}; used codes ${tally(again)}; tokens from before a step-up ${tally(old)}; applications are told of ended sessions ${tally(told)}, of the others ${tally(toldOfRaised)}; ${bad.length} rights revived; ${problems.length} events lost or doubled${firstOf(problems)}`,
      ok:
        bad.length === 0 &&
        problems.length === 0 &&
        uses.every((answer) => answer === '200') &&
        changes.every(({ status }) => status === 204) &&
        attempts.every(({ granted }) => granted),
      trials: revived.length + old.length + again.length + told.length + toldOfRaised.length,
    };
  } finally {
    await fleet.stop();
  }
}

/** What a session may still do: its level, or that there is none. */
async function rights(device: Device): Promise<string> {
  const answer = await device.ask((client) => client.get('/v1/auth/session'));
  return answer.status === 200 ? String(answer.body.acr) : String(answer.status);
}

/** A relying application: it has tokens made for it, and asks what they are worth. */
async function relyingApp(fleet: Fleet) {
  const clients = new ServiceClientStore(fleet.database.collection('service_clients') as never);
  const made = await clients.create('bank', ['introspect']);
  const { clientId } = z.object({ clientId: z.uuid() }).parse(made?.client);
  const authorization = `Basic ${Buffer.from(`${clientId}:${made?.secret}`).toString('base64')}`;
  return {
    tokenFor: async (device: Device): Promise<string> => {
      const { body } = await device.ask((client) => client.post('/v1/sessions/tokens', { clientId }));
      return z.string().parse(body.token);
    },
    ask: async (token: string): Promise<string> => {
      const answer = await fetch(`${fleet.gateways[0]}/v1/sessions/introspect`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ token }),
      });
      const { active, acr } = (await answer.json()) as { active?: boolean; acr?: string };
      return active === undefined ? String(answer.status) : active ? String(acr) : 'inactive';
    },
  };
}

/** A recovery code for each, as it came by mail. The address counts as verified, as if its link had been followed. */
async function mailedCodes(fleet: Fleet, persons: readonly Device[]): Promise<string[]> {
  await fleet.database.collection('users').updateMany({}, { $set: { emailVerified: true } });
  await inParallel(persons, persons.length, (device) => device.ask((client) => client.post('/v1/recovery/codes')));
  let codes: string[] = [];
  await until('a code for everybody', async () => {
    const mails = await mailsOf(fleet, persons, 'recovery code');
    codes = mails.map(([own]) => CODE.exec(own?.text ?? '')?.[1] ?? '');
    return codes.every((code) => code !== '');
  }, MAILED_MS); // prettier-ignore
  return codes;
}

/** With the token from before, which a lost tail brings back. */
const use = async (device: Device, code = ''): Promise<string> =>
  saidBy(await device.ask((client) => client.post('/v1/recovery/verify', { code })));

type Saved = Map<string, Buffer>;

const save = (folder: string): Saved =>
  new Map(fs.readdirSync(folder).map((file) => [file, fs.readFileSync(path.join(folder, file))]));

function restore(folder: string, saved: Saved, how: 'tail' | 'copy'): void {
  if (how === 'copy') {
    fs.rmSync(folder, { recursive: true });
    fs.mkdirSync(folder, { mode: 0o700 });
    for (const [file, bytes] of saved) fs.writeFileSync(path.join(folder, file), bytes);
    return;
  }
  for (const [file, bytes] of saved)
    if (file.endsWith('.incr.aof')) fs.truncateSync(path.join(folder, file), bytes.length);
}
