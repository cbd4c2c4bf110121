import type { Action, QualityCode, StepVerdict } from '#contracts';
import {
  alternates,
  type Blink,
  blinks,
  GESTURE,
  isTurn,
  type Sample,
  smiled,
  stoodStill,
  strayed,
  turned,
} from './gestures.js';
import { DIM_BELOW } from './crops.js';
import { ANTISPOOF_FACE_PX_MIN, FRONTAL_YAW, LIVE_MIN } from './analyse.js';
import type { Exposure, FrameSignal, SignalTrack, StepSamples } from './signals.js';
import { median } from './vector.js';

/** What must hold before a step is judged at all, and what ends it whatever was asked. */
export const STEP = {
  unreadableShareMax: 0.2,
  faceShareMin: 0.7,
  framesMin: 8,
  /** 15 are asked for; a few may be dropped on the way. */
  fpsMin: 13,
  /** Area of a second face ÷ area of the first above which neither dominates, on this share of the looks. */
  secondFaceArea: 0.35,
  secondFaceShare: 0.34,
  /** Outer eye corners, pixels; and as a share of the picture's longer side: a selfie held upright fills the shorter. */
  eyeSpanMin: 45,
  eyeSpanShareMax: 0.45,
  /** Of the frontal frames, so many must show a face that is large enough for the anti-spoof. */
  largeShareMin: 0.2,
  insideMin: 0.95,
  outsideShareMax: 0.4,
  /** Without a face: a picture whose area is dark to this share, or clipped to that with this little well lit. */
  darkShare: 0.85,
  clippedShare: 0.3,
  litShareMax: 0.35,
  luminanceMin: 35,
  luminanceMax: 235,
  /** In less light than this the anti-spoof says less about people: what it would deny is too dark to be judged. */
  antispoofLuminanceMin: DIM_BELOW,
  sharpnessMin: 0.28,
  /** Median way of the face between two frames, eye spans a second, above which nothing can be seen. */
  speedMax: 3,
  /** Two frames less than this apart in time are neighbours; further apart, anything may have happened between. */
  neighbourMs: 150,
  /** Largest change between neighbours that a head can make at 10 frames a second and more. */
  jumpSpans: 1.2,
  jumpScale: 1.5,
  jumpYawDegrees: 40,
  /**
   * Lowest cosine of two fit frames of one step, with the shipped models: one person 0.69 and more (124 steps of 9 people,
   * shaken and dim ones too), where all frames together fall to 0.27.
   */
  onePersonCosine: 0.4,
  /** The same with frames that are smeared, nodded or turned far: who falls below is not another person, and not seen either. */
  doubtfulCosine: 0.25,
  blinks: 2,
  /** Two pictures, eyes open and closed, cut to and fro: 0.77 and more. People: at most 0.73 at 20 fps (46 blinks). */
  abruptnessMax: 0.75,
  /** Eyes behind something: both read as closed and this dark, or nothing drawn where they should be. */
  eyesShut: 0.9,
  eyesShade: 0.5,
  eyesDetail: 0.02,
  /** Nothing drawn where the mouth should be: drawn masks and hands mostly below, people at rest from 0.029 up. */
  mouthDetail: 0.02,
} as const;

/**
 * The verdict on one step: a pure function of the numbers, so that a recorded track always gets the same one. Quality
 * comes first (nothing can be said), then what no single person does, then the gestures.
 */
