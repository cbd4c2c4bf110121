import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { NOT_ME_COLLECTION } from '#contracts';
import type { Answer } from '#testing';
import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { Device, PASSWORD } from '../harness/people.js';
import type { Scenario } from '../harness/scenario.js';
import { inParallel, sleep, until } from '../harness/time.js';
import { firstOf } from '../harness/words.js';

/** On each side of every call that changes an account, or does what follows from it. */
const POINTS = ['account', 'follows', 'tell', 'event'].flatMap((call) => [`${call}:before`, `${call}:after`]);
const GATEWAYS = 3;
const PEOPLE = 12;
const ROUNDS_MAX = 250;
const REST_MS = 120_000;

interface Account {
  _id: string;
  email: string;
  passwordHash: string;
  credentialEpoch: number;
  mustResetPassword: boolean;
  newEmail: { email: string } | null;
  hasPending?: boolean;
}
/** What a person's trail and mailbox have to say of what became of the account. */
type Told = Record<'passwords' | 'undone' | 'asked', number>;
interface Person {
  device: Device;
  userId: string;
  password: string;
  told: Told;
}

export const accountsKilled: Scenario = {
  id: 'T54',
  title: 'SIGKILL of a gateway between a change of an account and what follows from it',
  seconds: [180, 60],
  run: (context) =>
    context.row('T54', async () => {
      const kills = context.quick ? POINTS.length : 50;
      const env = { gateway: { MAILS_PER_ACCOUNT_PER_HOUR: '10000', MAILS_PER_ACCOUNT_PER_DAY: '10000' } };
      const fleet = await Fleet.start(context, { gateways: GATEWAYS, workers: 0, env });
      const { database } = fleet;
      const users = database.collection<Account>('users');
      const account = async (userId: string): Promise<Account> => {
        const found = await users.findOne({ _id: userId });
        if (!found) throw new Error('an account is gone');
        return found;
      };
      const linkRow = (token: string) => createHash('sha256').update(token).digest('hex');
      const inAnHour = (): Date => new Date(Date.now() + 3_600_000);
      try {
        const persons = await inParallel(Array.from({ length: PEOPLE }), PEOPLE, async (): Promise<Person> => {
          const email = `${randomUUID()}@example.org`;
          const device = new Device(fleet.gateways, email);
          const made = await device.ask((c) => c.post('/v1/auth/register', { email, password: PASSWORD }));
          const told = { passwords: 0, undone: 0, asked: 0 };
          return { device, userId: String(made.body.userId), password: PASSWORD, told };
        });
        const plan = Array.from({ length: kills }, (_, i) => POINTS[i % POINTS.length] ?? '');
        const done: string[] = [];
        const dead = new Set<string>();
        fleet.onPoint(async ({ process, name }) => {
          const at = dead.size < GATEWAYS - 1 && !dead.has(process) ? plan.indexOf(name) : -1;
          if (at < 0) return;
          plan.splice(at, 1);
          done.push(name);
          dead.add(process);
          const { back } = await fleet.replace(process);
          void back.then(() => dead.delete(process));
          if (done.length % 10 === 0) context.say(`${done.length} of ${kills} killed`);
        });

        let [changes, lies] = [0, 0];
        /** One request, and whether the account was changed by it, as the database has it. */
        const change = async (
          person: Person,
          send: () => Promise<Answer | null>,
          isMade: (before: Account, after: Account) => boolean,
        ): Promise<boolean> => {
          const before = await account(person.userId);
          const answer = await send();
          // What a killed process had sent may still arrive.
          if (answer === null) await sleep(500);
          const made = isMade(before, await account(person.userId));
          if (made) changes += 1;
          if (answer && answer.status < 500 && answer.status < 300 !== made) lies += 1;
          return made;
        };
        const passwordIsOther = (before: Account, after: Account): boolean =>
          before.passwordHash !== after.passwordHash;
        const chosen = (): string => randomBytes(12).toString('base64url');
        const login = ({ device, password }: Person): Promise<void> =>
          device
            .ask((c) => c.post('/v1/auth/login', { email: device.email, password }))
            .then(({ body }) => void (device.token = typeof body.token === 'string' ? body.token : null));

        const changed = async (person: Person): Promise<void> => {
          const [currentPassword, newPassword] = [person.password, chosen()];
          const body = { currentPassword, newPassword };
          const send = () => person.device.once((c) => c.put('/v1/auth/password', body));
          if (!(await change(person, send, passwordIsOther))) return;
          Object.assign(person, { password: newPassword });
          person.told.passwords += 1;
        };
        const reset = async (person: Person): Promise<void> => {
          const [token, newPassword] = [randomBytes(32).toString('base64url'), chosen()];
          const { email, credentialEpoch } = await account(person.userId);
          const row = { kind: 'reset_password', userId: person.userId, email, credentialEpoch, expiresAt: inAnHour(), usedAt: null }; // prettier-ignore
          await database.collection<{ _id: string }>('link_tokens').insertOne({ _id: linkRow(token), ...row });
          const send = () =>
            person.device.once((c) => c.post('/v1/auth/password/reset/confirm', { token, newPassword }));
          if (!(await change(person, send, passwordIsOther))) return;
          Object.assign(person, { password: newPassword });
          person.told.passwords += 1;
        };
        const undone = async (person: Person): Promise<void> => {
          const token = randomBytes(32).toString('base64url');
          const row = { userId: person.userId, template: 'password_changed', createdAt: new Date(), expireAt: inAnHour() }; // prettier-ignore
          await database.collection<{ _id: string }>(NOT_ME_COLLECTION).insertOne({ _id: linkRow(token), ...row });
          const send = () => person.device.once((c) => c.post('/v1/security/not-me', { token }));
          const isMade = (before: Account, after: Account): boolean => before.credentialEpoch !== after.credentialEpoch;
          if (await change(person, send, isMade)) person.told.undone += 1;
          // Nobody signs in before; a reset that was killed is asked for again.
          while ((await account(person.userId)).mustResetPassword) await reset(person);
        };
        const asked = async (person: Person): Promise<void> => {
          const newEmail = `${randomUUID()}@example.org`;
          const body = { newEmail, currentPassword: person.password };
          const send = () => person.device.once((c) => c.post('/v1/auth/email/change', body));
          if (await change(person, send, (_, after) => after.newEmail?.email === newEmail)) person.told.asked += 1;
        };

        const acts = [changed, asked, reset, undone];
        for (let round = 0; plan.length > 0 && round < ROUNDS_MAX; round++)
          await inParallel(persons, PEOPLE, async (person) => {
            await login(person);
            await acts[round % acts.length]?.(person);
          });
        fleet.onPoint();
        await until('nothing of a change waits', async () => (await users.countDocuments({ hasPending: true })) === 0, REST_MS).catch(() => undefined); // prettier-ignore
        const ledger = await Ledger.settled(database, REST_MS);
        const problems: string[] = [];
        for (const { userId, told } of persons) {
          const events = ledger.events.get(userId) ?? [];
          const mails = await database.collection<{ template: string }>('mails').find({ userId }).toArray();
          const found: Record<string, [number, number]> = {
            password_changed: [events.filter(({ type }) => type === 'password_changed').length, told.passwords],
            not_me: [events.filter(({ type, detail }) => type === 'session_ended' && detail?.by === 'not_me').length, told.undone],
            email_change_asked: [events.filter(({ type }) => type === 'email_change_asked').length, told.asked],
            'mail password_changed': [mails.filter(({ template }) => template === 'password_changed').length, told.passwords],
            'mail email_change_notice': [mails.filter(({ template }) => template === 'email_change_notice').length, told.asked],
          }; // prettier-ignore
          for (const [what, [is, should]] of Object.entries(found))
            if (is !== should) problems.push(`${userId}: ${what} ${is} times, not ${should}`);
        }
        const malformed = ledger.count('malformed');
        return {
          id: 'T54',
          scenario:
            'SIGKILL of a gateway before and after the update of an account and each thing that follows from it: passwords changed and reset, "this was not me", addresses asked for',
          injected: `${done.length} kills at ${new Set(done).size} points over ${changes} changes of ${PEOPLE} people, ${GATEWAYS} gateways`,
          found: `${problems.length} people's changes without their event or mail, or with two; ${lies} answers that claim the opposite of what is stored; ${malformed} malformed events${firstOf(problems)}`,
          ok: plan.length === 0 && problems.length === 0 && lies === 0 && malformed === 0 && changes > done.length,
          trials: done.length,
        };
      } finally {
        await fleet.stop();
      }
    }),
};
