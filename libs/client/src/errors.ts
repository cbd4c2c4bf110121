import type { ErrorCode } from './api.js';

/** A refusal: RFC 9457 problem+json. `code` is stable; `problem` holds the refusal's own numbers and dates, too. */
export class CountersignError extends Error {
  override name = 'CountersignError';

  constructor(
    readonly status: number,
    /** One of `ErrorCode`; a newer server may have others. */
    readonly code: ErrorCode | (string & Record<never, never>),
    /** Seconds after which asking again may help. */
    readonly retryAfterSeconds: number | null,
    readonly problem: Readonly<Record<string, unknown>>,
  ) {
    super(`${status} ${code}`);
  }
}

/** No answer: the service is away, too slow, or what answered is not Countersign. Whoever guards something denies. */
export class CountersignUnreachableError extends Error {
  override name = 'CountersignUnreachableError';
}
