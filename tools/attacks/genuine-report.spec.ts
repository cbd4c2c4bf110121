import type { Action } from '#contracts';
import type { GenuineAttempt, GenuineResult, GenuineStep } from './genuine.js';
import { genuineBars, genuineSections } from './genuine-report.js';

const look = { gain: 1, offset: 0, noise: 1, quality: 80, side: 640, crop: 0, seed: '' };
const step = (action: Action, fps: number, verdict: string): GenuineStep => ({
  cut: { person: 'a', file: 'a.mp4', action, mirrored: false, fromS: 1, toS: 3, gestureS: 2 },
  camera: { fps, number: 0, scene: 'plain', look },
  findings: { verdict: { kind: 'done' }, embeddings: [], antispoof: [] },
  verdict,
});
const attempt = (reason: string): GenuineAttempt => ({
  person: 'a',
  fps: 20,
  camera: 0,
  scene: 'plain',
  actions: ['smile', 'smile', 'blink'],
  verdicts: [],
  reason,
});
const result = (steps: GenuineStep[], attempts: GenuineAttempt[] = []): GenuineResult => ({
  steps,
  attempts,
  tooFewGestures: [],
  leftOut: [],
});
const times = <T>(n: number, value: T): T[] => Array.from({ length: n }, () => value);
const met = (r: GenuineResult): boolean[] =>
  genuineBars(r)
    .slice(0, 4)
    .map((b) => b.met);

describe('what genuine people must reach', () => {
  it('counts turns and smiles by rate, blinks alone, and whole attempts', () => {
    const steps = [
      ...times(97, step('smile', 20, 'done')),
      ...times(3, step('turn_left', 30, 'no_action')),
      ...times(93, step('turn_right', 15, 'done')),
      ...times(7, step('smile', 15, 'quality:blurred')),
      ...times(9, step('blink', 15, 'done')),
      step('blink', 30, 'no_action'),
    ];
    const attempts = [...times(19, attempt('verified')), attempt('mismatch')];
    expect(met(result(steps, attempts))).toEqual([true, true, true, true]);
    expect(met(result([...steps, step('smile', 20, 'no_action')], attempts))).toEqual([false, true, true, true]);
    expect(met(result([...steps, step('smile', 15, 'no_action')], attempts))).toEqual([true, false, true, true]);
    expect(met(result([...steps, step('blink', 20, 'no_action')], attempts))).toEqual([true, true, false, true]);
    expect(met(result(steps, [...attempts, attempt('no_action')]))).toEqual([true, true, true, false]);
  });

  it('14: is not reached where one person is left behind, or a film is refused with suspicion', () => {
    const last = (r: GenuineResult): boolean[] => genuineBars(r).slice(4).map((b) => b.met); // prettier-ignore
    const one = [...times(4, attempt('verified')), attempt('no_action')];
    const other = [...times(3, attempt('verified')), ...times(2, attempt('quality:blurred'))].map((a) => ({ ...a, person: 'b' })); // prettier-ignore
    const many = times(50, attempt('verified'));
    expect(last(result([step('smile', 20, 'done')], one))).toEqual([true, true]);
    expect(last(result([step('smile', 20, 'done')], [...many, ...other]))).toEqual([false, true]);
    for (const suspicion of ['not_one_person', 'discontinuous', 'spoof']) {
      expect(last(result([], [...many, attempt(suspicion)]))).toEqual([true, false]);
      expect(last(result([step('smile', 20, suspicion)], many))).toEqual([true, false]);
    }
  });

  it('is not reached by nobody', () => {
    expect(met(result([]))).toEqual([false, false, false, false]);
  });

  it('names every cut that failed, by file and second', () => {
    const sections = genuineSections(result([step('smile', 20, 'done'), step('blink', 15, 'no_action')]), {
      seed: 1,
      rates: [20, 15],
      cameras: 1,
      scenes: ['plain'],
    });
    expect(sections[1]!.section.table?.rows).toEqual([['a.mp4@2', 'blink', '1', '0', 'no_action (plain, 15/s) 1']]);
  });
});
