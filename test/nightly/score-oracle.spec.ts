import { type Answer, type ApiClient, inLanes } from '#testing';
import { auc, sortedScores } from '../../tools/eval/statistics.js';
import { type Findings, GatewayWorld, GOOD, MISMATCH, sleep, stepBody } from '../medium/gateway-world.js';
import { LANES, sized, tellRow } from './rows.js';

jest.setTimeout(60 * 60_000);

/** The third failure locks. */
const ATTEMPTS_A_USER = 2;
const AUC_MAX = 0.55;
/** One-sided, 95 %. */
const Z = 1.645;

const failedAt = (step: number, kind: 'no_action' | 'wrong_action' | 'discontinuous' | 'not_one_person'): Findings => ({
  ...GOOD,
  verdict: (s) => (s === step ? { kind } : { kind: 'done' }),
  judgement: 'not_compared',
  similarity: null,
});
const scored = (judgement: Findings['judgement'], similarity: number | null): Findings => ({ ...GOOD, judgement, similarity }); // prettier-ignore

interface Failure {
  /** Which of the user's: they differ in the attempts that remain. */
  nth: number;
  answer: string;
  /** From the first byte of the last step to the answer. */
  ms: number;
}

/** The real gateway, Redis and MongoDB; a worker with a registered key says what is prepared. */
describe('what a failure tells', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await GatewayWorld.start(46, { CAPTURES_MAX: '200', JOBS_PER_WORKER_MAX: '1000' });
  });
  afterAll(() => world?.stop());

  /** As clients do where a busy machine says 503. */
  async function patiently(send: () => Promise<Answer>): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      const answer = await send();
      if (answer.status !== 503 || tries === 10) return answer;
      await sleep(200);
    }
  }

  async function failure(client: ApiClient, findings: Findings, nth: number): Promise<Failure> {
    const begun = await patiently(() => world.begin(client, 'attempts', findings));
    const attemptId = String(begun.body.attemptId);
    for (const step of [1, 2]) {
      const sent = await patiently(() => world.sendStep(client, attemptId, step));
      expect(sent).toMatchObject({ status: 202 });
    }
    await sleep(350);
    let from = 0;
    const sent = await patiently(() => {
      from = performance.now();
      return client.postBytes(`/v1/face/attempts/${attemptId}/steps/3`, stepBody());
    });
    expect(sent).toMatchObject({ status: 202 });
    const { status, text, headers } = await patiently(() => world.outcome(client, attemptId));
    const ms = performance.now() - from;
    const kept = [...headers].filter(([name]) => name !== 'date' && name !== 'x-request-id');
    return { nth, answer: JSON.stringify({ status, text, kept }), ms };
  }

  /** Causes take turns within an account and between accounts, so that no drift of the machine falls on one of them. */
  async function failures(n: number, causeOf: (i: number) => Findings): Promise<Failure[]> {
    const users = await inLanes(LANES, Math.ceil(n / ATTEMPTS_A_USER), async (user) => {
      const { client } = await world.enrolled();
      const own: Failure[] = [];
      for (let nth = 0; nth < ATTEMPTS_A_USER; nth++)
        own.push(await failure(client, causeOf(user * ATTEMPTS_A_USER + nth), nth));
      return own;
    });
    return users.flat();
  }

  it('T12: is the same to the byte, whatever failed and however narrowly', async () => {
    const n = sized(500);
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
    const found = await failures(n, (i) => causes[i % causes.length]!(i));
    const different = [0, 1].map((nth) => new Set(found.filter((f) => f.nth === nth).map((f) => f.answer)).size);
    tellRow({
      id: 'T12',
      what: `failures of ${causes.length} causes with similarities from -0.2 to 0.46: status, body and headers`,
      n: found.length,
      found: `${different[0]} different first answers, ${different[1]} different second ones`,
      bar: '1 and 1',
    });
    expect(different).toEqual([1, 1]);
    for (const { answer } of found) expect(answer).toContain('not_verified');
  });

  it('T13: takes the same time', async () => {
    const each = sized(1000);
    const causes = { liveness: failedAt(2, 'no_action'), match: MISMATCH, 'near miss': scored('mismatch', 0.45) };
    const names = Object.keys(causes) as (keyof typeof causes)[];
    // 2 attempts a user and 3 causes: all come first and second equally often.
    const found = await failures(each * names.length, (i) => causes[names[i % names.length]!]);
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
