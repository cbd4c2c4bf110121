import type { FaceSignal } from './signals.js';
import { median, quantile } from './vector.js';

/** A frame with a face. */
export type Sample = FaceSignal & { tMs: number };
export type Side = 'left' | 'right';

/**
 * The figures of the gesture rules. Sources: docs of the measurement on 18 people (rest is relative to the person's own
 * neutral), re-measured on the clips of `test/media` and on research clips; change one only with a new measurement.
 */
export const GESTURE = {
  /** Degrees from the rest in front of it that make a turn, and on how many frames in a row. */
  turnDegrees: 13,
  turnFrames: 2,
  /** The head must also have crossed to that side of the camera: coming back from a turn is not the opposite turn. */
  turnBeyondDegrees: 6,
  /** The same for a turn that was not asked for, where doubt speaks for the person. */
  strayTurnDegrees: 15,
  strayTurnFrames: 3,
  strayTurnBeyondDegrees: 10,
  /**
   * A head keeps the distance of its eyes between these angles, a turned photo does not. Median over those frames: with
   * 0.92 as good on 27 genuine turns as 0.90 on the best frame, and less than half of the bent photos pass (20 of 160
   * against 54; flat ones 4 of 128 against 7, all turned by 50° and more).
   */
  foreshorteningFrom: 13,
  foreshorteningTo: 22,
  foreshorteningMin: 0.92,
  /** Rest: frames in a row within so many degrees, in front of the camera. */
  restFrames: 4,
  restRangeDegrees: 3,
  restYawMax: 20,

  smileHappy: 0.8,
  smileHeldMs: 250,
  straySmileHeldMs: 400,
  smileWidth: 1.06,
  smileLift: 0.01,
  neutralHappy: 0.3,
  neutralMs: 120,

  eyeClosed: 0.8,
  eyeOpen: 0.5,
  /** Eye height relative to the person's open eye (80th percentile). */
  aspectClosed: 0.72,
  aspectLowered: 0.9,
  aspectOpen: 0.85,
  blinkMs: 1000,
  blinkYawMax: 25,
  blinkPoseDegrees: 12,
  bandMin: 0.8,
  bandAroundMs: 500,
} as const;

/** A stretch of rest: its frames, its yaw and its foreshortening. */
interface Rest {
  end: number;
  yaw: number;
  foreshortening: number;
}

/** Every frame at which the head has been at rest for the last frames. */
function rests(samples: readonly Sample[]): Rest[] {
  const found: Rest[] = [];
  for (let end = GESTURE.restFrames; end <= samples.length; end++) {
    const part = samples.slice(end - GESTURE.restFrames, end);
    const yaws = part.map((s) => s.yaw);
    const yaw = median(yaws);
    if (Math.max(...yaws) - Math.min(...yaws) > GESTURE.restRangeDegrees) continue;
    if (Math.abs(yaw) > GESTURE.restYawMax) continue;
    found.push({ end, yaw, foreshortening: median(part.map((s) => s.foreshortening)) });
  }
  return found;
}

/** The asked turn: from some rest to `side` by enough, seen as a head and not as a card that is turned. */
export function turned(samples: readonly Sample[], side: Side): boolean {
  const sign = side === 'left' ? 1 : -1;
  return rests(samples).some((rest) => {
    const after = samples.slice(rest.end);
    const by = (s: Sample): number => sign * (s.yaw - rest.yaw);
    const far = longestRun(after, (s) => by(s) >= GESTURE.turnDegrees && sign * s.yaw >= GESTURE.turnBeyondDegrees);
    if (far.frames < GESTURE.turnFrames) return false;
    const midway = after.filter((s) => by(s) >= GESTURE.foreshorteningFrom && by(s) <= GESTURE.foreshorteningTo);
    const kept = median(midway.map((s) => s.foreshortening)) / rest.foreshortening;
    return kept >= GESTURE.foreshorteningMin;
  });
}

/** A turn to `side` that nobody asked for, measured from the first rest only: the way back from a turn is none. */
export function strayed(samples: readonly Sample[], side: Side): boolean {
  const sign = side === 'left' ? 1 : -1;
  const rest = rests(samples)[0];
  if (!rest) return false;
  const far = longestRun(
    samples.slice(rest.end),
    (s) => sign * (s.yaw - rest.yaw) >= GESTURE.strayTurnDegrees && sign * s.yaw >= GESTURE.strayTurnBeyondDegrees,
  );
  return far.frames >= GESTURE.strayTurnFrames;
}

