/** The command was called wrongly or its input is not as it must be: exit code 2, the message alone is printed. */
export class UsageError extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'UsageError';
  }
}

/** Files that a list names and that are not there: exit code 1, all of them are printed. */
export class MissingFilesError extends Error {
  constructor(files: readonly string[]) {
    super(`${files.length} missing:\n${files.map((f) => `  ${f}`).join('\n')}`);
    this.name = 'MissingFilesError';
  }
}