export function judgeStep(
  track: SignalTrack,
  samples: StepSamples,
  action: Action,
  onePersonCosine: number = STEP.onePersonCosine,
): StepVerdict {
  const faces: Sample[] = [];
  for (const f of track.frames) if (f.face) faces.push({ ...f.face, tMs: f.tMs });
  const shown = showing(track, faces, action);
  const poor = qualityOf(track, faces, Infinity);
  if (poor) {
    const poorBefore = shown ? qualityOf(track, faces, doneAt(shown, action)) : poor;
    if (poorBefore) return { kind: 'quality', code: poorBefore };
  }
  const isDim = median(faces.map((s) => s.luminance)) < STEP.antispoofLuminanceMin;
  if (isDim && samples.live !== null && samples.live < LIVE_MIN) return { kind: 'quality', code: 'too_dark' };
  if (samples.lowestCosine !== null && samples.embeddings >= 3 && samples.lowestCosine < onePersonCosine)
    return { kind: 'not_one_person' };
  if (alternates(faces)) return { kind: 'not_one_person' };
  if (samples.doubtfulCosine !== null && samples.doubtfulCosine < Math.min(STEP.doubtfulCosine, onePersonCosine))
    return { kind: 'quality', code: 'moved_too_much' };
  // A turn that goes on after it was done may lose the face, and find it again elsewhere.
  if (jumps(faces)) {
    const doneMs = shown && isTurn(action) ? doneAt(shown, action) : Infinity;
    if (jumps(faces.filter((s) => s.tMs <= doneMs))) return { kind: 'discontinuous' };
  }
  if (didAnother(faces, action)) return { kind: 'wrong_action' };
  if (!shown) {
    return speed(faces) > STEP.speedMax ? { kind: 'quality', code: 'moved_too_much' } : { kind: 'no_action' };
  }
  // A recording that ends before the window does and stands still then.
  if (stoodStill(faces)) return { kind: 'discontinuous' };
  return { kind: 'done' };
}

/** The frames that show the gesture: all, or those before the face was lost. Null where neither do. */
function showing(track: SignalTrack, all: readonly Sample[], action: Action): readonly Sample[] | null {
  if (did(all, action)) return all;
  const lostMs = firstLoss(track);
  const before = lostMs === Infinity ? [] : all.filter((s) => s.tMs < lostMs);
  return did(before, action) ? before : null;
}

/**
 * When the gesture was done: a moment up to which the frames alone show it. What comes after may be a face that is turned
 * away to full profile, or none.
 */
function doneAt(shown: readonly Sample[], action: Action): number {
  let [from, to] = [0, shown.length];
  while (to - from > 1) {
    const middle = (from + to) >> 1;
    if (did(shown.slice(0, middle), action)) to = middle;
    else from = middle;
  }
  return shown[to - 1]!.tMs;
}

/** When the face was first gone for longer than a dropped frame or two; Infinity where it never was. */
function firstLoss({ frames }: SignalTrack): number {
  let seenMs: number | null = null;
  for (const { tMs, face } of frames) {
    if (!face) {
      if (seenMs !== null && tMs - seenMs > STEP.neighbourMs) return seenMs + 1;
    } else seenMs = tMs;
  }
  return Infinity;
}

function did(faces: readonly Sample[], action: Action): boolean {
  switch (action) {
    case 'blink':
      return areBlinks(blinks(faces));
    case 'turn_left':
      return turned(faces, 'left');
    case 'turn_right':
      return turned(faces, 'right');
    case 'smile':
      return smiled(faces, GESTURE.smileHeldMs);
  }
}

/** Enough of them, and lids that moved: pooled over all, as one alone says too little at 15 fps. */
function areBlinks(found: readonly Blink[]): boolean {
  const abruptness = found.reduce((sum, b) => sum + b.abruptness, 0) / (found.length || 1);
  return found.length >= STEP.blinks && abruptness <= STEP.abruptnessMax;
}

/** Blinks are natural and never another gesture. */
function didAnother(faces: readonly Sample[], action: Action): boolean {
  return (
    (action !== 'turn_left' && strayed(faces, 'left')) ||
    (action !== 'turn_right' && strayed(faces, 'right')) ||
    (action !== 'smile' && smiled(faces, GESTURE.straySmileHeldMs))
  );
}

