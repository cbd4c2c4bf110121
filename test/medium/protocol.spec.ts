import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { connect } from 'node:net';
import { json } from 'node:stream/consumers';
import fc from 'fast-check';
import { ACTIONS } from '#contracts';
import { type Answer, type ApiClient, encodeStep } from '#testing';
import { GatewayWorld, GOOD, jpegOf, sleep, stepBody } from './gateway-world.js';

jest.setTimeout(120_000);

/** docs/protocol.md at the real gateway, on real Redis and MongoDB; the worker's findings are prepared. */
describe('protocol gestures/1', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start();
  });
  afterAll(() => world?.stop());

  const begin = async (client: ApiClient): Promise<string> => {
    const begun = await client.post('/v1/face/attempts');
    expect(begun).toMatchObject({ status: 201 });
    return String(begun.body.attemptId);
  };
  const pathOf = (attemptId: string, step = 1): string => `/v1/face/attempts/${attemptId}/steps/${step}`;

  it('T07: of 100 uploads of one step at once exactly one is accepted, and no duplicate costs a strike', async () => {
    const { client, userId } = await world.enrolled();
    const attemptId = await begin(client);
    await sleep(350);
    const same = stepBody();
    const bodies = Array.from({ length: 100 }, (_, i) => (i % 2 ? stepBody() : same));
    const upload = (body: Buffer) => client.postBytes(pathOf(attemptId), body);
    const answers = await Promise.all(bodies.map(upload));
    expect(answers.filter((a) => a.status === 202)).toHaveLength(1);
    const others = answers.filter((a) => a.status !== 202).map((a) => `${a.status} ${String(a.body.code)}`);
    expect(others).toEqual(Array.from({ length: 99 }, () => '409 step_already_received'));
    for (const body of [same, stepBody()])
      expect(await upload(body)).toMatchObject({ status: 409, body: { code: 'step_already_received' } });
    expect(await world.guard(userId)).toMatchObject({ strikes: 0, abandoned: 0 });
  });

  describe('T10: whose challenge it is, and who chooses it', () => {
    it('an attempt of another user or session takes nothing from anybody else, in 500 requests', async () => {
      const { client, email, userId } = await world.enrolled();
      const stranger = (await world.account()).client;
      const otherSession = world.client();
      await otherSession.login(email, 'correct horse battery staple');
      const attemptId = await begin(client);
      await sleep(350);
      const refused = fc.asyncProperty(
        fc.boolean(),
        fc.constantFrom(attemptId, attemptId.toUpperCase(), randomUUID()),
        fc.integer({ min: 1, max: 3 }),
        async (isStranger, id, step) => {
          const answer = await (isStranger ? stranger : otherSession).postBytes(pathOf(id, step), stepBody());
          expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } });
        },
      );
      await fc.assert(refused, { numRuns: 20 });
      expect(await client.postBytes(pathOf(attemptId), stepBody())).toMatchObject({
        status: 202,
        body: { status: 'capturing', step: { index: 2 } },
      });
      await fc.assert(refused, { numRuns: 480 });
      expect(await world.guard(userId)).toMatchObject({ strikes: 0 });
      await client.delete(`/v1/face/attempts/${attemptId}`);
    });

    it('a challenge, action, score or mode of the client’s own is 400 wherever it stands, in 500 requests', async () => {
      const { client } = await world.enrolled();
      const attemptId = await begin(client);
      await sleep(350);
      const names = ['challenge', 'challengeId', 'action', 'actions', 'score', 'mode', 'purpose', 'live', 'verdict'];
      const value = fc.oneof(fc.constantFrom<unknown>(...ACTIONS, 'verify', 'practice', true, 1, null), fc.json());
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...names),
          value,
          fc.constantFrom('header', 'frame', 'device', 'query'),
          async (name, given, where) => {
            const jpeg = jpegOf();
            const mine = { [name]: given };
            const frame = { tMs: 0, bytes: jpeg.length, ...(where === 'frame' ? mine : {}) };
            const header = {
              frames: [frame],
              ...(where === 'header' ? mine : {}),
              ...(where === 'device' ? { device: mine } : {}),
            };
            const query = where === 'query' ? `?${name}=${encodeURIComponent(String(given))}` : '';
            const answer = await client.postBytes(`${pathOf(attemptId)}${query}`, containerOf(header, jpeg));
            expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
          },
        ),
        { numRuns: 500 },
      );
      await client.delete(`/v1/face/attempts/${attemptId}`);
    });
  });

  it('whoever has no session is told before a body is read', async () => {
    const status = await new Promise<string>((resolve, reject) => {
      const { port } = new URL(world.url);
      const socket = connect(Number(port), '127.0.0.1', () =>
        socket.write(
          `POST ${pathOf(randomUUID())} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${'A'.repeat(43)}\r\n` +
            'Content-Type: application/octet-stream\r\nContent-Length: 4000000\r\n\r\n',
        ),
      );
      socket.once('data', (chunk) => {
        resolve(chunk.toString().split('\r\n')[0] ?? '');
        socket.destroy();
      });
      socket.once('error', reject);
    });
    expect(status).toBe('HTTP/1.1 401 Unauthorized');
  });

  it('an uplink of 1 Mbit/s will do: a step of 1 MB whose body takes eight seconds is accepted and judged', async () => {
    const { client, userId } = await world.account();
    const begun = await world.begin(client, 'practice', GOOD);
    const attemptId = String(begun.body.attemptId);
    await sleep(1_000);
    const frames = Array.from({ length: 40 }, (_, i) => ({ tMs: i * 34, jpeg: jpegOf(640, 480, 25_000) }));
    const started = performance.now();
    const answer = await slowly(world.url + pathOf(attemptId), client.token ?? '', encodeStep(frames), 125_000);
    expect(performance.now() - started).toBeGreaterThan(7_500);
    expect(answer).toMatchObject({ status: 202, body: { status: 'capturing', step: { index: 2 } } });
    for (const step of [2, 3]) expect(await world.sendStep(client, attemptId, step)).toMatchObject({ status: 202 });
    expect(await world.outcome(client, attemptId)).toMatchObject({ body: { status: 'practised' } });
    expect(await world.guard(userId)).toMatchObject({ strikes: 0, abandoned: 0 });
  });

  it('frames that came faster than any camera, or whose times do not rise, are refused and cost nothing', async () => {
    const { client, userId } = await world.enrolled();
    const attemptId = await begin(client);
    await sleep(2_500);
    const at = (times: number[]): Promise<Answer> =>
      client.postBytes(pathOf(attemptId), encodeStep(times.map((tMs) => ({ tMs, jpeg: jpegOf() }))));
    const every = (ms: number, n: number): number[] => Array.from({ length: n }, (_, i) => i * ms);
    const before = await world.guard(userId);
    // Also a clock that counts more time than has passed since the reveal.
    for (const times of [every(16.7, 60), [0, 40, 30], [7, 7, 7], [0, 40, 9_000]])
      expect(await at(times)).toMatchObject({ status: 400, body: { code: 'frame_times_unusable' } });
    expect(await world.guard(userId)).toEqual(before);
    // 13.3: since the page was loaded, rounded to 100 ms as browsers do that protect from fingerprinting.
    expect(await at(every(41.7, 40).map((ms) => 90_000 + Math.floor(ms / 100) * 100))).toMatchObject({ status: 202 });
    await client.delete(`/v1/face/attempts/${attemptId}`);
  });
});

/** Posts a body at so many bytes a second. */
function slowly(
  url: string,
  token: string,
  body: Buffer,
  bytesPerSecond: number,
): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/octet-stream',
      'content-length': body.length,
    };
    const sending = request(url, { method: 'POST', headers }, (response) => {
      clearInterval(timer);
      void json(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject);
    });
    sending.once('error', reject);
    const started = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      const until = Math.min(body.length, Math.floor(((performance.now() - started) / 1000) * bytesPerSecond));
      sending.write(body.subarray(sent, until));
      sent = until;
      if (sent < body.length) return;
      clearInterval(timer);
      sending.end();
    }, 50);
  });
}

function containerOf(header: object, payload: Buffer): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, payload]);
}
