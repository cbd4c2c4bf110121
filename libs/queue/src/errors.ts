/** A fault that may pass: the job is tried again as its contract says. What BullMQ does with any other error, too. */
export class RetryableError extends Error {
  override name = 'RetryableError';
}

/** A fault that a repeat cannot mend: the job is not tried again. */
export class PermanentError extends Error {
  override name = 'PermanentError';
}

/** Redis does not answer. Thrown at once, never after waiting for its return. */
export class TransportDownError extends Error {
  override name = 'TransportDownError';
}
