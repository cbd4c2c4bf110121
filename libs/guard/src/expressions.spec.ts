import { add, bind, cond, eq, field, list, object, type Operand, pushRing, toJson } from './expressions.js';

describe('expressions', () => {
  it('wrap every value that is not one of ours in $literal', () => {
    const values: Operand[] = ['$$ROOT', '$strikes', { $ne: null }, ['$x'], 1, true, null, new Date(0)];
    for (const value of values) expect(toJson(eq(field('a'), value))).toEqual({ $eq: ['$a', { $literal: value }] });
    for (const value of values) expect(toJson(list(value))).toEqual([{ $literal: value }]);
    for (const value of values)
      expect(toJson(object({ k: value }))).toEqual({ $mergeObjects: [{ k: { $literal: value } }] });
  });

  it('keep the expressions inside as they are', () => {
    expect(
      toJson(
        cond(
          field('a'),
          add(field('b'), 1),
          bind('n', field('c'), (n) => n('d')),
        ),
      ),
    ).toEqual({
      $cond: ['$a', { $add: ['$b', { $literal: 1 }] }, { $let: { vars: { n: '$c' }, in: '$$n.d' } }],
    });
  });

  it('a ring keeps its newest entries', () => {
    expect(toJson(pushRing(field('r'), ['x'], 3))).toEqual({
      $slice: [{ $concatArrays: ['$r', { $literal: ['x'] }] }, { $literal: -3 }],
    });
  });
});
