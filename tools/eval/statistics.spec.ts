import {
  auc,
  clopperPearson,
  countBelow,
  eer,
  incompleteBeta,
  mostAccurateThreshold,
  rateOf,
  seededRandom,
  shuffled,
  sortedScores,
  thresholdAt,
} from './statistics.js';

describe('Clopper–Pearson bounds', () => {
  // Closed forms at the ends; the others from R's binom.test.
  it.each([
    [0, 10, 0, 0.3084971],
    [10, 10, 0.6915029, 1],
    [1, 10, 0.002528579, 0.4450161],
    [5, 10, 0.187086, 0.812914],
    [0, 368, 0, 0.009973978],
    [2, 100, 0.002431337, 0.07038393],
  ])('%i of %i', (count, n, lower, upper) => {
    const found = clopperPearson(count, n);
    expect(found.lower).toBeCloseTo(lower, 6);
    expect(found.upper).toBeCloseTo(upper, 6);
  });

  it('agree with the closed form for none of n, also for millions', () => {
    for (const n of [1, 7, 1000, 1_516_411, 50_000_000])
      expect(clopperPearson(0, n).upper / (1 - 0.025 ** (1 / n))).toBeCloseTo(1, 6);
  });

  it('say nothing about n = 0 and refuse what is no proportion', () => {
    expect(rateOf(0, 0)).toEqual({ n: 0, count: 0, rate: null, lower95: 0, upper95: 1 });
    expect(() => clopperPearson(2, 1)).toThrow(RangeError);
  });

  it('hold the sums they stand for: the binomial tails', () => {
    const n = 20;
    const k = 4;
    const p = 0.3;
    let tail = 0;
    for (let i = k; i <= n; i++) tail += choose(n, i) * p ** i * (1 - p) ** (n - i);
    expect(incompleteBeta(p, k, n - k + 1)).toBeCloseTo(tail, 12);
  });
});

const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k);

describe('scores', () => {
  it('that are told apart: AUC 1, EER 0; that are not: 0.5', () => {
    const apart = sortedScores([0.7, 0.9, 0.8], [0.1, 0.3, 0.2]);
    expect(auc(apart)).toBe(1);
    expect(eer(apart)).toBe(0);
    const same = sortedScores([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]);
    expect(auc(same)).toBe(0.5);
    expect(auc(sortedScores([0.1], [0.9]))).toBe(0);
    expect(auc(sortedScores([], [0.9]))).toBeNull();
    expect(eer(sortedScores([0.1], []))).toBeNull();
  });

  it('with one of four on the wrong side on either list: EER one quarter', () => {
    const scores = sortedScores([0.2, 0.7, 0.8, 0.9], [0.1, 0.15, 0.18, 0.5]);
    expect(eer(scores)).toBe(0.25);
    expect(auc(scores)).toBe(15 / 16);
  });

  it('AUC equals the count over all pairs', () => {
    const random = seededRandom(3);
    const genuine = Array.from({ length: 60 }, () => Math.round(random() * 20) / 20 + 0.2);
    const impostor = Array.from({ length: 90 }, () => Math.round(random() * 20) / 20);
    let sum = 0;
    for (const g of genuine) for (const i of impostor) sum += g > i ? 1 : g === i ? 0.5 : 0;
    expect(auc(sortedScores(genuine, impostor))).toBeCloseTo(sum / 5400, 12);
  });

  it('a threshold never lets more impostors in than the rate allows, and the next lower one would', () => {
    const random = seededRandom(5);
    const impostor = Float64Array.from({ length: 2000 }, () => Math.round(random() * 300) / 300).sort();
    for (const fmr of [0.1, 0.01, 1e-3, 1e-5]) {
      const threshold = thresholdAt(impostor, fmr)!;
      const accepted = (t: number): number => impostor.length - countBelow(impostor, t);
      expect(accepted(threshold)).toBeLessThanOrEqual(fmr * 2000);
      expect(accepted(threshold - 1e-5)).toBeGreaterThan(fmr * 2000);
    }
    expect(thresholdAt(new Float64Array(), 0.1)).toBeNull();
  });

  it('the most accurate threshold lies in the gap', () => {
    expect(mostAccurateThreshold(sortedScores([0.6, 0.8], [0.2, 0.4]))).toBeCloseTo(0.5);
    expect(mostAccurateThreshold(sortedScores([0.6], []))).toBe(-Infinity);
  });
});

it('a seed repeats its draw, another gives another', () => {
  const draw = (seed: number): number[] => shuffled([1, 2, 3, 4, 5, 6, 7, 8], seededRandom(seed));
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  expect(draw(1).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});
