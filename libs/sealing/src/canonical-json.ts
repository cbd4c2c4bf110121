import { createHash } from 'node:crypto';

/** What becomes of a member that is undefined: an error, or nothing, as `JSON.stringify` has it. */
export type UndefinedMembers = 'refused' | 'left out';

/**
 * JSON in the canonical form of RFC 8785 (JCS): members sorted by their UTF-16 code units, numbers and strings as
 * ECMAScript writes them, no white space.
 *
 * @throws TypeError for what I-JSON cannot hold: numbers that are not finite, lone surrogates, values that are no JSON.
 */
export function canonicalJson(value: unknown, undefinedMembers: UndefinedMembers = 'refused'): string {
  switch (typeof value) {
    case 'string':
      return text(value);
    case 'boolean':
      return String(value);
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('a number that is not finite has no canonical form');
      return JSON.stringify(value);
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item, undefinedMembers)).join(',')}]`;
      return record(value as Record<string, unknown>, undefinedMembers);
    default:
      throw new TypeError(`a ${typeof value} has no canonical form`);
  }
}

/** SHA-256 (hex) of a value's canonical JSON, undefined members left out. */
export const valueDigest = (value: unknown): string =>
  createHash('sha256').update(canonicalJson(value, 'left out')).digest('hex');

function record(members: Record<string, unknown>, undefinedMembers: UndefinedMembers): string {
  if (Object.getPrototypeOf(members) !== Object.prototype)
    throw new TypeError('only plain objects have a canonical form');
  const given = Object.keys(members).sort();
  const names = undefinedMembers === 'refused' ? given : given.filter((name) => members[name] !== undefined);
  return `{${names.map((name) => `${text(name)}:${canonicalJson(members[name], undefinedMembers)}`).join(',')}}`;
}

function text(value: string): string {
  if (/\p{Surrogate}/u.test(value)) throw new TypeError('a lone surrogate has no canonical form');
  return JSON.stringify(value);
}
