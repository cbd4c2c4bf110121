import { type ManagedProcess } from './process.js';
import { type Log } from './shell.js';

/** In milliseconds. */
export interface Backoff {
  first: number;
  max: number;
  /** Who lived that long starts over with `first`. */
  steadyAfter: number;
}

const BACKOFF: Backoff = { first: 1_000, max: 30_000, steadyAfter: 60_000 };

/**
 * Starts a process again whenever it ended by itself, later each time if it does not stay up, and says so. One that
 * was ended on purpose (`ManagedProcess.kill`) stays so.
 *
 * @param start starts it and waits until it is ready
 * @returns what ends the watch; a start that is already under way goes on
 */
export function keepAlive(
  process: ManagedProcess,
  start: () => Promise<void>,
  log: Log,
  backoff: Backoff = BACKOFF,
): () => void {
  const { name } = process.spec;
  let waitMs = backoff.first;
  let timer: NodeJS.Timeout | undefined;
  let startedAt = performance.now();
  let over = false;

  const again = (): void => {
    if (over) return;
    if (performance.now() - startedAt > backoff.steadyAfter) waitMs = backoff.first;
    clearTimeout(timer);
    timer = setTimeout(() => void attempt(), waitMs);
    log(`${name}: starts again in ${waitMs / 1_000} s`);
    waitMs = Math.min(waitMs * 2, backoff.max);
  };
  const attempt = async (): Promise<void> => {
    timer = undefined;
    // Somebody else may have started it.
    if (over || process.running) return;
    startedAt = performance.now();
    try {
      await start();
    } catch (error) {
      log(error instanceof Error ? error.message : String(error));
      // One that ended before it was ready has said so by dying; one that could not be run has not.
      if (!process.running && timer === undefined) again();
    }
  };
  process.on('died', again);
  if (!process.running) again();
  return () => {
    over = true;
    clearTimeout(timer);
    process.off('died', again);
  };
}
