import type { StepVerdict } from '#contracts';
import type { AntispoofSample, EmbeddingSample } from './analyse.js';
import { ATTEMPT, type AttemptRules, chooseMean, isSpoof, judgeAttempt, type StepFindings } from './judge-attempt.js';
import { joined, meanFace } from './recognisers.js';
import { cosine, median, normalise, quantile } from './vector.js';

/** A face of a person: a direction, a little off. */
const face = (person: number, off = 0): Float32Array => {
  const v = new Float32Array(8);
  v[person] = 1;
  v[(person + 4) % 8] = off;
  return normalise(v);
};
const sample = (embedding: Float32Array, fitness = 0.8): EmbeddingSample => ({
  tMs: 0, yaw: 0, pitch: 0, sharpness: 0.6, fitness, embedding,
}); // prettier-ignore
const live = (...p: number[]): AntispoofSample[] => p.map((near, i) => ({ tMs: i * 300, near, far: 0.99 }));
/** As many as an attempt needs. */
const SEEN = live(...Array.from({ length: ATTEMPT.antispoofMin }, () => 0.9));
const RULES: AttemptRules = { recognisers: [{ length: 8, share: 1 }], match: 0.475, onePerson: 0.5 };
const DONE: StepVerdict = { kind: 'done' };
const step = (change: Partial<StepFindings> = {}): StepFindings => ({
  verdict: DONE,
  embeddings: [sample(face(0)), sample(face(0, 0.2))],
  antispoof: live(0.9, 0.9, 0.9, 0.9),
  ...change,
});
const judge = (steps: StepFindings[], template: Float32Array | null = face(0)) => judgeAttempt(steps, template, RULES);

describe('the judgement over all steps', () => {
  it('the same live person in every step, and of the template: ok', () => {
    const found = judge([step(), step(), step()]);
    expect(found.judgement).toBe('ok');
    expect(found.similarity).toBeGreaterThan(0.9);
  });

  it('another person than the template: mismatch, with the similarity noted', () => {
    expect(judge([step(), step(), step()], face(1))).toEqual({ judgement: 'mismatch', similarity: expect.closeTo(0, 6) as number }); // prettier-ignore
  });

  it('exactly the threshold is enough, and less is not', () => {
    const at = (c: number) => judgeAttempt([step({ embeddings: [sample(face(0))], antispoof: SEEN })], normalise(Float32Array.of(c, Math.sqrt(1 - c * c), 0, 0, 0, 0, 0, 0)), { ...RULES, match: 0.5 }).judgement; // prettier-ignore
    expect([at(0.51), at(0.49)]).toEqual(['ok', 'mismatch']);
  });

  it('one step of another person is found, though the template’s owner did the others', () => {
    for (const stranger of [0, 1, 2]) {
      const steps = [step(), step(), step()];
      steps[stranger] = step({ embeddings: [sample(face(1))] });
      expect(judge(steps).judgement).toBe('not_one_person');
    }
  });

  it('a step without any face to embed is not one person', () => {
    expect(judge([step(), step({ embeddings: [] })]).judgement).toBe('not_one_person');
  });

  it('anti-spoof denies on the median of the worse crop, and never vouches', () => {
    const dead = step({ antispoof: live(0.05, 0.1, 0.1, 0.9) });
    expect(judge([dead, dead, step({ antispoof: live(0.1) })]).judgement).toBe('spoof');
    expect(isSpoof([{ antispoof: live(0.1, 0.9, 0.9) }])).toBe(false);
    expect(isSpoof([{ antispoof: [{ tMs: 0, near: 0.9, far: 0.1 }] }])).toBe(true);
    expect(isSpoof([{ antispoof: [] }])).toBe(false);
  });

  it('core 10a: an attempt that the anti-spoof saw too little of is a matter of quality; a single step may be unchecked', () => {
    const unchecked = step({ antispoof: [] });
    expect(judge([unchecked, step({ antispoof: live(0.9, 0.9, 0.9, 0.9, 0.9) }), step()]).judgement).toBe('ok');
    expect(judge([unchecked, step(), step()]).judgement).toBe('too_few_samples');
    expect(judge([unchecked, step(), step()], null).judgement).toBe('too_few_samples');
  });

  it('poor quality in any step: nothing is compared and no similarity exists', () => {
    for (const place of [0, 1, 2]) {
      const steps = [step(), step(), step()];
      steps[place] = step({ verdict: { kind: 'quality', code: 'too_dark' } });
      expect(judge(steps)).toEqual({ judgement: 'not_compared', similarity: null });
    }
    expect(judge([])).toEqual({ judgement: 'not_compared', similarity: null });
  });

  it('a step that failed on a present face: not compared, the similarity only noted', () => {
    const found = judge([step(), step({ verdict: { kind: 'wrong_action' } }), step()]);
    expect(found.judgement).toBe('not_compared');
    expect(found.similarity).toBeGreaterThan(0.9);
  });

  it('without a template (enrolment) there is no similarity', () => {
    expect(judge([step(), step(), step()], null)).toEqual({ judgement: 'ok', similarity: null });
  });
});

