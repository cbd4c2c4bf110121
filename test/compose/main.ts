// The test of a running installation from outside it: over the network, by BASE_URL and MAIL_URL, and nothing else.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { ApiClient, Media, performCapture, RecordedPerson } from '#testing';
import { Mails } from './mails.js';

const PASSWORD = 'nine lanterns over the harbour';
const HELP = `docker compose --profile test run --rm tests [COMMAND]

Tests a running installation from outside: BASE_URL names the proxy or a gateway, MAIL_URL the catcher of mails.

  (nothing)                        registers a person by a mailed link, enrols, verifies, refuses another face
  attempts --people N --rounds N   people verify, all at once, a number of times; prints what became of it as JSON
  requests --seconds N             asks without pause, on four connections; prints how many failed as JSON

Exit 0: all as it should be. 1: something is not. 2: called wrongly.`;

const eventsSchema = z.looseObject({ events: z.array(z.looseObject({ type: z.string() })) });
const media = new Media(path.resolve('test/media'));
const baseUrl = variable('BASE_URL');
const mails = new Mails(variable('MAIL_URL'));

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set`);
  return value;
}

function step(what: string, got: unknown, wanted: unknown): void {
  if (got !== wanted) throw new Error(`${what}: NO (${JSON.stringify(got)} instead of ${JSON.stringify(wanted)})`);
  console.error(`ok  ${what}`);
}

/** A new account with a face, as a production installation makes one: the mailed link sets the password. */
async function newPerson(footage: string, name: string): Promise<{ client: ApiClient; email: string }> {
  const client = new ApiClient(baseUrl, 'Pixel 9');
  const email = `${name}-${process.pid}-${Date.now()}@example.org`;
  step(`${name}: registered`, (await client.post('/v1/auth/register', { email })).status, 201);
  const token = await mails.token(email, 'finish-registration');
  const finished = await client.post('/v1/auth/register/finish', { token, newPassword: PASSWORD });
  step(`${name}: the mailed link sets the password`, finished.status, 200);
  client.token = String(finished.body.token);
  const { version, textSha256 } = (await client.get('/v1/face/consent')).body;
  step(`${name}: consent given`, (await client.put('/v1/face/consent', { version, textSha256 })).status, 200);
  // Of the other man there is no footage that smiles.
  const preferences = { optOuts: ['smile'], extraTime: false };
  step(`${name}: gestures chosen`, (await client.put('/v1/face/preferences', preferences)).status, 200);
  step(`${name}: the face is enrolled`, await capture(client, footage, 'enrolments'), 'enrolled');
  return { client, email };
}

async function capture(client: ApiClient, footage: string, route: 'enrolments' | 'attempts'): Promise<unknown> {
  const { begin, uploads, end } = await performCapture(client, new RecordedPerson(media, footage, Date.now()), route);
  return end?.body.status ?? (uploads.at(-1) ?? begin).body.code ?? (uploads.at(-1) ?? begin).status;
}

async function story(): Promise<void> {
  const { client, email } = await newPerson('franck', 'ada');
  step('the password opens a session', (await client.login(email, PASSWORD)).status, 200);
  step('the same face is verified', await capture(client, 'franck', 'attempts'), 'verified');
  const session = await client.get('/v1/auth/session');
  step('the session is at the face', session.body.acr, 'urn:countersign:pwd+face');
  step('another face is not', await capture(client, 'cap', 'attempts'), 'not_verified');
  step('the events are read back', (await client.get('/v1/security/events')).status, 200);
}

/** People who verify while something is done to the installation. What became of each attempt, and what they were charged. */
async function attempts(people: number, rounds: number): Promise<unknown> {
  const all: { client: ApiClient; email: string }[] = [];
  for (let i = 0; i < people; i++) all.push(await newPerson('franck', `person-${i}`));
  console.error('attempts begin');
  const outcomes: Record<string, number> = {};
  const one = async ({ client }: { client: ApiClient }): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const outcome = await capture(client, 'franck', 'attempts').catch((error: unknown) => `no answer (${error instanceof Error ? error.message : ''})`); // prettier-ignore
      outcomes[String(outcome)] = (outcomes[String(outcome)] ?? 0) + 1;
      if (outcome !== 'verified') await sleep(2000);
    }
  };
  await Promise.all(all.map(one));
  let [charged, verifiedAfterwards] = [0, 0];
  for (const { client, email } of all) {
    step('the password still opens a session', (await client.login(email, PASSWORD)).status, 200);
    if ((await capture(client, 'franck', 'attempts')) === 'verified') verifiedAfterwards++;
    const { body } = await client.get('/v1/security/events');
    charged += eventsSchema.parse(body).events.filter(({ type }) => type === 'failed' || type === 'locked').length;
  }
  return { people, rounds, outcomes, charged, verifiedAfterwards };
}

/** Asks for what a session may read, on connections that are kept, and begins sessions: nothing may fail. */
async function requests(seconds: number): Promise<unknown> {
  const { client, email } = await newPerson('franck', 'ada');
  console.error('requests begin');
  const end = performance.now() + seconds * 1000;
  let asked = 0;
  const failed: string[] = [];
  const lane = async (): Promise<void> => {
    while (performance.now() < end) {
      const answer = await client.get('/v1/auth/session').catch((error: unknown) => ({ status: error instanceof Error ? `${error.message} ${String(error.cause)}` : 0 })); // prettier-ignore
      asked++;
      if (answer.status !== 200) failed.push(`${new Date().toISOString()} ${String(answer.status)}`);
      await sleep(25);
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  step('the password opens a session', (await client.login(email, PASSWORD)).status, 200);
  return { asked, failed: failed.length, first: failed.slice(0, 5) };
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      people: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '2' },
      seconds: { type: 'string', default: '30' },
      help: { type: 'boolean', default: false },
    },
  });
  const [people, rounds, seconds] = [values.people, values.rounds, values.seconds].map(Number) as [number, number, number]; // prettier-ignore
  const [command] = positionals;
  if (values.help) console.log(HELP);
  else if (![people, rounds, seconds].every((n) => Number.isInteger(n) && n > 0)) return wrong('numbers above 0');
  else if (command === undefined) await story();
  else if (command === 'attempts') console.log(JSON.stringify(await attempts(people, rounds)));
  else if (command === 'requests') console.log(JSON.stringify(await requests(seconds)));
  else return wrong(`no command ${command}`);
  return 0;
}

function wrong(what: string): number {
  console.error(`${what}\n\n${HELP}`);
  return 2;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
