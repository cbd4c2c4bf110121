import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type ParsedMail, simpleParser } from 'mailparser';
import { ACR } from '#contracts';
import { type Answer, type ApiClient, type Capture, type Media, performCapture, type RecordedPerson } from '#testing';
import { type Lane, must, type StepReport } from './report.js';

export interface ScenarioContext {
  /** A new client of the gateway, on a device of that name. */
  connect: (deviceModel: string) => ApiClient;
  mailDir: string;
  media: Media;
  operator: Operator;
  emit: (report: StepReport) => void;
}

/** What is done beside the API: on the machine of whoever runs the service. */
export interface Operator {
  /** A command of `countersign`; `input` is typed into it. Resolves with what it printed. */
  run: (args: readonly string[], input?: string) => Promise<string>;
  /** Starts examples/relying-app in a process of its own, with a new service credential; resolves with its address and client id. */
  startRelyingApp: (transferMaxAge: number) => Promise<{ address: string; clientId: string }>;
  /** Lets time pass for one person's face: puts its dates in the database back, which is all that its age is told by. */
  putFaceBack: (userId: string, hours: number) => Promise<void>;
  /** Lets days pass for an administrator: since when he is one. */
  putOfficeBack: (email: string, days: number) => Promise<void>;
}

/** The man who enrols, and the other man (test/media/SOURCE.md). */
export const OWNER = 'franck';
export const PASSWORD = 'correct horse battery staple';

const NAME: Record<string, string> = { [ACR.pwd]: 'pwd', [ACR.recovery]: 'pwd+recovery', [ACR.face]: 'pwd+face' };
export const level = (acr: unknown): string => NAME[String(acr)] ?? String(acr);
const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value ?? ''));
export const seen = (a: Answer): string => `${a.status} ${text(a.body.code ?? a.body.status)}`;

export async function openAccount(lane: Lane, client: ApiClient, email: string): Promise<void> {
  await lane.step('registers and logs in', async () => {
    const registered = await client.post('/v1/auth/register', { email, password: PASSWORD });
    must(registered.status === 201, seen(registered));
    const login = await client.login(email, PASSWORD);
    must(login.status === 200 && login.body.acr === ACR.pwd, seen(login));
    return { outcome: 'session level pwd', value: undefined };
  });
  await giveConsent(lane, client);
}

export async function giveConsent(lane: Lane, client: ApiClient): Promise<void> {
  await lane.step('gives consent', async () => {
    const before = await client.post('/v1/face/enrolments', {});
    must(before.status === 403 && before.body.code === 'consent_required', `without consent: ${seen(before)}`);
    const asked = await client.get('/v1/face/consent');
    const given = await client.put('/v1/face/consent', {
      version: asked.body.version,
      textSha256: asked.body.textSha256,
    });
    must(given.status === 200, seen(given));
    return { outcome: `version ${String(asked.body.version)}`, value: undefined };
  });
}

export async function enrol(lane: Lane, client: ApiClient, person: RecordedPerson): Promise<void> {
  await lane.step('enrols', async () => {
    const capture = await performCapture(client, person, 'enrolments');
    must(status(capture) === 'enrolled', told(capture));
    return { outcome: `enrolled (${capture.actions.join(', ')})`, value: undefined };
  });
}

export const status = (capture: Capture): string => text(capture.end?.body.status);

export function told(capture: Capture): string {
  const last = capture.end ?? capture.uploads.at(-1) ?? capture.begin;
  const { quality, attemptsRemaining } = last.body;
  const details = [quality, attemptsRemaining].filter((part) => part !== undefined).map(String);
  return [seen(last), ...details, `(${capture.actions.join(', ')})`].join(' ');
}

/** The token of the link in a mail. */
export function linkToken(mail: ParsedMail): string {
  const token = /[?&]token=([\w-]{20,})/.exec(mail.text ?? '')?.[1];
  must(token, `no link in "${mail.subject ?? ''}"`);
  return token;
}

/** Raises a session to pwd+recovery by the code that is mailed to its owner. */
export async function recover(context: ScenarioContext, client: ApiClient, email: string): Promise<void> {
  const sent = await client.post('/v1/recovery/codes', {});
  must(sent.status === 202, seen(sent));
  const mail = await waitForMail(context.mailDir, email, /code/i);
  const code = /\b[A-Z0-9]{4}-?[A-Z0-9]{4}\b/.exec(mail.text ?? '')?.[0];
  must(code, 'no code in the mail');
  const answer = await client.post('/v1/recovery/verify', { code });
  must(answer.status === 200 && answer.body.acr === ACR.recovery, seen(answer));
  client.token = String(answer.body.token);
}

export async function waitForMail(mailDir: string, to: string, subject: RegExp): Promise<ParsedMail> {
  for (let i = 0; i < 100; i++) {
    const files = await readdir(mailDir).catch(() => []);
    for (const file of files.filter((name) => name.endsWith('.eml'))) {
      const mail = await simpleParser(await readFile(path.join(mailDir, file)));
      const recipients = [mail.to ?? []].flat().flatMap((list) => list.value.map((address) => address.address));
      if (recipients.includes(to) && subject.test(mail.subject ?? '')) return mail;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  must(false, `no mail to ${to} about ${String(subject)} within 20 s`);
}
