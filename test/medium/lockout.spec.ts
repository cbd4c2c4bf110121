import { randomBytes } from 'node:crypto';
import type { GuardDocument } from '#guard';
import { type Answer, ApiClient, inLanes } from '#testing';
import { SessionService } from '../../apps/gateway/src/sessions/session.service.js';
import { GatewayWorld, GOOD, MISMATCH, PASSWORD, patiently, sleep } from './gateway-world.js';

jest.setTimeout(600_000);

/** 20 by COUNTERSIGN_LOCKOUT_ROUNDS, which takes three minutes; T02 does as many over several processes. */
const ROUNDS = Number(process.env['COUNTERSIGN_LOCKOUT_ROUNDS'] ?? 2);
const CLIENTS = 200;
/** More would meet the end of the listener's backlog. */
const ROUNDS_AT_ONCE = 2;
const WRONG_PASSWORDS = 1_000;

/** Three wrong faces lock, whatever is tried in parallel. The real gateway, Redis and MongoDB; a worker that finds nobody alike. */
describe('the lock of the face', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({
      CAPTURES_MAX: '1000',
      JOBS_PER_WORKER_MAX: '1000',
      TRUSTED_PROXIES: '127.0.0.1/32',
    });
  });
  afterAll(() => world?.stop());

  const anywhere = (): Record<string, string> => ({
    'x-forwarded-for': `10.${randomBytes(3).join('.')}`,
  });

  /** Clients of one user, each with a session that was made beforehand; a person has 20 at most, so that some share one. */
  const sessionsOf = async (userId: string, n: number): Promise<ApiClient[]> => {
    const sessions = world.app.get(SessionService, { strict: false });
    const tokens = await inLanes(20, Math.min(n, 20), async () => (await sessions.open(userId, 0)).token);
    return Array.from({ length: n }, (_, i) => {
      const client = world.client();
      client.token = tokens[i % tokens.length] ?? '';
      return client;
    });
  };

  it(`T01: ${CLIENTS} clients that try wrong faces at once get three attempts and one lock, ${ROUNDS} times`, async () => {
    const refusals: Record<string, number> = {};
    const rounds = await inLanes(ROUNDS_AT_ONCE, ROUNDS, async () => {
      const { userId } = await world.enrolledAtOnce();
      const clients = await sessionsOf(userId, CLIENTS);
      world.prepare(userId, MISMATCH);
      const attempts: string[] = [];
      await Promise.all(
        clients.map(async (client): Promise<void> => {
          for (;;) {
            const begun = await client.post('/v1/face/attempts');
            if (begun.status === 201) {
              const attemptId = String(begun.body.attemptId);
              attempts.push(attemptId);
              await world.sendSteps(client, attemptId);
              await world.outcome(client, attemptId);
              continue;
            }
            const key = `${begun.status} ${String(begun.body.code)}`;
            refusals[key] = (refusals[key] ?? 0) + 1;
            if (begun.status === 423) return;
            await sleep(3_000 + 2_000 * Math.random());
          }
        }),
      );
      const guard = (await world.guard(userId)) as unknown as Pick<GuardDocument, 'outbox' | 'recent'>;
      const kinds = guard.outbox.map((entry) => (entry.kind === 'mail' ? entry.template : entry.event.type));
      const count = (kind: string): number => kinds.filter((one) => one === kind).length;
      const ended = guard.recent.filter(({ purpose }) => purpose === 'verify');
      // On a busy machine an attempt may end as an error or too late: it costs nothing, and is not one of the three.
      const free = ended.filter(({ charged }) => !charged).map(({ attemptId }) => attemptId);
      const counting = attempts.filter((id) => !free.includes(id));
      const compared = counting.filter((id) => world.jobs.some((job) => job.startsWith(`${id}-match`)));
      return {
        attempts: counting.length,
        compared: compared.length,
        charged: ended.filter(({ charged }) => charged).length,
        locked: count('locked'),
        mails: count('face_locked'),
        free: free.length,
      };
    }); // prettier-ignore
    for (const { free: _free, compared, ...round } of rounds) {
      expect(round).toEqual({ attempts: 3, charged: 3, locked: 1, mails: 1 });
      expect(compared).toBeLessThanOrEqual(3);
    }
    const allowed = ['409 attempt_in_progress', '423 face_locked', '503 busy', '503 unavailable'];
    expect(Object.keys(refusals).filter((key) => !allowed.includes(key))).toEqual([]);
    const told = rounds.map(({ compared, locked, mails, free }) => `${compared}/${locked}/${mails}/${free}`);
    process.stderr.write(`T01: ${ROUNDS} rounds of ${CLIENTS} clients, comparisons/locks/mails/uncharged ${[...new Set(told)].join(' ')}: ${JSON.stringify(refusals)}\n`); // prettier-ignore
  });

  describe('T06: somebody who wants to keep the owner out', () => {
    it(`without the password spends no strike in ${WRONG_PASSWORDS} tries, and the owner still comes in`, async () => {
      const { client, email, userId } = await world.enrolled();
      const cookie = (await client.login(email, PASSWORD)).headers.get('set-cookie')?.split(';')[0] ?? '';
      const answers = await inLanes(16, WRONG_PASSWORDS, async (i) => {
        const stranger = new ApiClient(world.url, 'Pixel 9', anywhere());
        if (i % 2 === 0) return stranger.login(email, `wrong password ${i}`);
        stranger.token = 'A'.repeat(43);
        return stranger.post('/v1/face/attempts');
      });
      const statuses = new Set(answers.map(({ status }: Answer) => status));
      expect([...statuses].filter((status) => ![401, 429, 503].includes(status))).toEqual([]);
      expect(statuses).toContain(429);
      expect(await world.guard(userId)).toMatchObject({ strikes: 0, consecutiveStrikes: 0, abandoned: 0, lockedUntil: null }); // prettier-ignore
      // He logs in after the attack, where he has done so before; whoever is new there shares what strangers have left.
      const stranger = new ApiClient(world.url, 'Pixel 9', anywhere());
      expect(await patiently(() => stranger.login(email, PASSWORD))).toMatchObject({ status: 429 });
      const owner = new ApiClient(world.url, 'Pixel 9', { ...anywhere(), cookie });
      expect(await patiently(() => owner.login(email, PASSWORD))).toMatchObject({ status: 200 });
      expect((await world.capture(owner, 'attempts', GOOD)).body).toMatchObject({ status: 'verified' });
      expect(await client.get('/v1/auth/session')).toMatchObject({ status: 200 });
    });

    it('with a stolen session locks the face, and neither password nor recovery', async () => {
      const thief = await world.enrolled();
      for (let i = 0; i < 3; i++) await world.capture(thief.client, 'attempts', MISMATCH);
      expect(await thief.client.post('/v1/face/attempts')).toMatchObject({ status: 423 });
      const owner = { ...thief, client: world.client() };
      expect(await owner.client.login(owner.email, PASSWORD)).toMatchObject({ status: 200 });
      await world.verifyEmail(owner.userId);
      expect(await world.recover(owner)).toMatchObject({ status: 200 });
      expect((await owner.client.get('/v1/auth/session')).body).toMatchObject({ acr: 'urn:countersign:pwd+recovery' });
      // Recovery does not clear the lock: whoever has the session could otherwise try on.
      expect(await thief.client.post('/v1/face/attempts')).toMatchObject({ status: 423 });
      const others = (await owner.client.get('/v1/auth/sessions')).body.sessions as {
        sessionId: string;
        current: boolean;
      }[];
      for (const { sessionId } of others.filter(({ current }) => !current))
        expect(await owner.client.delete(`/v1/auth/sessions/${sessionId}`)).toMatchObject({ status: 204 });
      expect((await thief.client.get('/v1/auth/session')).status).toBe(401);
    });

    it('B5: with the password spends codes, tries and mails, and the owner recovers at once after a reset by mail', async () => {
      const owner = await world.enrolled();
      await world.verifyEmail(owner.userId);
      const thief = world.client('Thief');
      expect(await thief.login(owner.email, PASSWORD)).toMatchObject({ status: 200 });
      const answers: Answer[] = [];
      for (let code = 0; code < 4; code++) {
        answers.push(await thief.post('/v1/recovery/codes'));
        for (let i = 0; i < 5; i++) answers.push(await thief.post('/v1/recovery/verify', { code: 'AAAAAAAA' }));
        answers.push(await thief.post('/v1/auth/email/resend'));
      }
      expect(answers.map(({ status }) => status)).toContain(429);
      expect((await owner.client.post('/v1/recovery/codes')).status).toBe(429);

      const NEXT = 'another long enough password';
      expect(await world.client().post('/v1/auth/password/reset', { email: owner.email })).toMatchObject({ status: 202 }); // prettier-ignore
      const mailed = () => world.db.collection('mails').countDocuments({ userId: owner.userId, template: 'password_reset' }); // prettier-ignore
      for (let i = 0; i < 200 && (await mailed()) === 0; i++) await sleep(50);
      const token = await world.mailSecret(owner.userId, 'password_reset');
      expect((await world.client().post('/v1/auth/password/reset/confirm', { token, newPassword: NEXT })).status).toBe(204); // prettier-ignore
      expect(await thief.post('/v1/recovery/codes')).toMatchObject({ status: 401 });
      expect(await owner.client.login(owner.email, NEXT)).toMatchObject({ status: 200 });
      expect(await world.recover(owner)).toMatchObject({ status: 200 });
      expect((await owner.client.get('/v1/auth/session')).body).toMatchObject({ acr: 'urn:countersign:pwd+recovery' });
    });
  });
});
