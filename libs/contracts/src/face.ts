import { z } from 'zod';

/** Gestures a challenge may ask for. `turn_left` and `turn_right` are the person's own left and right. */
export const ACTIONS = ['blink', 'turn_left', 'turn_right', 'smile'] as const;
export type Action = (typeof ACTIONS)[number];
export const actionSchema = z.enum(ACTIONS);

/** Why a capture is made. Decided by the route, never by the client. */
export const PURPOSES = ['verify', 'enrol', 'practice'] as const;
export type Purpose = (typeof PURPOSES)[number];
export const purposeSchema = z.enum(PURPOSES);

/** The only detail about a failed capture that a client ever gets. */
export const QUALITY_CODES = [
  'no_face',
  'multiple_faces',
  'too_dark',
  'too_bright',
  'too_far',
  'too_close',
  'off_centre',
  'blurred',
  'eyes_hidden',
  'face_covered',
  'too_few_frames',
  'moved_too_much',
  'unreadable',
] as const;
export type QualityCode = (typeof QUALITY_CODES)[number];
export const qualityCodeSchema = z.enum(QUALITY_CODES);

/**
 * What the worker found in one step. All but `done` and `quality` mean that a face was there and did not do what was
 * asked, which costs a strike; `quality` means that nothing could be judged.
 */
export const stepVerdictSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('done') }),
  z.strictObject({ kind: z.literal('wrong_action') }),
  z.strictObject({ kind: z.literal('no_action') }),
  z.strictObject({ kind: z.literal('discontinuous') }),
  z.strictObject({ kind: z.literal('not_one_person') }),
  z.strictObject({ kind: z.literal('quality'), code: qualityCodeSchema }),
]);
export type StepVerdict = z.infer<typeof stepVerdictSchema>;

/** The fewest steps of a challenge, and those of a short one. */
export const CHALLENGE_STEPS = 3;
/** As many sequences as a challenge is drawn from, at least: those of three steps and all four gestures. */
const CHALLENGE_SEQUENCES = ACTIONS.length ** CHALLENGE_STEPS;
/** The fewest gestures that somebody may be left with. */
export const GESTURES_MIN = 2;

/** Steps of a challenge for somebody who makes so many gestures: as many as make `CHALLENGE_SEQUENCES`; 3, 4 or 6. */
export function challengeSteps(gestures: number): number {
  if (gestures < GESTURES_MIN) throw new RangeError('a challenge is drawn from two gestures at least');
  let steps = CHALLENGE_STEPS;
  while (gestures ** steps < CHALLENGE_SEQUENCES) steps++;
  return steps;
}

/** Steps at the end of every challenge that were never shown before. */
export const CHALLENGE_NEW_STEPS = 2;
/**
 * How many shown actions an attempt after an undecided one begins with: never fewer than a draw has, or whoever leaves at a
 * late misfit would have it drawn anew.
 */
export const shownStepsMax = (drawnSteps: number): number => Math.max(CHALLENGE_STEPS + 1, drawnSteps);
/** The most steps that an attempt can have. */
export const CHALLENGE_STEPS_MAX = shownStepsMax(challengeSteps(GESTURES_MIN)) + CHALLENGE_NEW_STEPS;
