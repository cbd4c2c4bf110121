import type { ParsedMail } from 'mailparser';
import { Fleet } from '../harness/fleet.js';
import { Ledger } from '../harness/ledger.js';
import { mailsOf } from '../harness/mails.js';
import { type Attempted, people } from '../harness/people.js';
import type { Finding, Scenario } from '../harness/scenario.js';
import { inParallel, sleep, until } from '../harness/time.js';
import { endings, firstOf } from '../harness/words.js';

const DOWN_MS = 15_000;
/** Of each packet, each way: a conversation takes a dozen. */
const LATENCY_MS = 1_000;
/** From the last step's upload to being told of the lock: far below what waiting for the mail would take. */
const TOLD_MS = 5_000;
/** A mail in the hands of a process that died is another's after 90 s; then what waits longest has its turn. */
const SENT_MS = 240_000;
const REST_MS = 60_000;
const CRASHES = 3;

export const mail: Scenario = {
  id: 'T14',
  title: 'Mail server down, slow; the sender killed with mails in its hands',
  seconds: [200, 150],
  run: async (context) => {
    const fleet = await Fleet.start(context, { workers: 2, proxied: ['audit'] });
    const { smtp } = fleet.proxies;
    const count = context.quick ? 6 : 20;
    try {
      await context.row('T14 down', () =>
        locks(fleet, 'T14 down', `Mail server down while ${count} faces are locked`, count, {
          before: () => smtp.cut(),
          after: async () => {
            await sleep(DOWN_MS);
            await smtp.open();
          },
          crashes: 0,
        }),
      );
      await context.row('T14 slow', () =>
        locks(fleet, 'T14 slow', `Mail server slow, and the sender killed ${CRASHES} times meanwhile`, count, {
          before: () => void (smtp.latencyMs = LATENCY_MS),
          after: async () => {
            for (let i = 0; i < CRASHES; i++) {
              await sleep(3_000);
              await (
                await fleet.replace('audit-1')
              ).back;
            }
          },
          crashes: CRASHES,
        }),
      );
    } finally {
      await fleet.stop();
    }
  },
};

interface Fault {
  before: () => void | Promise<void>;
  after: () => Promise<void>;
  crashes: number;
}

/** Locks everybody's face while mail cannot be sent, and counts what arrives in the end. */
async function locks(fleet: Fleet, id: string, scenario: string, count: number, fault: Fault): Promise<Finding> {
  const persons = await people(fleet.gateways, count);
  await fault.before();
  const attempts: Attempted[] = [];
  await inParallel(persons, 6, async (device) => {
    for (let i = 0; i < 3; i++) attempts.push(await device.capture({ person: 'stranger' }));
  });
  await fault.after();
  const arrived = async (): Promise<ParsedMail[][]> => mailsOf(fleet, persons, 'locked');
  await until('a mail for everybody', async () => (await arrived()).every((mails) => mails.length > 0), SENT_MS).catch(() => undefined); // prettier-ignore
  const waiting = (): Promise<number> => fleet.database.collection('mails').countDocuments({ state: 'waiting' });
  await until('all mails noted as sent', async () => (await waiting()) === 0, SENT_MS).catch(() => undefined);
  const mails = await arrived();
  const ledger = await Ledger.settled(fleet.database, REST_MS);
  const problems = ledger.problems(attempts);
  const told = attempts.filter(({ status }) => status === 'locked').map(({ decidedMs }) => decidedMs);
  const lost = mails.filter((own) => own.length === 0).length;
  const again = mails.reduce((sum, own) => sum + Math.max(0, own.length - 1), 0);
  const ids = mails.filter((own) => new Set(own.map(({ messageId }) => messageId)).size > 1).length;
  return {
    id,
    scenario,
    injected: `${told.length} locks of ${count} people, ${fault.crashes} kills`,
    found: `${lost} without a mail, ${again} mails twice with the same Message-ID, ${ids} with another; told of the lock at most ${(Math.max(...told) / 1000).toFixed(1)} s after the last step (bar ${TOLD_MS / 1000}); ${endings(attempts)}${firstOf(problems)}`,
    // A crash may come between the server's yes and the note of it, for each mail that was in hand.
    ok: told.length === count && lost === 0 && ids === 0 && mails.every((own) => own.length <= 1 + fault.crashes) && (fault.crashes > 0 || again === 0) && Math.max(...told) <= TOLD_MS && problems.length === 0,
    trials: count,
  }; // prettier-ignore
}
