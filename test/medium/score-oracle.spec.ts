import { differentAnswers, failedAt, failures, scored, STRIKES } from './failures.js';
import { type Findings, GatewayWorld } from './gateway-world.js';

const N = 500;
const LANES = 16;

/** The real gateway, Redis and MongoDB; a worker with a registered key says what is prepared. */
describe('T12: what the answer to a failure tells', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ CAPTURES_MAX: '200', JOBS_PER_WORKER_MAX: '1000' });
  });
  afterAll(() => world?.stop());

  it('is the same to the byte, whatever failed and however narrowly', async () => {
    const similarity = (i: number): number => -0.2 + ((i * 37) % 660) / 1000;
    const causes: ((i: number) => Findings)[] = [
      (i) => scored('mismatch', similarity(i)),
      (i) => scored('spoof', similarity(i)),
      (i) => scored('not_one_person', similarity(i)),
      () => failedAt(1, 'no_action'),
      () => failedAt(3, 'wrong_action'),
      () => failedAt(2, 'discontinuous'),
      () => failedAt(2, 'not_one_person'),
    ];
    const found = await failures(world, { n: N, each: STRIKES, lanes: LANES }, (i) => causes[i % causes.length]!(i));
    expect(found.length).toBeGreaterThanOrEqual(N);
    expect(differentAnswers(found)).toEqual([1, 1, 1]);
    for (const { nth, answer } of found) expect(answer).toContain(nth < STRIKES - 1 ? 'not_verified' : 'locked');
  }, 600_000);
});
