import { readFileSync } from 'node:fs';
import type { Problem } from './production.js';

/** An empty variable is an unset one: `FOO= cmd` must not defeat a default. `X_FILE` names the file that holds X. */
export function valuesOf(
  names: readonly string[],
  source: Record<string, string | undefined>,
): { given: Record<string, string>; problems: Problem[] } {
  const given: Record<string, string> = {};
  const problems: Problem[] = [];
  for (const name of names) {
    const value = source[name];
    const file = source[`${name}_FILE`];
    if (value && file) problems.push({ variable: name, must: `must not be set twice, as ${name} and ${name}_FILE` });
    else if (value) given[name] = value;
    else if (file) {
      try {
        given[name] = readFileSync(file, 'utf8').trim();
      } catch {
        problems.push({ variable: `${name}_FILE`, must: 'must name a file that can be read' });
      }
    }
  }
  return { given, problems };
}
