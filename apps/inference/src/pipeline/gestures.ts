import type { Action } from '#contracts';
import type { FaceSignal } from './signals.js';
import { median, quantile } from './vector.js';

/** A frame with a face. */
export type Sample = FaceSignal & { tMs: number };
export type Side = 'left' | 'right';

export const isTurn = (action: Action): boolean => action === 'turn_left' || action === 'turn_right';

/**
 * The figures of the gesture rules. Sources: docs of the measurement on 18 people (rest is relative to the person's own
 * neutral), re-measured on the clips of `test/media` and on research clips; change one only with a new measurement.
 */
export const GESTURE = {
  /** Degrees from the rest in front of it that make a turn, and on how many frames in a row. */
  turnDegrees: 13,
  turnFrames: 2,
  /** Of a head that rests turned to that side (a second screen), a smaller change that ends beyond this is a turn too. */
  farDegrees: 10,
  farBeyondDegrees: 22,
  /** Nearer to the neutral than this, no movement has begun. */
  turnBeginsDegrees: 5,
  /** How much the head may nod on the way of a turn and just before it, relative to the turn: who bobs along does not turn. */
  turnPitchShare: 0.8,
  turnPitchBeforeMs: 400,
  /** Largest share of the whole turn between two frames. */
  turnStepShare: 0.75,
  /** The head must also have crossed to that side of the camera: coming back from a turn is not the opposite turn. */
  turnBeyondDegrees: 6,
  /** The same for a turn that was not asked for, where doubt speaks for the person. */
  strayTurnDegrees: 15,
  strayTurnFrames: 3,
  strayTurnBeyondDegrees: 7,
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
  /** The middle of the frames so far is the neutral if so many of them are that near to it, and for so long. */
  restShare: 0.25,
  neutralYawMs: 350,
  restYawMax: 20,

  smileHappy: 0.8,
  smileHeldMs: 250,
  straySmileHeldMs: 400,
  smileWidth: 1.06,
  smileLift: 0.01,
  /** A smile takes 0.2 s and more: its largest step from frame to frame is at most 0.58 of it at 15 fps, a cut's 0.64. */
  smileStepShare: 0.62,
  smileAroundMs: 600,
  /** Where a frame was lost more of it may lie in one step; over a longer gap it is not seen to grow, so it counts as a cut. */
  smileGapMs: 80,
  smileGapShare: 0.85,
  gapMs: 150,
  neutralHappy: 0.3,
  neutralMs: 120,

  eyeClosed: 0.8,
  eyeOpen: 0.5,
  /** Eye height relative to the person's open eye (80th percentile). */
  aspectClosed: 0.72,
  aspectLowered: 0.9,
  aspectOpen: 0.85,
  /** Relative to the last frame before the closure: of lowered eyes, which never come up to the rest. */
  aspectBack: 0.95,
  blinkMs: 1000,
  blinkYawMax: 25,
  /** The lids close while the head keeps still; while they are closed it may move on by more. */
  blinkPoseDegrees: 12,
  blinkDriftDegrees: 20,
  /** A closed lid draws as much as an open eye (0.69 of it and more), a strip held before it does not (mostly below 0.35). */
  lidMin: 0.65,
  lidFrames: 8,
  lidWayFrames: 3,
  bandMin: 0.8,
  bandAroundMs: 500,

  /** So long, within so many eye spans, with a ratio above: frozen 1.5 to 2.3; people up to 1.1 at 20 fps. */
  stillMs: 1300,
  stillSpans: 0.03,
  stillRatio: 1.45,

  /** Two people's frames in turn: 3.0 and more; people alone: below 0 (see `alternates`). */
  alternatesLog: 1,
} as const;

/** A movement of the head to one side: the person's own neutral in front of it, where it began, where it was complete. */
interface Turn {
  neutralYaw: number;
  from: number;
  done: number;
}

