import { auc, sortedScores } from '../../tools/eval/statistics.js';
import { realFailures, reasonsOf } from '../e2e/real-failures.js';
import { startWorld, type World } from '../e2e/world.js';
import { differentAnswers, failedAt, failures, scored, STRIKES } from '../medium/failures.js';
import { GatewayWorld, MISMATCH } from '../medium/gateway-world.js';
import { LANES, sized, tellRow } from './rows.js';

jest.setTimeout(60 * 60_000);

/** The third would lock and mail: other work after the answer. */
const ATTEMPTS_A_USER = 2;
const AUC_MAX = 0.55;
/** One-sided, 95 %. */
const Z = 1.645;

describe('what a real failure tells', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ name: 'score-oracle' });
  }, 120_000);
  afterAll(() => world?.stop());

  it('T12: is the same to the byte, whatever failed', async () => {
    const found = await realFailures(world, Math.ceil(sized(500) / STRIKES), LANES / 2);
    const different = differentAnswers(found);
    tellRow({
      id: 'T12',
      what: 'real attempts that fail: another face, a photo, a wrong gesture, none, a splice; status, body and headers',
      n: found.length,
      found: `${different.join(', ')} different answers to the first failure of a user, the second and the third`,
      bar: '1, 1, 1',
    });
    expect(different).toEqual([1, 1, 1]);
    for (const { nth, answer } of found) expect(answer).toContain(nth < STRIKES - 1 ? 'not_verified' : 'locked');
    expect((await reasonsOf(world, found.length)).size).toBeGreaterThanOrEqual(4);
  });
});

/** The real gateway, Redis and MongoDB; a worker with a registered key says what is prepared. */
describe('what the time of a failure tells', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start({ CAPTURES_MAX: '200', JOBS_PER_WORKER_MAX: '1000' });
  });
  afterAll(() => world?.stop());

  it('T13: nothing', async () => {
    const each = sized(1000);
    const causes = { liveness: failedAt(2, 'no_action'), match: MISMATCH, 'near miss': scored('mismatch', 0.45) };
    const names = Object.keys(causes) as (keyof typeof causes)[];
    // 2 attempts a user and 3 causes: all come first and second equally often.
    const size = { n: each * names.length, each: ATTEMPTS_A_USER, lanes: LANES };
    const found = await failures(world, size, (i) => causes[names[i % names.length]!]);
    const times = new Map(
      names.map((name, k) => [name, found.filter((_, i) => i % names.length === k).map((f) => f.ms)]),
    );
    const pairs = names.flatMap((a, i) => names.slice(0, i).map((b) => [a, b] as const));
    const bounds = pairs.map(([a, b]) => {
      const [x, y] = [times.get(a)!, times.get(b)!];
      const area = auc(sortedScores(x, y))!;
      return { pair: `${b} and ${a}`, area, upper: Math.max(area, 1 - area) + Z * errorOf(x.length, y.length) };
    });
    const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
    tellRow({
      id: 'T13',
      what: `time from the last step to the answer: ${names.map((name) => `${name} (median ${Math.round(median(times.get(name)!))} ms)`).join(', ')}`,
      n: found.length,
      found: bounds.map((b) => `${b.pair}: AUC ${b.area.toFixed(3)}, at most ${b.upper.toFixed(3)}`).join('; '),
      bar: `upper bounds (95 %) ≤ ${AUC_MAX}`,
    });
    for (const { pair, upper } of bounds) expect([pair, upper <= AUC_MAX || each < 500]).toEqual([pair, true]);
  });
});

/** Standard error of the area between two samples of one distribution (Mann–Whitney). */
const errorOf = (m: number, n: number): number => Math.sqrt((m + n + 1) / (12 * m * n));
