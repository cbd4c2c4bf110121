import { seeded } from '#testing';

/** Numbers 0..1 that follow from a name: the same name, the same numbers. */
export type Random = () => number;

/** FNV-1a of the name seeds the generator. */
export function randomOf(...name: (string | number)[]): Random {
  let hash = 0x811c9dc5;
  for (const c of Buffer.from(name.join('\0'))) hash = Math.imul(hash ^ c, 0x01000193);
  const random = seeded(hash);
  random();
  return random;
}

export const between = (random: Random, from: number, to: number): number => from + (to - from) * random();
export const below = (random: Random, max: number): number => Math.min(max - 1, Math.floor(random() * max));

export function oneOf<T>(random: Random, values: readonly T[]): T {
  const found = values[below(random, values.length)];
  if (found === undefined) throw new RangeError('nothing to choose from');
  return found;
}
