import { randomBytes, randomInt as cryptoRandomInt } from 'node:crypto';
import { type Action, ACTIONS, CHALLENGE_NEW_STEPS, CHALLENGE_STEPS, CHALLENGE_STEPS_MAX } from '#contracts';

/** The gestures a user may be asked for. */
export const allowedActions = (optOuts: readonly Action[]): Action[] => ACTIONS.filter((a) => !optOuts.includes(a));

/** The steps of one challenge, drawn independently (repeats allowed) with a CSPRNG. */
export function drawChallenge(
  allowed: readonly Action[],
  randomInt: (max: number) => number = (max) => cryptoRandomInt(max),
): Action[] {
  if (allowed.length === 0) throw new RangeError('no gesture is allowed');
  return Array.from({ length: CHALLENGE_STEPS }, () => allowed[randomInt(allowed.length)] as Action);
}

/**
 * The actions of an attempt: those that an undecided attempt of the last minutes has shown (at most four), then two of the
 * draw; the whole draw where nothing was shown. The same as the pipeline of `begin`, in TypeScript.
 */
export function actionsAfter(shown: readonly Action[], drawn: readonly Action[]): Action[] {
  const before = shown.slice(0, CHALLENGE_STEPS_MAX - CHALLENGE_NEW_STEPS);
  return before.length === 0 ? [...drawn] : [...before, ...drawn.slice(0, CHALLENGE_NEW_STEPS)];
}

/** 128 random bits, hex. */
export const newChallengeId = (): string => randomBytes(16).toString('hex');

const RELEASE_GRID_MS = 250;

/**
 * How long an answer waits so that it is released at receipt of the last step (or of a login) + k * 250 ms: the time of
 * an answer then tells nothing about what was computed.
 */
export function nextReleaseDelayMs(lastStepAt: Date | null, now: Date): number {
  if (!lastStepAt) return 0;
  const beyond = Math.max(0, now.getTime() - lastStepAt.getTime()) % RELEASE_GRID_MS;
  return beyond === 0 ? 0 : RELEASE_GRID_MS - beyond;
}
