import { type Action, ACTIONS } from '#contracts';
import { allowedActions, drawChallenge, newChallengeId, nextReleaseDelayMs } from './challenge.js';

describe('the challenge', () => {
  it('respects opt-outs', () => {
    expect(allowedActions(['smile', 'blink'])).toEqual(['turn_left', 'turn_right']);
    for (let i = 0; i < 200; i++) expect(drawChallenge(['blink', 'smile'])).not.toContain('turn_left');
  });

  it('has three steps, each drawn alike and repeats allowed', () => {
    const seen = new Map<string, number>();
    for (let i = 0; i < 64_000; i++) {
      const key = drawChallenge(ACTIONS).join();
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    expect(seen.size).toBe(64);
    // 1,000 expected each; six standard deviations.
    for (const count of seen.values()) expect(Math.abs(count - 1_000)).toBeLessThan(190);
  });

  it('is drawn with the source of randomness it is given', () => {
    const draws = [3, 0, 2];
    expect(drawChallenge(ACTIONS, () => draws.shift() ?? 0)).toEqual(['smile', 'blink', 'turn_right']);
  });

  it('cannot be drawn from nothing', () => {
    expect(() => drawChallenge([] satisfies Action[])).toThrow(RangeError);
  });

  it('T11: of 100,000 neither the actions nor their order can be told from chance (p > 1e-6)', () => {
    const drawn = Array.from({ length: 100_000 }, () => drawChallenge(ACTIONS).map((a) => ACTIONS.indexOf(a)));
    const single = new Array<number>(4).fill(0);
    const whole = new Array<number>(64).fill(0);
    const serial = new Array<number>(16).fill(0);
    let before: number | null = null;
    for (const actions of drawn) {
      whole[actions.reduce((code, a) => 4 * code + a, 0)]!++;
      for (const a of actions) {
        single[a]!++;
        if (before !== null) serial[4 * before + a]!++;
        before = a;
      }
    }
    // Chi-square for p = 1e-6 with 3, 63 and 15 degrees of freedom.
    expect(chiSquare(single)).toBeLessThan(30.66);
    expect(chiSquare(whole)).toBeLessThan(131.36);
    expect(chiSquare(serial)).toBeLessThan(56.49);
  });

  it('T11: 100,000 ids of 128 bits, no two alike', () => {
    const ids = Array.from({ length: 100_000 }, newChallengeId);
    expect(new Set(ids).size).toBe(100_000);
    expect(ids.every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true);
  });
});

function chiSquare(counts: readonly number[]): number {
  const expected = counts.reduce((sum, c) => sum + c, 0) / counts.length;
  return counts.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
}

describe('the release of an answer', () => {
  const at = (ms: number): Date => new Date(1_700_000_000_000 + ms);
  it.each([
    [0, 0],
    [1, 249],
    [249, 1],
    [250, 0],
    [1_010, 240],
  ])('%i ms after the last step waits %i ms', (since, wait) => {
    expect(nextReleaseDelayMs(at(0), at(since))).toBe(wait);
  });
  it('does not wait before there was a last step, nor for a clock that ran back', () => {
    expect(nextReleaseDelayMs(null, at(77))).toBe(0);
    expect(nextReleaseDelayMs(at(100), at(0))).toBe(0);
  });
});
