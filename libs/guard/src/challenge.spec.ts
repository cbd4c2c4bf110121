import { type Action, ACTIONS } from '#contracts';
import { actionsAfter, allowedActions, drawChallenge, newChallengeId, nextReleaseDelayMs } from './challenge.js';

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

describe('13.2: a draw after an attempt that was not decided', () => {
  it('begins with what was shown, ends with two that were not, and has six steps at most', () => {
    const drawn = drawChallenge(ACTIONS);
    expect(actionsAfter([], drawn)).toEqual(drawn);
    for (let n = 1; n <= 6; n++) {
      const shown = Array.from({ length: n }, () => drawChallenge(ACTIONS)[0] as Action);
      const before = shown.slice(0, 4);
      expect(actionsAfter(shown, drawn)).toEqual([...before, ...drawn.slice(0, 2)]);
    }
  });

  /** Has clips of some gestures, answers while they fit, and leaves uncharged at the first that does not. */
  function shops(canAnswer: (action: Action, step: number) => boolean, tries: number): boolean {
    let shown: Action[] = [];
    for (let i = 0; i < tries; i++) {
      const actions = actionsAfter(shown, drawChallenge(ACTIONS));
      const misfit = actions.findIndex((action, step) => !canAnswer(action, step));
      if (misfit < 0) return true;
      shown = actions.slice(0, Math.max(misfit + 1, shown.length));
    }
    return false;
  }
  const rate = (canAnswer: (action: Action, step: number) => boolean): number => {
    const n = 20_000;
    return Array.from({ length: n }, () => shops(canAnswer, 10)).filter(Boolean).length / n;
  };

  it('whoever leaves ten times at the first misfit has not come further than with one draw', () => {
    const recorded: Action[] = ['turn_left', 'smile', 'blink'];
    // Six standard deviations of 20,000 draws. Ten independent draws would be 14.6 %, 73.7 % and 99.6 %.
    expect(rate((action, step) => recorded[step] === action)).toBeLessThan(1 / 64 + 0.0053);
    for (const [known, p] of [
      [2, 1 / 8],
      [3, 27 / 64],
    ] as const)
      expect(Math.abs(rate((action) => ACTIONS.indexOf(action) < known) - p)).toBeLessThan(0.021);
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