/** The neutral in front of each frame, degrees of yaw: the middle of all frames before. Null where there was no rest. */
function neutralYaws(samples: readonly Sample[]): (number | null)[] {
  const sorted: number[] = [];
  return samples.map(({ yaw, tMs }) => {
    const n = sorted.length;
    const middle = n === 0 ? 0 : (sorted[(n - 1) >> 1]! + sorted[n >> 1]!) / 2;
    const atRest = sorted.filter((v) => Math.abs(v - middle) <= GESTURE.restRangeDegrees).length;
    const after = sorted.findIndex((v) => v > yaw);
    sorted.splice(after < 0 ? n : after, 0, yaw);
    const share = n === 0 ? 0 : atRest / n;
    const isRest = share >= GESTURE.restShare && share * (tMs - samples[0]!.tMs) >= GESTURE.neutralYawMs;
    return isRest ? middle : null;
  });
}

/** Every frame at which the head has been turned to `side` by enough, measured from the neutral before it moved. */
function turns(samples: readonly Sample[], side: Side): Turn[] {
  const sign = side === 'left' ? 1 : -1;
  const found: Turn[] = [];
  const neutrals = neutralYaws(samples);
  let neutralYaw: number | null = null;
  let from = 0;
  let frames = 0;
  for (const [i, s] of samples.entries()) {
    // Once the movement has begun its neutral stays: it must not drift along.
    if (neutralYaw === null || sign * (s.yaw - neutralYaw) < GESTURE.turnBeginsDegrees) {
      neutralYaw = neutrals[i] ?? null;
      from = i;
    }
    if (neutralYaw === null) continue;
    const isFar = isBeyond(sign * (s.yaw - neutralYaw), sign * s.yaw, GESTURE.turnDegrees, GESTURE.turnBeyondDegrees);
    frames = isFar ? frames + 1 : 0;
    if (frames >= GESTURE.turnFrames) found.push({ neutralYaw, from, done: i });
  }
  return found;
}

/**
 * The asked turn: from the neutral to `side` by enough, about the vertical axis and not round and round, and seen as a
 * head and not as a card that is turned.
 */
export function turned(samples: readonly Sample[], side: Side): boolean {
  const sign = side === 'left' ? 1 : -1;
  return turns(samples, side).some(({ neutralYaw, from, done }) => {
    const way = samples.slice(from, done + 1);
    const by = (s: Sample): number => sign * (s.yaw - neutralYaw);
    if (leaps(samples.slice(Math.max(0, from - 1)), by)) return false;
    const nodFromMs = samples[from]!.tMs - GESTURE.turnPitchBeforeMs;
    const nod = rangeOf(samples.slice(0, done + 1).filter((s) => s.tMs >= nodFromMs).map((s) => s.pitch)); // prettier-ignore
    if (nod > GESTURE.turnPitchShare * Math.max(...way.map(by))) return false;
    const atRest = samples.slice(0, from).filter((s) => Math.abs(by(s)) <= GESTURE.restRangeDegrees);
    const least = Math.min(GESTURE.foreshorteningFrom, by(samples[done]!));
    const midway = samples.slice(from).filter((s) => by(s) >= least && by(s) <= GESTURE.foreshorteningTo);
    const kept = median(midway.map((s) => s.foreshortening)) / median(atRest.map((s) => s.foreshortening));
    return kept >= GESTURE.foreshorteningMin;
  });
}

/** Whether the head is there from one frame to the next, as after a cut: a real one is seen on its way. */
function leaps(samples: readonly Sample[], by: (s: Sample) => number): boolean {
  const whole = Math.max(...samples.map(by)) - by(samples[0]!);
  return samples.some((s, i) => i > 0 && by(s) - by(samples[i - 1]!) > GESTURE.turnStepShare * whole);
}

/** Far enough from the rest, and on that side of the camera. */
const isBeyond = (by: number, yaw: number, degrees: number, beyond: number): boolean =>
  (by >= degrees && yaw >= beyond) || (by >= GESTURE.farDegrees && yaw >= GESTURE.farBeyondDegrees);

const rangeOf = (values: readonly number[]): number => Math.max(...values) - Math.min(...values);

