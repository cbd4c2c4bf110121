import { type Action, ACTIONS, CHALLENGE_STEPS_MAX } from '#contracts';
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

  it('cannot be drawn from nothing, nor from one gesture', () => {
    for (const allowed of [[], ['blink']] satisfies Action[][]) {
      expect(() => drawChallenge(allowed)).toThrow(RangeError);
      expect(() => drawChallenge(allowed, undefined, true)).toThrow(RangeError);
    }
  });

  it.each([
    [2, 6, 64],
    [3, 4, 81],
    [4, 3, 64],
  ])('T53: of %i gestures it has %i steps: %i sequences, each drawn alike', (gestures, steps, sequences) => {
    const allowed = ACTIONS.slice(0, gestures);
    const seen = new Map<string, number>();
    for (let i = 0; i < 1_000 * sequences; i++) {
      const drawn = drawChallenge(allowed).join();
      seen.set(drawn, (seen.get(drawn) ?? 0) + 1);
    }
    expect([...new Set([...seen.keys()].map((drawn) => drawn.split(',').length))]).toEqual([steps]);
    expect(seen.size).toBe(sequences);
    for (const count of seen.values()) expect(Math.abs(count - 1_000)).toBeLessThan(190);
    expect(drawChallenge(allowed, undefined, true)).toHaveLength(3);
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

  it.each([
    [2, 6, 8],
    [3, 4, 6],
  ])(
    'T53: of %i gestures it has %i steps at least and %i at most, with all of the first draw',
    (gestures, least, most) => {
      const drawn = drawChallenge(ACTIONS.slice(0, gestures));
      for (let n = 0; n <= CHALLENGE_STEPS_MAX; n++) {
        const shown = Array.from({ length: n }, () => drawChallenge(ACTIONS)[0] as Action);
        const actions = actionsAfter(shown, drawn);
        const before = shown.slice(0, most - 2);
        expect(actions.slice(0, before.length)).toEqual(before);
        expect(actions.slice(before.length)).toEqual(drawn.slice(0, Math.max(2, least - before.length)));
        expect(actions.length).toBeLessThanOrEqual(CHALLENGE_STEPS_MAX);
      }
    },
  );

  /** Has clips of some gestures, answers while they fit, and leaves uncharged at the first that does not. */
  function shops(
    canAnswer: (action: Action, step: number) => boolean,
    tries: number,
    allowed = ACTIONS.slice(),
  ): boolean {
    let shown: Action[] = [];
    for (let i = 0; i < tries; i++) {
      const actions = actionsAfter(shown, drawChallenge(allowed));
      const misfit = actions.findIndex((action, step) => !canAnswer(action, step));
      if (misfit < 0) return true;
      shown = actions.slice(0, Math.max(misfit + 1, shown.length));
    }
    return false;
  }
  const rate = (canAnswer: (action: Action, step: number) => boolean, allowed?: Action[]): number => {
    const n = 20_000;
    return Array.from({ length: n }, () => shops(canAnswer, 10, allowed)).filter(Boolean).length / n;
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

  it('T53: nor with two or three gestures: a late misfit is not drawn anew', () => {
    const recorded: Action[] = ['turn_left', 'blink', 'blink', 'turn_left', 'blink', 'turn_left'];
    for (const gestures of [2, 3]) {
      const allowed = ACTIONS.slice(0, gestures);
      // Were only four of six kept, ten tries would give 5.9 % of 1 in 16.
      const fixed = rate((action, step) => recorded[step] === action, allowed);
      expect(fixed).toBeLessThan(1 / 64 + 0.0053);
      const clips = rate((action) => action === 'blink', allowed);
      expect(clips).toBeLessThan(1 / 64 + 0.0053);
    }
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
