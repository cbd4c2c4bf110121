import { meanFace } from '../../apps/inference/src/pipeline/recognisers.js';
import { compareAllVsAll, comparePairs, compareTemplates, type Mean } from './compare.js';
import { propose } from './calibrate.js';
import type { Embedding } from './faces.js';
import { type Detected, judgeDetections, type Label } from './gesture-events.js';
import { sortedScores } from './statistics.js';

const face = (angle: number): Embedding => ({
  kind: 'face',
  vector: Float32Array.from([Math.cos(angle), Math.sin(angle)]),
});

describe('comparisons', () => {
  const faces = new Map<string, Embedding>([
    ['a/1', face(0)],
    ['a/2', face(0.1)],
    ['b/1', face(1)],
    ['c/1', { kind: 'no_face' }],
    ['c/2', face(2)],
    ['d/1', { kind: 'unreadable' }],
  ]);

  it('refuse a genuine pair without a face and leave out an impostor pair without one', () => {
    const pair = (fileA: string, fileB: string, same: boolean) => ({ fileA, fileB, same });
    const scores = comparePairs([pair('a/1', 'a/2', true), pair('c/1', 'c/2', true), pair('a/1', 'd/1', false)], faces);
    expect(scores[0]).toBeCloseTo(Math.cos(0.1), 6);
    expect(scores[1]).toBe(-1);
    expect(scores[2]).toBeNaN();
  });

  it('of all people use one face of each, the first that was found', () => {
    const seen: string[] = [];
    expect(
      compareAllVsAll(faces, { seed: 1, everyImage: false }, (a, b, s) => seen.push(`${a}${b} ${s.toFixed(2)}`)),
    ).toBe(3);
    expect(seen).toEqual(['ba 0.54', 'ca -0.42', 'cb 0.54']);
    const every: string[] = [];
    expect(compareAllVsAll(faces, { seed: 1, everyImage: true }, (a, b) => every.push(`${a}${b}`))).toBe(3);
    expect(every).toEqual(['ba', 'ba', 'ca', 'ca', 'cb']);
  });

  it('of templates never use a picture on both sides, nor a comparison twice', () => {
    const mean: Mean = (vectors) => meanFace([{ length: vectors[0]!.length, share: 1 }], vectors);
    const many = new Map<string, Embedding>();
    for (const person of ['p', 'q', 'r']) for (let i = 0; i < 4; i++) many.set(`${person}/${i}`, face(i));
    for (const person of ['s', 't']) for (let i = 0; i < 2; i++) many.set(`${person}/${i}`, face(i));
    many.set('u/0', face(0));
    const genuine: number[] = [];
    const impostor: string[] = [];
    const found = compareTemplates(
      many,
      { template: 2, probe: 2, seed: 1, mean },
      (_a, _b, s) => genuine.push(s),
      (a, b) => impostor.push(`${a}${b}`),
    );
    expect(found).toEqual({ peopleGenuine: 3, people: 5 });
    expect(genuine).toHaveLength(3);
    // The angles 0..3 in two disjoint halves: no half equals the other.
    for (const s of genuine) expect(s).toBeLessThan(0.999);
    expect(new Set(impostor).size).toBe(impostor.length);
    expect(impostor).toHaveLength(5 * 4 - 1);
    expect(() =>
      compareTemplates(
        many,
        { template: 4, probe: 3, seed: 1, mean },
        () => 0,
        () => 0,
      ),
    ).toThrow('nobody has 7');
  });
});

describe('a proposed threshold', () => {
  it('comes with bounds, and with a warning where the sample proves little', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => i / 100_000);
    const { threshold, bounds95, warnings } = propose(sortedScores([0.99999], many), 0.01);
    expect(threshold).toBeCloseTo(0.99, 4);
    expect(bounds95.lower).toBeLessThan(threshold);
    expect(bounds95.upper).toBeGreaterThan(threshold);
    expect(warnings).toEqual([]);
    const few = propose(sortedScores([0.9], [0.1, 0.2, 0.3]), 1e-4);
    expect(few.threshold).toBeGreaterThan(0.3);
    expect(few.bounds95.upper).toBeNull();
    expect(few.warnings[0]).toMatch(/0 of 3 proves only a rate below 7\.1e-1/);
  });
});

describe('gestures seen against gestures labelled', () => {
  const label = (event: Label['event'], from: number, to: number): Label => ({ event, fromMs: from, toMs: to });
  const seen = (gesture: Detected['gesture'], from: number, to = from): Detected => ({
    gesture,
    fromMs: from,
    toMs: to,
  });

  it('count hits, misses and what is false, with tolerance; ambiguous spans count neither way', () => {
    const labels = [
      label('blink', 1000, 1200),
      label('turn', 2000, 2500),
      label('smile', 5000, 6000),
      label('ambiguous', 7000, 8000),
      label('neutral', 9000, 9900),
      label('eyes_closed_long', 12_000, 14_000),
    ];
    const found = [
      seen('blink', 1250, 1400),
      seen('turn_right', 2600),
      seen('turn_left', 7500),
      seen('smile', 9500),
      seen('turn_left', 12_500),
      seen('blink', 13_000, 13_100),
    ];
    const judged = judgeDetections(found, labels, 300);
    expect(judged.hits.map((l) => l.event)).toEqual(['blink', 'turn']);
    expect(judged.misses.map((l) => l.event)).toEqual(['smile']);
    expect(judged.falseDetections.map((d) => d.fromMs)).toEqual([9500, 12_500, 13_000]);
    expect(judged.quiet.map((q) => q.clean)).toEqual([false, false]);
  });

  it('an instant inside a span counts as inside of it', () => {
    const judged = judgeDetections([], [label('neutral', 0, 100)], 0);
    expect(judged.quiet).toMatchObject([{ clean: true }]);
  });
});
