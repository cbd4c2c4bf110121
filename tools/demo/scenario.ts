import { ACR } from '#contracts';
import { type ApiClient, performCapture, RecordedPerson, StillPhoto } from '#testing';
import { bank } from './bank.js';
import {
  enrol,
  level,
  linkToken,
  openAccount,
  OWNER,
  PASSWORD,
  recover,
  type ScenarioContext,
  seen,
  status,
  told,
  waitForMail,
} from './people.js';
import { Lane, must } from './report.js';

/** Whose face is not the owner's (test/media/SOURCE.md). */
const IMPOSTOR = 'cap';

/**
 * The main job from end to end, through the public API alone, by recorded people. Three users at the same time, then
 * an officer who reads the trail.
 */
export async function runScenario(context: ScenarioContext): Promise<void> {
  const since = new Date(Date.now() - 1_000).toISOString();
  const lanes = await Promise.allSettled([ownerAndImpostor(context), recoveryAndErasure(context), bank(context)]);
  await officer(context, since);
  await twoAdmins(context);
  for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason;
}

async function ownerAndImpostor(context: ScenarioContext): Promise<void> {
  const lane = new Lane('alice', context.emit);
  const client = context.connect('Pixel 9');
  const email = 'alice@example.org';
  await openAccount(lane, client, email);

  await lane.step('opts out of smiling before the first enrolment', async () => {
    const answer = await client.put('/v1/face/preferences', { optOuts: ['smile'], extraTime: false });
    must(answer.status === 200, seen(answer));
    return { outcome: 'blink and turns remain', value: undefined };
  });
  await enrol(lane, client, new RecordedPerson(context.media, OWNER, 11));

  await lane.step('logs in again', async () => {
    const answer = await client.login(email, PASSWORD);
    must(answer.status === 200 && answer.body.acr === ACR.pwd, seen(answer));
    return { outcome: 'session level pwd', value: undefined };
  });
  await lane.step('steps up with her own face', async () => {
    const capture = await performCapture(client, new RecordedPerson(context.media, OWNER, 12));
    must(status(capture) === 'verified', told(capture));
    const session = await client.get('/v1/auth/session');
    must(session.body.acr === ACR.face, `session level ${level(session.body.acr)}`);
    return { outcome: `verified, session level ${level(session.body.acr)}`, value: undefined };
  });

  const thief = context.connect('iPhone 17');
  await lane.step('a thief logs in with the stolen password', async () => {
    const answer = await thief.login(email, PASSWORD);
    must(answer.status === 200 && answer.body.acr === ACR.pwd, seen(answer));
    return { outcome: 'session level pwd', value: undefined };
  });
  for (const [attempt, remaining] of [
    [1, 2],
    [2, 1],
  ] as const) {
    await lane.step(`another man's face, attempt ${attempt}`, async () => {
      const capture = await performCapture(thief, new RecordedPerson(context.media, IMPOSTOR, 20 + attempt));
      must(status(capture) === 'not_verified' && capture.end?.body.attemptsRemaining === remaining, told(capture));
      return { outcome: `not verified, ${remaining} remaining`, value: undefined };
    });
  }
  await lane.step("another man's face, attempt 3", async () => {
    const capture = await performCapture(thief, new RecordedPerson(context.media, IMPOSTOR, 23));
    must(status(capture) === 'locked', told(capture));
    return { outcome: 'not verified, face locked', value: undefined };
  });
  await lane.step('a fourth attempt is refused before any challenge', async () => {
    const answer = await thief.post('/v1/face/attempts', {});
    const { code, minutes, attemptId, step } = answer.body;
    must(answer.status === 423 && code === 'face_locked' && !attemptId && !step, seen(answer));
    must(typeof minutes === 'number' && minutes >= 29 && minutes <= 30, `minutes ${String(minutes)}`);
    return { outcome: `423 face_locked, ${minutes} minutes`, value: undefined };
  });
  await lane.step('the lockout mail arrives', async () => {
    const mail = await waitForMail(context.mailDir, email, /locked/i);
    const text = mail.text ?? '';
    must(/iPhone 17/.test(text) && /30 minutes/.test(text) && /UTC/.test(text), 'the mail lacks device, time or lock');
    must(/password/i.test(text), 'the mail does not say what to do');
    return { outcome: `"${mail.subject ?? ''}", names the iPhone 17`, value: undefined, detail: text };
  });
}

