/** What a program says that was called wrongly, and its exit code. */
export function wrongly(what: string, help: string): number {
  console.error(`${what}\n\n${help}`);
  return 2;
}

/** Ends the process as its program ended: with that exit code, or with 1 and what was thrown. */
export function exitAs(program: Promise<number>): void {
  program.then(
    (code) => process.exit(code),
    (error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      process.exit(1);
    },
  );
}