describe('the chosen frames', () => {
  it('are the fittest and those that differ, at most three, never unfit ones', () => {
    const twin = sample(face(0, 0.01));
    const unlike = sample(face(0, 0.5), 0.6);
    const unfit = sample(face(0, 0.9), 0.1);
    const best = sample(face(0), 0.9);
    const mean = chooseMean([{ embeddings: [unfit, twin] }, { embeddings: [unlike, best] }], RULES.recognisers)!;
    expect(cosine(mean, meanFace(RULES.recognisers, [best.embedding, unlike.embedding, twin.embedding]))).toBeCloseTo(
      1,
      6,
    );
    expect(chooseMean([{ embeddings: [] }], RULES.recognisers)).toBeNull();
  });
});

describe('vectors', () => {
  it('normalise, compare and average', () => {
    expect([...normalise(Float32Array.of(3, 4))]).toEqual([expect.closeTo(0.6, 6), expect.closeTo(0.8, 6)]);
    expect([...normalise(Float32Array.of(0, 0))]).toEqual([0, 0]);
    expect(() => cosine(Float32Array.of(1), Float32Array.of(1, 0))).toThrow(RangeError);
    expect(() => meanFace(RULES.recognisers, [])).toThrow(RangeError);
    expect([median([3, 1, 2]), median([1, 2]), median([])]).toEqual([2, 1.5, NaN]);
    expect([quantile([1, 2, 3], 0.5), quantile([1, 3], 0.25), quantile([], 0.5)]).toEqual([2, 1.5, NaN]);
  });
});

describe('a set of recognisers', () => {
  const pair = [{ length: 4, share: 0.25 }, { length: 2, share: 0.75 }]; // prettier-ignore
  const person = (a: number[], b: number[]) => joined(pair, [Float32Array.from(a), Float32Array.from(b)]);

  it('compares by the weighted sum of each one’s cosine, whatever the lengths of their embeddings', () => {
    const one = person([3, 0, 0, 0], [0, 50]);
    const other = person([3, 4, 0, 0], [50, 0]);
    expect(cosine(one, one)).toBeCloseTo(1, 6);
    expect(cosine(one, other)).toBeCloseTo(0.25 * 0.6 + 0.75 * 0, 6);
  });

  it('averages recogniser by recogniser: one that wavers loses nothing of its share', () => {
    const mean = meanFace(pair, [person([1, 0, 0, 0], [1, 0]), person([0, 1, 0, 0], [1, 0])]);
    expect(cosine(mean, mean)).toBeCloseTo(1, 6);
    expect(cosine(mean, person([1, 0, 0, 0], [0, 1]))).toBeCloseTo(0.25 * Math.SQRT1_2, 6);
    expect(cosine(mean, person([0, 0, 1, 0], [1, 0]))).toBeCloseTo(0.75, 6);
  });

  it('decides an attempt, and refuses vectors of another set', () => {
    const rules = { recognisers: pair, match: 0.9, onePerson: 0.5 };
    const shown = [step({ embeddings: [sample(person([1, 0, 0, 0], [1, 0]))], antispoof: SEEN })];
    const at = (template: Float32Array) => judgeAttempt(shown, template, rules);
    expect(at(person([1, 0, 0, 0], [1, 0])).judgement).toBe('ok');
    expect(at(person([1, 0, 0, 0], [0, 1]))).toEqual({ judgement: 'mismatch', similarity: expect.closeTo(0.25, 6) as number }); // prettier-ignore
    expect(() => joined(pair, [new Float32Array(4), new Float32Array(3)])).toThrow('an embedding of 3, not 2');
    expect(() => meanFace(pair, [new Float32Array(5)])).toThrow('no vectors of this set');
    expect(() => meanFace(pair, [])).toThrow('no vectors of this set');
  });
});