/** @param doneMs what is seen later counts for nothing: the gesture was done, and the head may be turned away or gone. */
function qualityOf(track: SignalTrack, all: readonly Sample[], doneMs: number): QualityCode | null {
  const frames = track.frames;
  if (frames.length === 0 || track.unreadable > STEP.unreadableShareMax * (frames.length + track.unreadable))
    return 'unreadable';
  const asked = frames.filter((f) => f.tMs <= doneMs);
  const faces = all.filter((s) => s.tMs <= doneMs);
  if (faces.length < STEP.faceShareMin * asked.length) return whyNoFace(asked);
  const looks = frames.filter((f) => f.second !== undefined);
  const shared = looks.filter((f) => (f.second ?? 0) >= STEP.secondFaceArea);
  if (shared.length > 0 && shared.length >= STEP.secondFaceShare * looks.length) return 'multiple_faces';
  // Frames that were sent: one in which the face is lost was sent, too.
  const seconds = (frames.at(-1)!.tMs - frames[0]!.tMs) / 1000;
  if (faces.length < STEP.framesMin || frames.length - 1 < STEP.fpsMin * seconds) return 'too_few_frames';
  const middle = (of: (s: Sample) => number): number => median(faces.map(of));
  const eyeSpan = middle((s) => s.eyeSpan);
  if (eyeSpan < STEP.eyeSpanMin || isSmall(faces)) return 'too_far';
  if (eyeSpan > STEP.eyeSpanShareMax * Math.max(track.width, track.height)) return 'too_close';
  if (faces.filter((s) => s.inside < STEP.insideMin).length > STEP.outsideShareMax * faces.length) {
    // Of a face that is larger than the picture no part can be moved inside.
    const isLarger =
      middle((s) => s.faceWidth) > track.width || middle((s) => s.eyeSpan / s.foreshortening) > track.height;
    return isLarger ? 'too_close' : 'off_centre';
  }
  const light = middle((s) => s.luminance);
  if (light < STEP.luminanceMin) return 'too_dark';
  if (light > STEP.luminanceMax) return 'too_bright';
  if (middle((s) => s.sharpness) < STEP.sharpnessMin) return 'blurred';
  if (2 * faces.filter(hidesEyes).length > faces.length) return 'eyes_hidden';
  if (middle((s) => s.mouthDetail) < STEP.mouthDetail) return 'face_covered';
  return null;
}

/** Too small for the anti-spoof on nearly all frames that it could look at. */
function isSmall(faces: readonly Sample[]): boolean {
  const frontal = faces.filter((s) => Math.abs(s.yaw) <= FRONTAL_YAW);
  const large = frontal.filter((s) => s.faceWidth >= ANTISPOOF_FACE_PX_MIN);
  return frontal.length > 0 && large.length < STEP.largeShareMin * frontal.length;
}

const hidesEyes = (s: Sample): boolean =>
  Math.max(s.lidRight, s.lidLeft) < STEP.eyesDetail ||
  (Math.min(s.closedRight, s.closedLeft) > STEP.eyesShut && s.eyeShade < STEP.eyesShade);

/** The light, where it is so bad on most of the frames without a face that it hides one. */
function whyNoFace(frames: readonly FrameSignal[]): QualityCode {
  const seen = frames.flatMap((f) => f.exposure ?? []);
  const mostly = (test: (e: Exposure) => boolean): boolean => 2 * seen.filter(test).length > seen.length;
  if (mostly((e) => e.dark >= STEP.darkShare)) return 'too_dark';
  if (mostly((e) => e.clipped >= STEP.clippedShare && e.middle <= STEP.litShareMax)) return 'too_bright';
  return 'no_face';
}

/** A change between neighbouring frames that no head makes: a cut, or another face. */
function jumps(faces: readonly Sample[]): boolean {
  return pairs(faces).some(([a, b]) => {
    const way = Math.hypot(b.x - a.x, b.y - a.y) / a.eyeSpan;
    const scale = Math.max(a.eyeSpan, b.eyeSpan) / Math.min(a.eyeSpan, b.eyeSpan);
    return way > STEP.jumpSpans || scale > STEP.jumpScale || Math.abs(b.yaw - a.yaw) > STEP.jumpYawDegrees;
  });
}

/** Eye spans a second, median over the step. */
function speed(faces: readonly Sample[]): number {
  const all = pairs(faces).map(
    ([a, b]) => Math.hypot(b.x - a.x, b.y - a.y) / a.eyeSpan / Math.max(0.001, (b.tMs - a.tMs) / 1000),
  );
  return all.length > 0 ? median(all) : 0;
}

function pairs(faces: readonly Sample[]): [Sample, Sample][] {
  const out: [Sample, Sample][] = [];
  for (let i = 1; i < faces.length; i++) {
    const a = faces[i - 1]!;
    const b = faces[i]!;
    if (b.tMs - a.tMs <= STEP.neighbourMs) out.push([a, b]);
  }
  return out;
}
