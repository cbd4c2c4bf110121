import { ACR } from '#contracts';
import { type ApiClient, performCapture, RecordedPerson } from '#testing';
import {
  enrol,
  giveConsent,
  level,
  linkToken,
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

const ADMIN = 'admin@example.org';
const CUSTOMER = 'carol@example.org';
const NEXT_PASSWORD = 'another horse, another battery';
/** The example's 300 s would make a long demo. */
const FRESH_SECONDS = 15;
const AGED_DAYS = 181;
const HOLD_HOURS = 25;

/**
 * A customer of the relying application: invited, then asked for what her session has shown at each point of a face's
 * life, from the first password to the enrolment after the one that got too old.
 */
export async function bank(context: ScenarioContext): Promise<void> {
  const lane = new Lane('carol', context.emit);
  const client = context.connect('Galaxy S26');
  const { address, clientId } = await context.operator.startRelyingApp(FRESH_SECONDS);
  /** Her page has it made for the bank; it shows what her session is worth for as long as that lives. */
  let token = '';
  const exchange = async (): Promise<void> => {
    const made = await client.post('/v1/sessions/tokens', { clientId });
    must(made.status === 201, `token for the bank ${seen(made)}`);
    token = String(made.body.token);
  };
  const ask = async (method: 'GET' | 'POST', path: string, given = token): Promise<Response> =>
    fetch(address + path, {
      method,
      headers: { authorization: `Bearer ${given}`, 'content-type': 'application/json' },
      ...(method === 'POST' ? { body: JSON.stringify({ to: 'DE02 1203', amount: 250 }) } : {}),
    });
  const granted = async (): Promise<void> => {
    const answer = await ask('POST', '/transfer');
    must(answer.status === 200, `transfer ${await said(answer)}`);
  };
  const refused = async (): Promise<string> => {
    const answer = await ask('POST', '/transfer');
    const challenge = answer.headers.get('www-authenticate') ?? '';
    must(answer.status === 401 && challenge === CHALLENGE, `transfer ${await said(answer)}`);
    return '401 insufficient_user_authentication';
  };

  const userId = await invitation(lane, context, client);
  await giveConsent(lane, client);
  await enrol(lane, client, new RecordedPerson(context.media, OWNER, 61));

  await lane.step('a token for the bank: opens nothing at the gateway', async () => {
    await exchange();
    const page = context.connect('the bank');
    page.token = token;
    for (const path of ['/v1/auth/session', '/v1/auth/sessions', '/v1/security/events']) {
      const read = await page.get(path);
      must(read.status === 401, `${path} ${seen(read)}`);
    }
    const erased = await page.post('/v1/privacy/erasures', {});
    must(erased.status === 401, `erasure ${seen(erased)}`);
    const own = await ask('GET', '/', client.token ?? '');
    must(own.headers.get('www-authenticate') === ENDED, "the bank takes the session's own token");
    return { outcome: '401 unauthenticated', value: undefined };
  });
  await lane.step('transfer with a password alone', async () => {
    const home = await ask('GET', '/');
    const asksFor = `acr_values="${ACR.recovery} ${ACR.face}"`;
    must(home.status === 401 && home.headers.get('www-authenticate')?.includes(asksFor), `home page ${home.status}`);
    return { outcome: await refused(), value: undefined };
  });
  await lane.step('transfer with a fresh face', async () => {
    await stepUp(context, client, 62, ACR.face);
    // The session has another token; the bank's goes on and shows the face.
    await granted();
    return { outcome: '200, session level pwd+face', value: undefined };
  });
  await lane.step(`transfer with a face older than ${FRESH_SECONDS} s`, async () => {
    await new Promise((resolve) => setTimeout(resolve, FRESH_SECONDS * 1_000));
    const home = await ask('GET', '/');
    must(home.status === 200, `home page ${home.status}`);
    return { outcome: await refused(), value: undefined };
  });

  await lane.step('resets her password by the mailed link', async () => {
    const asked = await client.post('/v1/auth/password/reset', { email: CUSTOMER });
    must(asked.status === 202, seen(asked));
    const token = linkToken(await waitForMail(context.mailDir, CUSTOMER, /new password/i));
    const reset = await client.post('/v1/auth/password/reset/confirm', { token, newPassword: NEXT_PASSWORD });
    must(reset.status === 204, seen(reset));
    const ended = await ask('GET', '/');
    must(ended.headers.get('www-authenticate') === ENDED, 'the old session lives');
    const old = await client.login(CUSTOMER, PASSWORD);
    must(old.status === 401, `old password ${seen(old)}`);
    const login = await client.login(CUSTOMER, NEXT_PASSWORD);
    must(login.status === 200 && login.body.acr === ACR.pwd, seen(login));
    await exchange();
    return { outcome: 'old sessions ended, level pwd', value: undefined };
  });

  await lane.step(`${AGED_DAYS} days later (dates put back): attempt`, async () => {
    await context.operator.putFaceBack(userId, AGED_DAYS * 24);
    const attempt = await client.post('/v1/face/attempts', {});
    must(attempt.status === 403 && attempt.body.code === 're_enrolment_required', `attempt ${seen(attempt)}`);
    const enrolment = await client.post('/v1/face/enrolments', {});
    must(enrolment.status === 403 && enrolment.body.code === 'step_up_required', `enrolment ${seen(enrolment)}`);
    return { outcome: '403 re_enrolment_required', value: undefined };
  });
  await lane.step('transfer after recovery by mailed code', async () => {
    await recover(context, client, CUSTOMER);
    const home = await ask('GET', '/');
    must(home.status === 200, `home page ${home.status}`);
    return { outcome: await refused(), value: undefined };
  });
  await enrol(lane, client, new RecordedPerson(context.media, OWNER, 63));
  await lane.step('transfer inside the hold, with the new face', async () => {
    await stepUp(context, client, 64, ACR.recovery);
    return { outcome: await refused(), value: undefined };
  });
  await lane.step(`${HOLD_HOURS} hours later (dates put back): transfer`, async () => {
    await context.operator.putFaceBack(userId, HOLD_HOURS);
    await stepUp(context, client, 65, ACR.face);
    await granted();
    return { outcome: '200, session level pwd+face', value: undefined };
  });
}

const ENDED = 'Bearer error="invalid_token"';
const CHALLENGE = [
  'Bearer error="insufficient_user_authentication"',
  'error_description="A higher or more recent authentication is needed"',
  `acr_values="${ACR.face}"`,
  `max_age="${FRESH_SECONDS}"`,
].join(', ');

const said = async (answer: Response): Promise<string> =>
  `${answer.status} ${answer.headers.get('www-authenticate') ?? (await answer.text())}`;

/** An administrator made on the machine invites her by the API; she becomes the account's owner by the mailed link. */
async function invitation(lane: Lane, context: ScenarioContext, client: ApiClient): Promise<string> {
  const admin = context.connect('desk');
  await lane.step('an admin, made by the operator, recovers and invites her', async () => {
    await context.operator.run(['admin', 'create', ADMIN], `${PASSWORD}\n`);
    const login = await admin.login(ADMIN, PASSWORD);
    must(login.status === 200, seen(login));
    const early = await admin.post('/v1/admin/users', { email: CUSTOMER });
    must(early.status === 403 && early.body.code === 'step_up_required', `with a password: ${seen(early)}`);
    await recover(context, admin, ADMIN);
    const made = await admin.post('/v1/admin/users', { email: CUSTOMER });
    must(made.status === 201 && made.body.state === 'invited', seen(made));
    return { outcome: 'with a password 403, with a mailed code 201', value: undefined };
  });
  return lane.step('accepts by the mailed link, logs in', async () => {
    const token = linkToken(await waitForMail(context.mailDir, CUSTOMER, /invited/i));
    const accepted = await client.post('/v1/auth/invitation/accept', { token, newPassword: PASSWORD });
    must(accepted.status === 200 && accepted.body.acr === ACR.pwd, seen(accepted));
    const login = await client.login(CUSTOMER, PASSWORD);
    must(login.status === 200 && login.body.acr === ACR.pwd, seen(login));
    const { emailVerified, userId } = (await client.get('/v1/auth/session')).body;
    must(emailVerified === true, 'the address does not count as verified');
    return { outcome: 'address verified, level pwd', value: String(userId) };
  });
}

/** A verified attempt that leaves the session at that level. */
async function stepUp(context: ScenarioContext, client: ApiClient, seed: number, acr: string): Promise<void> {
  const capture = await performCapture(client, new RecordedPerson(context.media, OWNER, seed));
  must(status(capture) === 'verified', told(capture));
  const session = await client.get('/v1/auth/session');
  must(session.body.acr === acr, `session level ${level(session.body.acr)}`);
}
