import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { anyFreePort, repositoryRoot } from '#stack';
import { type ApiClient, encodeStep } from '#testing';
import { SessionService } from '../../apps/gateway/src/sessions/session.service.js';
import { GatewayWorld, jpegOf, sleep, stepBody } from './gateway-world.js';

jest.setTimeout(180_000);

const MIB = 2 ** 20;
const UPLOADS = 300;
/** Each with a live attempt. As many bodies would be three times what is allowed. */
const PEOPLE = 100;
const BUDGET = 64 * MIB;
/** What 300 connections and their answers take. */
const BESIDE = 64 * MIB;

/** Nearly 4 MB, to the byte as a step may be. */
const LARGE = encodeStep(Array.from({ length: 8 }, (_, i) => ({ tMs: 50 * i, jpeg: jpegOf(640, 480, 510_000) })));

interface Sent {
  request: ClientRequest;
  /** Null: the connection ended without one. */
  answer: Promise<{ status: number | undefined; code: unknown; retryAfter: string | undefined } | null>;
}

describe('core 3: uploads that do not end', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ CAPTURES_MAX: '1000', JOBS_PER_WORKER_MAX: '1000' });
  });
  afterAll(() => world?.stop());

  const agent = new Agent({ keepAlive: false });

  /** All of the body but its last byte. */
  const sendSlowly = (client: ApiClient, url: string, attemptId: string, body: Buffer, step = 1): Sent => {
    const sent = request(`${url}/v1/face/attempts/${attemptId}/steps/${step}`, {
      method: 'POST',
      agent,
      headers: {
        authorization: `Bearer ${client.token}`,
        'content-type': 'application/octet-stream',
        'content-length': body.length,
      },
    });
    const answer = new Promise<Awaited<Sent['answer']>>((resolve) => {
      sent.on('error', () => resolve(null));
      sent.on('response', (response: IncomingMessage) => {
        json(response).then(
          (problem) => {
            const { code } = problem as { code?: unknown };
            resolve({ status: response.statusCode, code, retryAfter: response.headers['retry-after'] });
          },
          () => resolve(null),
        );
      });
    });
    sent.write(body.subarray(0, -1));
    return { request: sent, answer };
  };
  const practise = async (client: ApiClient): Promise<string> => {
    const begun = await client.post('/v1/face/practice');
    expect(begun).toMatchObject({ status: 201 });
    return String(begun.body.attemptId);
  };
  /** One person in the middle of a practice, and copies of that person with sessions of their own. */
  const manyPractising = async (count: number) => {
    const { client, userId } = await world.account();
    const attemptId = await practise(client);
    const users = world.db.collection<{ _id: string }>('users');
    const guards = world.db.collection<{ _id: string; reservation: { sessionId: string } }>('face_guards');
    const user = (await users.findOne({ _id: userId })) as unknown as { _id: string; sessionEpoch: number };
    const guard = await guards.findOne({ _id: userId });
    if (!guard) throw new Error('no guard');
    const sessions = world.app.get(SessionService, { strict: false });
    return Promise.all(
      Array.from({ length: count }, async () => {
        const _id = randomUUID();
        const { token, record } = await sessions.open(_id, user.sessionEpoch);
        await users.insertOne({ ...user, _id, email: `${_id}@example.org` } as never);
        // Not to be settled while the test runs.
        const reservation = { ...guard.reservation, sessionId: record.sessionId };
        await guards.insertOne({ ...guard, _id, reservation, hasDue: false, hasOutbox: false } as never);
        const copy = world.client();
        copy.token = token;
        return { client: copy, attemptId };
      }),
    );
  };
  /** What has been answered by now. */
  const answered = async (sent: readonly Sent[]) => {
    const all = sent.map(({ answer }) => Promise.race([answer.then((said) => ({ said })), sleep(0)]));
    return (await Promise.all(all)).flatMap((one) => (one ? [one.said] : []));
  };

  describe('a gateway process of its own', () => {
    let gateway: ChildProcess;
    let url: string;
    beforeAll(async () => {
      const port = await anyFreePort();
      url = `http://127.0.0.1:${port}`;
      gateway = spawn(process.execPath, [path.join(repositoryRoot(), 'dist/apps/gateway/src/main.js')], {
        env: { PATH: process.env.PATH, ...world.env, GATEWAY_PORT: String(port), UPLOAD_BYTES_MAX: String(BUDGET) },
        cwd: repositoryRoot(),
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      for (;;) {
        if (gateway.exitCode !== null) throw new Error('the gateway ended');
        const ready = await fetch(`${url}/health/ready`).catch(() => null);
        if (ready?.ok) break;
        await sleep(200);
      }
    });
    afterAll(async () => {
      gateway.kill('SIGKILL');
      await once(gateway, 'exit');
    });

    const rss = (): number => {
      const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'));
      return Number(line?.[1]) * 1024;
    };
    /** The largest, until so many have been answered and a second more. */
    const rssUntilAnswered = async (sent: readonly Sent[], count: number): Promise<number> => {
      let most = 0;
      let until = Date.now() + 90_000;
      for (let all = false; Date.now() < until; await sleep(100)) {
        most = Math.max(most, rss());
        if (all || (await answered(sent)).length < count) continue;
        all = true;
        until = Math.min(until, Date.now() + 1_000);
      }
      return most;
    };

    it('keeps no byte for attempts that do not exist: 300 of 4 MB are told so at once', async () => {
      const { client } = await world.account();
      const before = rss();
      const sent = Array.from({ length: UPLOADS }, () => sendSlowly(client, url, randomUUID(), LARGE));
      const most = await rssUntilAnswered(sent, UPLOADS);
      const answers = await answered(sent);
      for (const { request: one } of sent) one.destroy();
      // A busy machine may say 503, or end the connection of a body that takes too long: nothing is kept either way.
      const codes = answers
        .map((answer) => answer?.code)
        .filter((code) => code !== undefined && code !== 'unavailable');
      expect(answers).toHaveLength(UPLOADS);
      expect(new Set(codes)).toEqual(new Set(['not_found']));
      expect(most - before).toBeLessThanOrEqual(BESIDE);
    });

    it('holds the uploads of 100 people within its budget, and tells the others when to come again', async () => {
      const people = await manyPractising(PEOPLE);
      const heldMost = Math.floor(BUDGET / (2 * LARGE.length));
      const before = rss();
      const sent = people.map(({ client, attemptId }) => sendSlowly(client, url, attemptId, LARGE));
      const most = await rssUntilAnswered(sent, PEOPLE - heldMost);
      const answers = await answered(sent);
      for (const { request: one } of sent) one.destroy();
      expect(most - before).toBeLessThanOrEqual(BUDGET + BESIDE);
      expect(answers.length).toBeGreaterThanOrEqual(PEOPLE - heldMost);
      expect(answers.filter((answer) => answer?.code !== 'unavailable')).toEqual(
        expect.arrayContaining([{ status: 503, code: 'busy', retryAfter: '1' }]),
      );
      expect(new Set(answers.map((answer) => answer?.status))).toEqual(new Set([503]));

      // What they held is free again.
      await sleep(200);
      const { client } = await world.account();
      const attemptId = await practise(client);
      client.baseUrl = url;
      expect(await world.sendStep(client, attemptId, 1)).toMatchObject({ status: 202 });
    });
  });

  describe('of one session', () => {
    it('a later one of the same step takes the place of one that has not come whole', async () => {
      const { client, userId } = await world.account();
      const attemptId = await practise(client);
      const first = sendSlowly(client, world.url, attemptId, LARGE);
      await sleep(300);
      const second = sendSlowly(client, world.url, attemptId, LARGE);
      expect(await first.answer).toMatchObject({ status: 409, code: 'upload_replaced' });
      expect(await world.sendStep(client, attemptId, 1)).toMatchObject({ status: 202 });
      expect(await second.answer).toMatchObject({ status: 409, code: 'upload_replaced' });
      for (const { request: one } of [first, second]) one.destroy();
      expect(await world.guard(userId)).toMatchObject({ strikes: 0, abandoned: 0 });
    });

    it('one that has come whole is not ended: the later one waits for it', async () => {
      const { client } = await world.account();
      const attemptId = await practise(client);
      await sleep(350);
      const path = `/v1/face/attempts/${attemptId}/steps/1`;
      const answers = await Promise.all(Array.from({ length: 20 }, () => client.postBytes(path, stepBody())));
      const codes = answers.map((a) => String(a.body.code ?? a.body.status)).sort();
      expect(codes).toEqual(['capturing', ...Array<string>(19).fill('step_already_received')]);
    });

    it.each([
      ['another step', (id: string) => [id, 2] as const, 'step_out_of_order'],
      ['another attempt', () => [randomUUID(), 1] as const, 'not_found'],
    ])('what is refused for %s ends none', async (_, of, code) => {
      const { client } = await world.account();
      const attemptId = await practise(client);
      await sleep(350);
      const body = stepBody();
      const first = sendSlowly(client, world.url, attemptId, body);
      await sleep(200);
      const [id, step] = of(attemptId);
      expect(await client.postBytes(`/v1/face/attempts/${id}/steps/${step}`, stepBody())).toMatchObject({ body: { code } });
      first.request.end(body.subarray(-1));
      expect(await first.answer).toMatchObject({ status: 202 });
    }); // prettier-ignore
  });
});
