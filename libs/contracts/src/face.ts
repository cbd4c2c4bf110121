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

/** Steps of one challenge. */
export const CHALLENGE_STEPS = 3;
/** Steps that an attempt after an undecided one may have: what was shown before, then `CHALLENGE_NEW_STEPS`. */
export const CHALLENGE_STEPS_MAX = 6;
/** Steps at the end of every challenge that were never shown before. */
export const CHALLENGE_NEW_STEPS = 2;