/** From a resting mouth to a smile that is held; the mouth alone or the expression alone is none. */
export function smiled(samples: readonly Sample[], heldMs: number): boolean {
  for (let i = 1; i < samples.length; i++) {
    if (samples[i]!.happy < GESTURE.smileHappy || samples[i - 1]!.happy >= GESTURE.smileHappy) continue;
    const before = samples.slice(0, i);
    const neutral = before.filter((s) => s.happy < GESTURE.neutralHappy);
    const calm = longestRun(before, (s) => s.happy < GESTURE.neutralHappy);
    if (calm.ms < GESTURE.neutralMs) continue;
    const width = median(neutral.map((s) => s.mouthWidth));
    const lift = median(neutral.map((s) => s.cornerLift));
    const held = longestRun(
      samples.slice(i),
      (s) =>
        s.happy >= GESTURE.smileHappy &&
        s.mouthWidth >= GESTURE.smileWidth * width &&
        s.cornerLift >= lift + GESTURE.smileLift,
    );
    if (held.ms >= heldMs) return true;
  }
  return false;
}

/** How many blinks there are, see `blinks`. */
export const countBlinks = (samples: readonly Sample[]): number => blinks(samples).length;

/**
 * Blinks of both eyes: closed, open again within a second, the head still, nothing moving across nose and cheeks. From
 * the first frame with both eyes closed to the first with both open.
 */
export function blinks(samples: readonly Sample[]): { fromMs: number; toMs: number }[] {
  const right = eyeOf(samples, 'closedRight', 'aspectRight');
  const left = eyeOf(samples, 'closedLeft', 'aspectLeft');
  const found: { fromMs: number; toMs: number }[] = [];
  /** Last frame with both eyes open, and first frame of the closure that is going on. */
  let openAt = -1;
  let closedAt = -1;
  for (let i = 0; i < samples.length; i++) {
    if (right.closed(i) && left.closed(i)) {
      if (closedAt < 0) closedAt = i;
    } else if (right.open(i) && left.open(i)) {
      if (closedAt >= 0 && openAt >= 0 && isBlink(samples, openAt, closedAt, i))
        found.push({ fromMs: samples[closedAt]!.tMs, toMs: samples[i]!.tMs });
      closedAt = -1;
      openAt = i;
    }
  }
  return found;
}

function isBlink(samples: readonly Sample[], before: number, closed: number, after: number): boolean {
  const from = samples[before]!;
  const to = samples[after]!;
  if (to.tMs - samples[closed]!.tMs > GESTURE.blinkMs) return false;
  for (const s of samples.slice(before, after + 1)) {
    if (Math.abs(s.yaw) > GESTURE.blinkYawMax) return false;
    for (const angle of ['yaw', 'pitch', 'roll'] as const)
      if (Math.abs(s[angle] - from[angle]) > GESTURE.blinkPoseDegrees) return false;
  }
  return samples.every(
    (s) =>
      s.band === null ||
      s.band >= GESTURE.bandMin ||
      s.tMs < from.tMs - GESTURE.bandAroundMs ||
      s.tMs > to.tMs + GESTURE.bandAroundMs,
  );
}

interface Eye {
  closed(frame: number): boolean;
  open(frame: number): boolean;
}

/**
 * One eye relative to its own rest. The net reads some open eyes as closed (glare, dim light), so it is believed only
 * where the lids also come down, and where it reads "closed" at rest the lids alone decide.
 */
function eyeOf(
  samples: readonly Sample[],
  closed: 'closedRight' | 'closedLeft',
  aspect: 'aspectRight' | 'aspectLeft',
): Eye {
  const open = quantile(
    samples.map((s) => s[aspect]),
    0.8,
  );
  const blind = median(samples.map((s) => s[closed])) > GESTURE.eyeOpen;
  const height = (i: number): number => samples[i]![aspect] / (open || 1);
  return {
    closed: (i) =>
      height(i) < GESTURE.aspectClosed ||
      (!blind && samples[i]![closed] > GESTURE.eyeClosed && height(i) < GESTURE.aspectLowered),
    open: (i) =>
      height(i) > GESTURE.aspectOpen ||
      (!blind && samples[i]![closed] < GESTURE.eyeOpen && height(i) > GESTURE.aspectClosed),
  };
}

/** Longest row of frames that fulfil a condition: how many, and the time from the first to the last. */
function longestRun(samples: readonly Sample[], test: (s: Sample) => boolean): { frames: number; ms: number } {
  const best = { frames: 0, ms: 0 };
  let frames = 0;
  let since = 0;
  for (const s of samples) {
    if (!test(s)) {
      frames = 0;
      continue;
    }
    if (frames++ === 0) since = s.tMs;
    best.frames = Math.max(best.frames, frames);
    best.ms = Math.max(best.ms, s.tMs - since);
  }
  return best;
}
