import { encodeStep, type Frame, inLanes } from '#testing';
import { GatewayWorld, GOOD, jpegOf, sleep } from '../medium/gateway-world.js';
import { LANES, sized, tellRow } from './rows.js';

jest.setTimeout(60 * 60_000);

const filmed = (): Frame[] => Array.from({ length: 12 }, (_, i) => ({ tMs: i * 50, jpeg: jpegOf() }));

/** The real gateway, Redis and MongoDB; whatever reached the worker would be found good. */
describe('frames of before, byte for byte', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ CAPTURES_MAX: '200', JOBS_PER_WORKER_MAX: '1000' });
  });
  afterAll(() => world?.stop());

  it('T08: a good session, recorded, is refused at every fresh challenge', async () => {
    const n = sized(1000);
    /** Abandoned attempts count, too: few enough that nobody is locked. */
    const each = 4;
    const refused = await inLanes(LANES, Math.ceil(n / each), async () => {
      const { client } = await world.enrolled();
      const session = [filmed(), filmed(), filmed()];
      const play = async (): Promise<string[]> => {
        const begun = await world.begin(client, 'attempts', GOOD);
        const attemptId = String(begun.body.attemptId);
        const told: string[] = [];
        for (const [i, frames] of session.entries()) {
          const sent = await world.sendStep(client, attemptId, i + 1, encodeStep(frames));
          told.push(sent.status === 202 ? 'accepted' : String(sent.body.code));
          if (sent.status !== 202) {
            await client.delete(`/v1/face/attempts/${attemptId}`);
            return told;
          }
        }
        told.push(String((await world.outcome(client, attemptId)).body.status));
        return told;
      };
      expect((await play()).at(-1)).toBe('verified');
      const replays: string[] = [];
      for (let i = 0; i < each; i++) replays.push((await play()).join());
      return replays;
    });
    const all = refused.flat();
    const other = all.filter((told) => told !== 'frames_reused');
    tellRow({
      id: 'T08',
      what: 'a recorded good session, byte for byte, against fresh challenges, at the real gateway',
      n: all.length,
      found: `${other.length} steps accepted`,
      bar: '0',
    });
    expect(other).toEqual([]);
  });

  it('T09: one frame of another step or attempt is enough, and the window runs on', async () => {
    const n = sized(1000);
    const users = Math.ceil(n / 9);
    const found = await inLanes(LANES, users, async () => {
      const { client } = await world.enrolled();
      const seen: Frame[] = [];
      const told: string[] = [];
      // The second attempt begins with frames of the first.
      for (let attempt = 0; attempt < 2; attempt++) {
        const attemptId = String((await world.begin(client, 'attempts', GOOD)).body.attemptId);
        for (let step = 1; step <= 3; step++) {
          for (let again = 0; again < 2 && seen.length > 0; again++) {
            const frames = filmed();
            frames[(step * 3 + again) % frames.length]!.jpeg = seen[(step * 7 + again * 5) % seen.length]!.jpeg;
            const sent = await world.sendStep(client, attemptId, step, encodeStep(frames));
            told.push(sent.status === 202 ? 'accepted' : String(sent.body.code));
          }
          await sleep(20);
          const fresh = filmed();
          expect(await world.sendStep(client, attemptId, step, encodeStep(fresh))).toMatchObject({ status: 202 });
          seen.push(...fresh);
        }
        expect((await world.outcome(client, attemptId)).body).toMatchObject({ status: 'verified' });
      }
      return told;
    });
    const all = found.flat();
    const other = all.filter((told) => told !== 'frames_reused');
    tellRow({
      id: 'T09',
      what: 'steps with one frame of another step or attempt inside two minutes; fresh frames then pass',
      n: all.length,
      found: `${other.length} accepted`,
      bar: '0',
    });
    expect(other).toEqual([]);
  });
});