async function recoveryAndErasure(context: ScenarioContext): Promise<void> {
  const lane = new Lane('bob', context.emit);
  const client = context.connect('ThinkPad X1');
  const email = 'bob@example.org';
  await openAccount(lane, client, email);
  await enrol(lane, client, new RecordedPerson(context.media, OWNER, 31));

  await lane.step('a single still photo of him', async () => {
    const capture = await performCapture(client, new StillPhoto(context.media, OWNER, 32));
    must(status(capture) === 'not_verified' && capture.end?.body.attemptsRemaining === 2, told(capture));
    return { outcome: 'not verified, 2 remaining', value: undefined };
  });
  await lane.step('verifies his e-mail by the mailed link', async () => {
    const token = linkToken(await waitForMail(context.mailDir, email, /verify|confirm/i));
    const answer = await client.post('/v1/auth/email/verify', { token });
    must(answer.status === 200, seen(answer));
    // The session that carries the link is proved by it, and has another token from now on.
    client.token = (answer.body.session as { token: string }).token;
    return { outcome: 'verified', value: undefined };
  });

  await lane.step('password alone: removes the face, cannot enrol another', async () => {
    const other = context.connect('unknown laptop');
    await other.login(email, PASSWORD);
    const removed = await other.delete('/v1/face/enrolment');
    must(removed.status === 200 || removed.status === 204, `removal ${seen(removed)}`);
    const enrolment = await other.post('/v1/face/enrolments', {});
    must(enrolment.status === 403 && enrolment.body.code === 'step_up_required', `enrolment ${seen(enrolment)}`);
    const attempt = await other.post('/v1/face/attempts', {});
    must(attempt.status === 403 && attempt.body.code === 'enrolment_required', `attempt ${seen(attempt)}`);
    const session = await other.get('/v1/auth/session');
    must(session.body.acr === ACR.pwd, `session level ${level(session.body.acr)}`);
    return { outcome: '403 step_up_required, level stays pwd', value: undefined };
  });

  await lane.step('recovery by mailed code', async () => {
    await recover(context, client, email);
    const session = await client.get('/v1/auth/session');
    const face = session.body.face as { reEnrolBy?: string } | undefined;
    must(session.body.acr === ACR.recovery, `session level ${level(session.body.acr)}`);
    must(face?.reEnrolBy, 're-enrolment is not flagged');
    return { outcome: 'session level pwd+recovery, re-enrolment flagged', value: undefined };
  });

  await lane.step('erases his data', async () => {
    const requested = await client.post('/v1/privacy/erasures', {});
    must(requested.status === 202, seen(requested));
    const id = String(requested.body.erasureId);
    let state = '';
    for (let i = 0; i < 60 && state !== 'completed'; i++) {
      state = String((await client.get(`/v1/privacy/erasures/${id}`)).body.state);
      if (state !== 'completed') await new Promise((resolve) => setTimeout(resolve, 250));
    }
    must(state === 'completed', `erasure ${state}`);
    const login = await context.connect('desk').login(email, PASSWORD);
    must(login.status === 401, `login ${seen(login)}`);
    return { outcome: 'completed, account gone', value: undefined };
  });
}

/** Roles by two persons. Both are in office for longer than the demo runs: the date of one is put back. */
async function twoAdmins(context: ScenarioContext): Promise<void> {
  const lane = new Lane('admins', context.emit);
  const [one, two] = [context.connect('desk'), context.connect('desk')];
  const [first, second, candidate] = ['dora@example.org', 'emil@example.org', 'frida@example.org'];
  await lane.step('two are made by the operator and recover', async () => {
    for (const [client, email] of [
      [one, first],
      [two, second],
    ] as const) {
      // prettier-ignore
      await context.operator.run(['admin', 'create', email], `${PASSWORD}\n`);
      const login = await client.login(email, PASSWORD);
      must(login.status === 200, seen(login));
      await recover(context, client, email);
    }
    return { outcome: 'both at pwd+recovery', value: undefined };
  });
  const invite = (): ReturnType<typeof one.post> => one.post('/v1/admin/users', { email: candidate, roles: ['security'] }); // prettier-ignore
  await lane.step('one invites an officer while nobody is long enough in office', async () => {
    const alone = await invite();
    must(alone.status === 403 && alone.body.code === 'second_person_required', seen(alone));
    return { outcome: '403 second_person_required', value: undefined };
  });
  await lane.step('a week later (date put back): one asks, the other confirms', async () => {
    await context.operator.putOfficeBack(second, 8);
    const asked = await invite();
    const request = asked.body.roleRequest as { requestId?: string } | null;
    must(asked.status === 201 && request?.requestId, seen(asked));
    const path = `/v1/admin/role-requests/${request.requestId}/confirm`;
    const own = await one.post(path, {});
    must(own.status === 403 && own.body.code === 'second_person_required', `by who asked: ${seen(own)}`);
    const given = await two.post(path, {});
    must(given.status === 200 && (given.body.roles as string[]).includes('security'), seen(given));
    return { outcome: 'by who asked 403, by the other 200', value: undefined };
  });
}

