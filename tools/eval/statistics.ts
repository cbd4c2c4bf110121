/** A rate with the exact (Clopper–Pearson) 95 % bounds of a binomial proportion. `rate` is null for n = 0. */
export interface Rate {
  n: number;
  count: number;
  rate: number | null;
  lower95: number;
  upper95: number;
}

export function rateOf(count: number, n: number): Rate {
  const { lower, upper } = clopperPearson(count, n);
  return { n, count, rate: n > 0 ? count / n : null, lower95: lower, upper95: upper };
}

/**
 * Clopper and Pearson 1934: the proportions at which `count` or fewer, or `count` or more, of `n` would be seen with a
 * probability of (1 − confidence) / 2. For n = 0 nothing is known: 0..1.
 */
export function clopperPearson(count: number, n: number, confidence = 0.95): { lower: number; upper: number } {
  if (!(n >= 0 && count >= 0 && count <= n)) throw new RangeError(`${count} of ${n}`);
  const tail = (1 - confidence) / 2;
  return {
    lower: count === 0 ? 0 : betaQuantile(tail, count, n - count + 1),
    upper: count === n ? 1 : betaQuantile(1 - tail, count + 1, n - count),
  };
}

/** Inverse of the regularised incomplete beta function by bisection; 60 halvings are more than a double holds. */
function betaQuantile(p: number, a: number, b: number): number {
  let low = 0;
  let high = 1;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (incompleteBeta(middle, a, b) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22, Lentz's method). */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) - logBeta(a, b)) / a;
  const tiny = 1e-300;
  let f = 1;
  let c = 1;
  let d = 0;
  for (let i = 0; i <= 10_000; i++) {
    const m = i >> 1;
    let t = 1;
    if (i > 0)
      t =
        i % 2 === 0
          ? (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
          : (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 + t * d;
    d = 1 / (Math.abs(d) < tiny ? tiny : d);
    c = 1 + t / c;
    if (Math.abs(c) < tiny) c = tiny;
    f *= c * d;
    if (Math.abs(1 - c * d) < 1e-14) break;
  }
  return front * (f - 1);
}

const logBeta = (a: number, b: number): number => logGamma(a) + logGamma(b) - logGamma(a + b);

/** Stirling's series after shifting the argument above 10 (DLMF 5.11.1); absolute error below 1e-12. */
function logGamma(x: number): number {
  let shift = 0;
  let y = x;
  while (y < 10) shift += Math.log(y++);
  const z = 1 / (y * y);
  const series = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z / 1680))) / y;
  return (y - 0.5) * Math.log(y) - y + 0.5 * Math.log(2 * Math.PI) + series - shift;
}

/** Similarity scores, each list sorted ascending: higher means more alike, accepted at or above a threshold. */
export interface Scores {
  genuine: Float64Array;
  impostor: Float64Array;
}

export function sortedScores(genuine: Iterable<number>, impostor: Iterable<number>): Scores {
  return { genuine: Float64Array.from(genuine).sort(), impostor: Float64Array.from(impostor).sort() };
}

/** How many values of an ascending list lie below `threshold`. */
export function countBelow(sorted: Float64Array, threshold: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < threshold) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Thresholds are given with so many decimals, rounded up, and every rate is that of the rounded threshold. */
const THRESHOLD_STEPS = 1e5;

/**
 * The lowest threshold (on a grid of 0.00001) whose false match rate on these impostors is at most `fmr`. Null without
 * impostors.
 */
export function thresholdAt(impostor: Float64Array, fmr: number): number | null {
  if (impostor.length === 0) return null;
  const allowed = Math.floor(fmr * impostor.length + 1e-9);
  if (allowed >= impostor.length) return Math.floor(impostor[0]! * THRESHOLD_STEPS) / THRESHOLD_STEPS;
  // This one must be refused, and with it all that equal it.
  const highest = impostor[impostor.length - 1 - allowed]!;
  let step = Math.floor(highest * THRESHOLD_STEPS);
  while (step / THRESHOLD_STEPS <= highest) step++;
  return step / THRESHOLD_STEPS;
}

/** Both error rates at a threshold. */
export function ratesAt(scores: Scores, threshold: number): { falseMatch: Rate; falseNonMatch: Rate } {
  const { genuine, impostor } = scores;
  return {
    falseMatch: rateOf(impostor.length - countBelow(impostor, threshold), impostor.length),
    falseNonMatch: rateOf(countBelow(genuine, threshold), genuine.length),
  };
}

/** Share of genuine scores above impostor scores, ties half: area under the ROC curve (Mann–Whitney). Null if either is empty. */
export function auc({ genuine, impostor }: Scores): number | null {
  if (genuine.length === 0 || impostor.length === 0) return null;
  let below = 0;
  let notAbove = 0;
  let sum = 0;
  for (const g of genuine) {
    while (below < impostor.length && impostor[below]! < g) below++;
    notAbove = Math.max(notAbove, below);
    while (notAbove < impostor.length && impostor[notAbove]! <= g) notAbove++;
    sum += (below + notAbove) / 2;
  }
  return sum / (genuine.length * impostor.length);
}

/** Equal error rate: the mean of both rates at the threshold where they differ least. Null if either list is empty. */
export function eer({ genuine, impostor }: Scores): number | null {
  if (genuine.length === 0 || impostor.length === 0) return null;
  let best = { gap: Infinity, rate: 0 };
  const at = (missed: number, accepted: number): void => {
    const fnmr = missed / genuine.length;
    const fmr = accepted / impostor.length;
    const gap = Math.abs(fnmr - fmr);
    if (gap < best.gap) best = { gap, rate: (fnmr + fmr) / 2 };
  };
  let g = 0;
  let i = 0;
  at(0, impostor.length);
  while (g < genuine.length || i < impostor.length) {
    const next = Math.min(genuine[g] ?? Infinity, impostor[i] ?? Infinity);
    while (g < genuine.length && genuine[g]! <= next) g++;
    while (i < impostor.length && impostor[i]! <= next) i++;
    at(g, impostor.length - i);
  }
  return best.rate;
}

/** The threshold with the most right decisions on labelled scores; the middle of the gap it lies in. */
export function mostAccurateThreshold({ genuine, impostor }: Scores): number {
  let g = 0;
  let i = 0;
  let best = { right: genuine.length, threshold: -Infinity };
  while (g < genuine.length || i < impostor.length) {
    const here = Math.min(genuine[g] ?? Infinity, impostor[i] ?? Infinity);
    while (g < genuine.length && genuine[g]! <= here) g++;
    while (i < impostor.length && impostor[i]! <= here) i++;
    const right = genuine.length - g + i;
    const next = Math.min(genuine[g] ?? Infinity, impostor[i] ?? Infinity);
    if (right > best.right) best = { right, threshold: next === Infinity ? here + 1e-9 : (here + next) / 2 };
  }
  return best.threshold;
}

/** A generator of numbers 0..1 that a seed repeats (mulberry32, public domain). For drawing samples, never for secrets. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Fisher–Yates on a copy. */
export function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const out = [...values];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}
