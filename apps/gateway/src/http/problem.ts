import type { ErrorCode } from '#contracts';

/** Members of an answer beside the standard ones: numbers, dates and ids a client can act on. Never free text. */
export type ProblemExtras = Record<string, string | number | boolean | null | readonly string[]>;

/** A refusal that a client sees as RFC 9457 problem+json. Status and title come from the error table. */
export class Problem extends Error {
  readonly extras: ProblemExtras;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    readonly code: ErrorCode,
    o: { extras?: ProblemExtras; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(code, { cause: o.cause });
    this.name = 'Problem';
    this.extras = o.extras ?? {};
    this.retryAfterSeconds = o.retryAfterSeconds;
  }
}
