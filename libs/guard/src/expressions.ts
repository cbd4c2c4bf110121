/**
 * Aggregation expressions as values. Whatever is not an `Expr` is wrapped in `$literal`, so a value that came from
 * outside (a device name `$$ROOT`, an object `{$ne: null}`) can never become an operator: only this file makes operators.
 */
export class Expr {
  constructor(readonly json: unknown) {}
}

export type Operand =
  Expr | string | number | boolean | null | Date | readonly unknown[] | { readonly [key: string]: unknown };

export const toJson = (operand: Operand): unknown => (operand instanceof Expr ? operand.json : { $literal: operand });

const op = (name: string, ...args: Operand[]): Expr => new Expr({ [name]: args.map(toJson) });

/** A field of the document. The path is always one of ours. */
export const field = (path: string): Expr => new Expr(`$${path}`);
/** The database's clock, or a part of a variable bound by `each`, `pick` or `bind`. */
export const variable = (path: string): Expr => new Expr(`$$${path}`);

export const and = (...tests: Operand[]): Expr => op('$and', ...tests);
export const or = (...tests: Operand[]): Expr => op('$or', ...tests);
export const not = (test: Operand): Expr => op('$not', test);
export const eq = (a: Operand, b: Operand): Expr => op('$eq', a, b);
export const ne = (a: Operand, b: Operand): Expr => op('$ne', a, b);
export const lt = (a: Operand, b: Operand): Expr => op('$lt', a, b);
export const lte = (a: Operand, b: Operand): Expr => op('$lte', a, b);
export const gt = (a: Operand, b: Operand): Expr => op('$gt', a, b);
export const gte = (a: Operand, b: Operand): Expr => op('$gte', a, b);
/** Sum; a date plus a number is a date that many milliseconds later. */
export const add = (...terms: Operand[]): Expr => op('$add', ...terms);
/** Difference; of two dates: milliseconds. */
export const subtract = (a: Operand, b: Operand): Expr => op('$subtract', a, b);
export const multiply = (a: Operand, b: Operand): Expr => op('$multiply', a, b);
export const mod = (a: Operand, b: number): Expr => op('$mod', a, b);
export const max = (...terms: Operand[]): Expr => op('$max', ...terms);
export const min = (...terms: Operand[]): Expr => op('$min', ...terms);

export const ifNull = (value: Operand, otherwise: Operand): Expr => op('$ifNull', value, otherwise);
/** Null or missing. */
export const isNull = (value: Operand): Expr => eq(ifNull(value, null), null);
export const present = (value: Operand): Expr => not(isNull(value));
export const cond = (test: Operand, then: Operand, otherwise: Operand): Expr => op('$cond', test, then, otherwise);
/** The first case whose test holds. */
export const choose = (cases: readonly (readonly [test: Operand, then: Operand])[], otherwise: Operand): Expr =>
  cases.reduceRight<Operand>((rest, [test, then]) => cond(test, then, rest), otherwise) as Expr;

export const list = (...items: Operand[]): Expr => new Expr(items.map(toJson));
export const concat = (...lists: Operand[]): Expr => op('$concatArrays', ...lists);
export const size = (of: Operand): Expr => op('$size', of);
export const at = (of: Operand, index: Operand): Expr => op('$arrayElemAt', of, index);
export const isIn = (value: Operand, among: Operand): Expr => op('$in', value, among);
/** `[item]` if the test holds, else `[]`: for appending what may not be there. */
export const maybe = (test: Operand, item: Operand): Expr => cond(test, list(item), []);
/** The list with items appended, the oldest dropped beyond `cap`. */
export const pushRing = (ring: Operand, items: Operand, cap: number): Expr => op('$slice', concat(ring, items), -cap);

/** A variable bound inside `each`, `only` and `bind`; `item('a.b')` is a part of it, `item()` the whole. */
export type Item = (path?: string) => Expr;
const item =
  (name: string): Item =>
  (path) =>
    variable(path === undefined ? name : `${name}.${path}`);

/** The items for which the test holds. */
export const only = (input: Operand, test: (i: Item) => Expr): Expr =>
  new Expr({ $filter: { input: toJson(input), as: 'item', cond: toJson(test(item('item'))) } });
export const each = (input: Operand, make: (i: Item) => Operand): Expr =>
  new Expr({ $map: { input: toJson(input), as: 'item', in: toJson(make(item('item'))) } });
/** Gives a value a name, so that it is computed once. Names nest: use different ones. */
export const bind = (name: string, value: Operand, make: (i: Item) => Operand): Expr =>
  new Expr({ $let: { vars: { [name]: toJson(value) }, in: toJson(make(item(name))) } });

/** The list with the element at `index` replaced. */
export const replaceAt = (of: Operand, index: number, value: Operand): Expr =>
  each(op('$range', 0, size(of)), (i) => cond(eq(i(), index), value, at(of, i())));
/** The first items, at least one. */
export const firstOf = (of: Operand, count: Operand): Expr => op('$slice', of, count);

/** An object; the keys are ours. Always a whole value, never merged into what was there. */
export const object = (fields: Readonly<Record<string, Operand>>): Expr =>
  new Expr({ $mergeObjects: [Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, toJson(v)]))] });
export const merge = (...objects: Operand[]): Expr => op('$mergeObjects', ...objects);
/** `{key: value}` if the value is present, else `{}`: an optional field is absent, not null. */
export const optional = (key: string, value: Operand): Expr => cond(isNull(value), {}, object({ [key]: value }));

/** Strings and numbers joined to one string. */
export const text = (...parts: Operand[]): Expr =>
  new Expr({ $concat: parts.map((part) => ({ $toString: toJson(part) })) });

const SECOND = 1_000;
export const wholeSeconds = (milliseconds: Operand): Expr =>
  new Expr({ $toInt: { $ceil: { $divide: [toJson(milliseconds), SECOND] } } });
export const isoTime = (date: Operand): Expr =>
  new Expr({ $dateToString: { date: toJson(date), format: '%Y-%m-%dT%H:%M:%S.%LZ' } });