/** A turn to `side` that nobody asked for, measured from the first rest only: the way back from a turn is none. */
export function strayed(samples: readonly Sample[], side: Side): boolean {
  const sign = side === 'left' ? 1 : -1;
  for (let end = GESTURE.restFrames; end <= samples.length; end++) {
    const yaws = samples.slice(end - GESTURE.restFrames, end).map((s) => s.yaw);
    const yaw = median(yaws);
    if (Math.max(...yaws) - Math.min(...yaws) > GESTURE.restRangeDegrees || Math.abs(yaw) > GESTURE.restYawMax)
      continue;
    const far = longestRun(samples.slice(end), (s) =>
      isBeyond(sign * (s.yaw - yaw), sign * s.yaw, GESTURE.strayTurnDegrees, GESTURE.strayTurnBeyondDegrees),
    );
    return far.frames >= GESTURE.strayTurnFrames;
  }
  return false;
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
    // Each frame stands for the time up to the next: the last one too.
    const heldFor = held.frames > 1 ? (held.ms * held.frames) / (held.frames - 1) : 0;
    if (heldFor >= heldMs && !appears(samples, i)) return true;
  }
  return false;
}

/** Whether the mouth of a smile is there from one frame to the next, as after a cut: a real one grows. */
function appears(samples: readonly Sample[], at: number): boolean {
  if (samples[at]!.tMs - samples[at - 1]!.tMs > GESTURE.smileAroundMs) return true;
  const near = samples.filter((s) => Math.abs(s.tMs - samples[at]!.tMs) <= GESTURE.smileAroundMs);
  const before = near.filter((s) => s.tMs < samples[at]!.tMs && s.happy < GESTURE.neutralHappy);
  const after = near.filter((s) => s.tMs >= samples[at]!.tMs && s.happy >= GESTURE.smileHappy);
  const growth = median(after.map((s) => s.mouthWidth)) - median(before.map((s) => s.mouthWidth));
  if (!(growth > 0)) return false;
  return near.some((s, i) => {
    const before = near[i - 1];
    if (!before) return false;
    const gapMs = s.tMs - before.tMs;
    const isLost = gapMs > GESTURE.smileGapMs && gapMs <= GESTURE.gapMs;
    return s.mouthWidth - before.mouthWidth > (isLost ? GESTURE.smileGapShare : GESTURE.smileStepShare) * growth;
  });
}

/** A blink: from the first frame with both eyes closed to the first with both open. */
export interface Blink {
  fromMs: number;
  toMs: number;
  /** Largest step of the lids from frame to frame ÷ their whole way, the mean of closing and opening: 1 is a cut. */
  abruptness: number;
}

/**
 * Blinks of both eyes: closed, open again within a second, the head still, nothing moving across nose and cheeks, and
 * lids where the eyes were.
 */
