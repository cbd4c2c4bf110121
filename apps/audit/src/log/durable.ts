/** On the disks of a majority before it counts. */
export const DURABLE = { w: 'majority', j: true } as const;
export const DUPLICATE_KEY = 11_000;

/** True only if duplicates are all that went wrong: a write concern that was not met means that nothing is safe yet. */
export function isDuplicateOnly(error: unknown): boolean {
  const { code, writeErrors, result } = error as {
    code?: unknown;
    writeErrors?: { code?: unknown }[] | { code?: unknown };
    result?: { getWriteConcernError?: () => unknown };
  };
  if (result?.getWriteConcernError?.()) return false;
  const errors = writeErrors === undefined ? [] : [writeErrors].flat();
  return errors.length > 0 ? errors.every((e) => e.code === DUPLICATE_KEY) : code === DUPLICATE_KEY;
}
