import { ConfigError } from '#config';

/** The variables that a configuration refuses; none when it is taken. */
export function problemsOf(parse: () => unknown): string[] {
  try {
    parse();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ variable }) => variable);
    throw error;
  }
}
