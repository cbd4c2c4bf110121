/**
 * JSON in the canonical form of RFC 8785 (JCS): members sorted by their UTF-16 code units, numbers and strings as
 * ECMAScript writes them, no white space.
 *
 * @throws TypeError for what I-JSON cannot hold: numbers that are not finite, lone surrogates, values that are no JSON.
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return text(value);
    case 'boolean':
      return String(value);
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('a number that is not finite has no canonical form');
      return JSON.stringify(value);
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? list(value) : record(value as Record<string, unknown>);
    default:
      throw new TypeError(`a ${typeof value} has no canonical form`);
  }
}

const list = (items: unknown[]): string => `[${items.map(canonicalJson).join(',')}]`;

const record = (members: Record<string, unknown>): string =>
  `{${Object.keys(members)
    .sort()
    .map((name) => `${text(name)}:${canonicalJson(members[name])}`)
    .join(',')}}`;

function text(value: string): string {
  if (/\p{Surrogate}/u.test(value)) throw new TypeError('a lone surrogate has no canonical form');
  return JSON.stringify(value);
}
