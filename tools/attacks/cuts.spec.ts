import { cutsOf, type LabelledSpan } from './cuts.js';

const span = (event: LabelledSpan['event'], fromS: number, toS: number, file = 'a.mp4'): LabelledSpan => {
  return { person: 'a', file, event, fromS, toS };
};
const reasons = (...spans: LabelledSpan[]): string[] => cutsOf(spans).leftOut.map((l) => l.why);

describe('genuine steps cut from labelled clips', () => {
  it('begin at rest and end a little after the gesture', () => {
    const { cuts, leftOut } = cutsOf([span('smile', 5, 6)]);
    expect(leftOut).toEqual([]);
    expect(cuts).toHaveLength(1);
    expect(cuts[0]).toMatchObject({ action: 'smile', mirrored: false, gestureS: 5 });
    expect(cuts[0]!.fromS).toBeCloseTo(3.8);
    expect(cuts[0]!.toS).toBeCloseTo(6.5);
  });

  it('keep away from what is labelled before and after, and last no longer than a step', () => {
    const [cut] = cutsOf([span('ambiguous', 3, 4.2), span('smile', 5, 6), span('ambiguous', 6.3, 7)]).cuts;
    expect(cut!.fromS).toBeCloseTo(4.3);
    expect(cut!.toS).toBeCloseTo(6.2);
    const [long] = cutsOf([span('smile', 5, 20)]).cuts;
    expect(long!.toS - long!.fromS).toBeCloseTo(5.2);
  });

  it('show each turn also mirrored, as the other side', () => {
    const { cuts } = cutsOf([span('turn_left', 5, 6)]);
    expect(cuts.map((c) => [c.action, c.mirrored])).toEqual([
      ['turn_left', false],
      ['turn_right', true],
    ]);
  });

  it('leave out what overlaps another gesture or an ambiguous span, but for blinks', () => {
    expect(reasons(span('smile', 5, 6), span('ambiguous', 5.9, 7))).toEqual(['overlaps another gesture']);
    expect(reasons(span('smile', 5, 7), span('turn_left', 6, 6.5))).toEqual([
      'overlaps another gesture',
      'overlaps another gesture',
    ]);
    expect(cutsOf([span('smile', 5, 7), span('blink', 6, 6.2)]).cuts.map((c) => c.action)).toEqual(['smile']);
    expect(reasons(span('smile', 5, 6), span('ambiguous', 5, 7, 'b.mp4'))).toEqual([]);
  });

  it('leave out what has no rest before it, or no side', () => {
    expect(reasons(span('smile', 0.3, 2))).toEqual(['no rest before it']);
    expect(reasons(span('ambiguous', 3, 4.7), span('smile', 5, 6))).toEqual(['no rest before it']);
    expect(reasons(span('turn', 5, 6))).toEqual(['side not labelled']);
  });

  it('hold at least two blinks, each shown once', () => {
    const { cuts, leftOut } = cutsOf([span('blink', 5, 5.2), span('blink', 8, 8.2), span('blink', 30, 30.2)]);
    expect(cuts).toHaveLength(1);
    expect(cuts[0]!.toS).toBeCloseTo(8.7);
    expect(leftOut.map((l) => [l.fromS, l.why])).toEqual([[30, 'fewer than two blinks in 6 s']]);
    expect(reasons(span('blink', 5, 5.2), span('smile', 6, 7), span('blink', 8, 8.2))).toContain(
      'fewer than two blinks in 6 s',
    );
  });
});