export function blinks(samples: readonly Sample[]): Blink[] {
  const right = eyeOf(samples, 'closedRight', 'aspectRight');
  const left = eyeOf(samples, 'closedLeft', 'aspectLeft');
  const found: Blink[] = [];
  /** Last frame with both eyes open, and first frame of the closure that is going on. */
  let openAt = -1;
  let closedAt = -1;
  for (let i = 0; i < samples.length; i++) {
    if (right.closed(i) && left.closed(i)) {
      if (closedAt < 0) closedAt = i;
    } else if (
      (right.open(i) && left.open(i)) ||
      (closedAt >= 0 && openAt >= 0 && right.isBack(i, openAt) && left.isBack(i, openAt))
    ) {
      if (closedAt >= 0 && openAt >= 0 && isBlink(samples, openAt, closedAt, i))
        found.push({
          fromMs: samples[closedAt]!.tMs,
          toMs: samples[i]!.tMs,
          abruptness: abruptness(samples, closedAt, i),
        });
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
  for (const [i, s] of samples.slice(before, after + 1).entries()) {
    if (Math.abs(s.yaw) > GESTURE.blinkYawMax) return false;
    const most = before + i <= closed ? GESTURE.blinkPoseDegrees : GESTURE.blinkDriftDegrees;
    for (const angle of ['yaw', 'pitch', 'roll'] as const) if (Math.abs(s[angle] - from[angle]) > most) return false;
  }
  const lids = (frames: readonly Sample[]): number => median(frames.map((s) => Math.min(s.lidRight, s.lidLeft)));
  const open = samples.slice(Math.max(0, before + 1 - GESTURE.lidFrames), before + 1);
  if (lids(samples.slice(closed, after)) < GESTURE.lidMin * lids(open)) return false;
  return samples.every(
    (s) =>
      s.band === null ||
      s.band >= GESTURE.bandMin ||
      s.tMs < from.tMs - GESTURE.bandAroundMs ||
      s.tMs > to.tMs + GESTURE.bandAroundMs,
  );
}

function abruptness(samples: readonly Sample[], closed: number, open: number): number {
  const height = samples.map((s) => s.aspectRight + s.aspectLeft);
  const first = Math.max(0, closed - GESTURE.lidWayFrames);
  const last = Math.min(samples.length - 1, open + GESTURE.lidWayFrames);
  const lowest = Math.min(...height.slice(closed, open));
  const steps = (from: number, to: number): number[] =>
    height.slice(from + 1, to + 1).map((h, i) => h - height[from + i]!);
  const down = -Math.min(...steps(first, open)) / (Math.max(...height.slice(first, closed + 1)) - lowest || 1);
  const up = Math.max(...steps(closed, last)) / (Math.max(...height.slice(open - 1, last + 1)) - lowest || 1);
  return (down + up) / 2;
}

interface Eye {
  closed(frame: number): boolean;
  open(frame: number): boolean;
  /** As far open as on a frame before, be that with lowered eyes. */
  isBack(frame: number, before: number): boolean;
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
  const isClosed = (i: number): boolean =>
    height(i) < GESTURE.aspectClosed ||
    (!blind && samples[i]![closed] > GESTURE.eyeClosed && height(i) < GESTURE.aspectLowered);
  return {
    closed: isClosed,
    isBack: (i, before) => !isClosed(i) && height(i) >= GESTURE.aspectBack * height(before),
    open: (i) =>
      height(i) > GESTURE.aspectOpen ||
      (!blind && samples[i]![closed] < GESTURE.eyeOpen && height(i) > GESTURE.aspectClosed),
  };
}

const FREE: readonly (keyof FaceSignal & ('x' | 'y' | 'eyeSpan' | 'yaw' | 'roll' | 'mouthWidth' | 'foreshortening'))[] =
  ['x', 'y', 'eyeSpan', 'yaw', 'roll', 'mouthWidth', 'foreshortening'];

/**
 * Whether the picture stands still for a while: what is left then is the camera's noise, which knows nothing of the frame
 * before. Told by the pixels at one place, and by the signals: mean of von Neumann's ratio (1941), 2 for noise, far below 1
 * for whatever moves.
 */
export function stoodStill(samples: readonly Sample[]): boolean {
  if (samples.some((s) => s.unchangedMs >= GESTURE.stillMs)) return true;
  for (let from = 0, to = 0; from < samples.length; from++) {
    while (to < samples.length && samples[to]!.tMs - samples[from]!.tMs < GESTURE.stillMs) to++;
    if (to === samples.length) return false;
    const part = samples.slice(from, to + 1);
    const spans = (of: (s: Sample) => number): number => rangeOf(part.map(of)) / part[0]!.eyeSpan;
    if (
      Math.max(
        spans((s) => s.x),
        spans((s) => s.y),
      ) > GESTURE.stillSpans
    )
      continue;
    const ratios = FREE.map((name) => neumannRatio(part.map((s) => s[name])));
    if (ratios.reduce((sum, r) => sum + r, 0) / ratios.length >= GESTURE.stillRatio) return true;
  }
  return false;
}

/**
 * Whether two faces take turns from frame to frame: each is then more like the one before the last than like the last.
 * Mean over the signals of the logarithm of the squared steps over one frame ÷ those over two.
 */
export function alternates(samples: readonly Sample[]): boolean {
  const steps = (of: (s: Sample) => number, lag: number): number =>
    samples.slice(2).reduce((sum, s, i) => sum + (of(s) - of(samples[i + 2 - lag]!)) ** 2, 0);
  const ratios = FREE.map((name) => Math.log(steps((s) => s[name], 1) / steps((s) => s[name], 2))).filter(
    Number.isFinite,
  );
  const mean = ratios.reduce((sum, r) => sum + r, 0) / (ratios.length || 1);
  return mean >= GESTURE.alternatesLog;
}

function neumannRatio(values: readonly number[]): number {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  let steps = 0;
  let variance = 0;
  for (const [i, v] of values.entries()) {
    variance += (v - mean) ** 2;
    if (i > 0) steps += (v - values[i - 1]!) ** 2;
  }
  return variance === 0 ? 2 : steps / variance;
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