async function officer(context: ScenarioContext, since: string): Promise<void> {
  const lane = new Lane('officer', context.emit);
  const client = context.connect('desk');
  const email = 'officer@example.org';
  await lane.step('gets the role security from the operator, once her address is proved', async () => {
    const answer = await client.post('/v1/auth/register', { email, password: PASSWORD });
    must(answer.status === 201, seen(answer));
    const early = await context.operator.run(['user', 'role', email, '--role', 'security']).then(() => 'given', () => 'refused'); // prettier-ignore
    must(early === 'refused', 'a role for an address that nobody proved');
    const token = linkToken(await waitForMail(context.mailDir, email, /confirm/i));
    const verified = await client.post('/v1/auth/email/verify', { token });
    must(verified.status === 200, seen(verified));
    await context.operator.run(['user', 'role', email, '--role', 'security']);
    const login = await client.login(email, PASSWORD);
    must(login.status === 200, seen(login));
    return { outcome: 'role security', value: undefined };
  });
  await lane.step('whoever stole her password reads nothing', async () => {
    for (const path of ['/v1/admin/security-events', '/v1/admin/users']) {
      const read = await client.get(path);
      must(read.status === 403 && read.body.code === 'step_up_required', `${path} ${seen(read)}`);
    }
    await recover(context, client, email);
    return { outcome: '403 step_up_required, with a mailed code 200', value: undefined };
  });

  await lane.step('lists all events since the demo began', async () => {
    const events = await waitForEvents(client, since);
    const count = (type: string): number => events.filter((e) => e.eventType === type).length;
    must(count('success') === 4, `${count('success')} success events`);
    must(count('locked') === 1, `${count('locked')} locked events`);
    must(count('enrolled') === 4, `${count('enrolled')} enrolled events`);
    must(count('failed') === 4, `${count('failed')} failed events`);
    must(
      events.some((e) => e.reason === 'mismatch'),
      'no attempt failed by mismatch',
    );
    must(!events.some((e) => 'similarity' in e), 'a similarity was shown to the role security');
    return { outcome: `${events.length} events: 4 success, 4 failed, 1 locked, …`, value: undefined };
  });
  await lane.step('date filter: nothing before the demo', async () => {
    const answer = await client.get(`/v1/admin/security-events?to=${encodeURIComponent(since)}`);
    const events = answer.body.events as unknown[] | undefined;
    must(answer.status === 200 && events?.length === 0, `${seen(answer)}, ${events?.length ?? 'no'} events`);
    return { outcome: '0 events', value: undefined };
  });
  await lane.step("the erased user's events hold no personal data", async () => {
    const events = await waitForEvents(client, since);
    const erased = events.find((e) => e.eventType === 'erasure_completed')?.userId;
    const his = events.filter((e) => e.userId === erased && e.eventType !== 'erasure_completed');
    must(erased && his.length > 0, 'no erasure_completed event');
    const personal = his.filter((e) => e.ipAddress ?? e.deviceModel ?? e.sessionId);
    must(personal.length === 0, `${personal.length} of ${his.length} events still hold personal data`);
    return { outcome: `0 of ${his.length} events`, value: undefined };
  });
}

interface ListedEvent {
  eventType: string;
  userId: string | null;
  reason?: string;
  ipAddress?: string;
  deviceModel?: string;
  sessionId?: string;
}

/** All pages; repeated until the trail has caught up, at most 15 s. */
async function waitForEvents(client: ApiClient, since: string): Promise<ListedEvent[]> {
  let events: ListedEvent[] = [];
  for (let i = 0; i < 30; i++) {
    events = [];
    let cursor: string | null = null;
    do {
      const query = new URLSearchParams({ from: since, limit: '100', ...(cursor ? { cursor } : {}) });
      const answer = await client.get(`/v1/admin/security-events?${query.toString()}`);
      must(answer.status === 200, seen(answer));
      for (const event of answer.body.events as ListedEvent[]) events.push(event);
      cursor = answer.body.nextCursor as string | null;
    } while (cursor);
    if (events.some((e) => e.eventType === 'locked') && events.some((e) => e.eventType === 'erasure_completed')) break;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return events;
}
