import { randomBytes, randomInt as cryptoRandomInt } from 'node:crypto';
import { type Action, ACTIONS, CHALLENGE_NEW_STEPS, CHALLENGE_STEPS, challengeSteps, shownStepsMax } from '#contracts';

/** The gestures a user may be asked for. */
export const allowedActions = (optOuts: readonly Action[]): Action[] => ACTIONS.filter((a) => !optOuts.includes(a));

/**
 * The steps of one challenge, drawn independently (repeats allowed) with a CSPRNG. The fewer gestures, the more steps, so
 * that there are 64 sequences at least; `short` is for people who asked for three.
 */
export function drawChallenge(
  allowed: readonly Action[],
  randomInt: (max: number) => number = (max) => cryptoRandomInt(max),
  short = false,
): Action[] {
  const steps = challengeSteps(allowed.length);
  return Array.from({ length: short ? CHALLENGE_STEPS : steps }, () => allowed[randomInt(allowed.length)] as Action);
}

/**
 * The actions of an attempt: those that an undecided attempt of the last minutes has shown (not more than
 * `shownStepsMax`), then of the draw what is lacking to its length, two at least. The same as the pipeline of `begin`, in
 * TypeScript.
 */
export function actionsAfter(shown: readonly Action[], drawn: readonly Action[]): Action[] {
  const before = shown.slice(0, shownStepsMax(drawn.length));
  return [...before, ...drawn.slice(0, Math.max(CHALLENGE_NEW_STEPS, drawn.length - before.length))];
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
