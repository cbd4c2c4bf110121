import type { Detection } from './detector.js';
import { type Affine, type Pyramid, squareCrop, type TensorFormat, warp } from './picture.js';

/** 468 points × (x, y, z) in picture pixels; z grows away from the camera, same unit as x. */
export type Landmarks = Float32Array;

export const MESH_SIDE = 192;
const MARGIN = 1.5;
const FORMAT: TensorFormat = { layout: 'nchw', colour: 'rgb', scale: 1, offset: [0, 0, 0] };

/** Points of MediaPipe's mesh by name. "Right" and "left" are the person's own sides. */
export const POINT = {
  noseTip: 1,
  noseBase: 2,
  forehead: 10,
  chin: 152,
  rightEyeOuter: 33,
  rightEyeInner: 133,
  leftEyeOuter: 263,
  leftEyeInner: 362,
  mouthRight: 61,
  mouthLeft: 291,
  lipUpper: 13,
  lipLower: 14,
} as const;

/** Mirror pairs right/left that hardly move with the expression: temples, outer and inner corners, cheek bones. */
const RIGID_PAIRS: readonly (readonly [number, number])[] = [
  [33, 263],
  [133, 362],
  [127, 356],
  [234, 454],
  [93, 323],
  [116, 345],
];

export const px = (l: Landmarks, i: number): number => l[3 * i]!;
export const py = (l: Landmarks, i: number): number => l[3 * i + 1]!;
export const pz = (l: Landmarks, i: number): number => l[3 * i + 2]!;
export const distance = (l: Landmarks, i: number, j: number): number =>
  Math.hypot(px(l, i) - px(l, j), py(l, i) - py(l, j));

/** Where to cut the mesh's input: 1.5 × the box, rolled so that the eyes are level. */
export interface Region {
  cx: number;
  cy: number;
  size: number;
  angle: number;
}

export function regionOfDetection(d: Detection): Region {
  const right = d.points[0] ?? [0, 0];
  const left = d.points[1] ?? [1, 0];
  return {
    cx: d.x + d.width / 2,
    cy: d.y + d.height / 2,
    size: Math.max(d.width, d.height) * MARGIN,
    angle: Math.atan2(left[1] - right[1], left[0] - right[0]),
  };
}

/** The next frame's region from this frame's landmarks: their box, measured in the face's own rolled frame. */
export function regionOfLandmarks(l: Landmarks): Region {
  const angle = rollOf(l);
  const b = levelBox(l, angle);
  return { cx: b.cx, cy: b.cy, size: Math.max(b.width, b.height) * MARGIN, angle };
}

/** Roll in radians: the line through the outer eye corners. */
export const rollOf = (l: Landmarks): number =>
  Math.atan2(
    py(l, POINT.leftEyeOuter) - py(l, POINT.rightEyeOuter),
    px(l, POINT.leftEyeOuter) - px(l, POINT.rightEyeOuter),
  );

/** Box of some points (all by default) in a frame turned by `angle`; the centre is given in picture pixels. */
export function levelBox(
  l: Landmarks,
  angle: number,
  points?: readonly number[],
): { cx: number; cy: number; width: number; height: number } {
  const co = Math.cos(angle);
  const si = Math.sin(angle);
  let x0 = Infinity;
  let x1 = -Infinity;
  let y0 = Infinity;
  let y1 = -Infinity;
  const n = points ? points.length : l.length / 3;
  for (let k = 0; k < n; k++) {
    const i = points ? points[k]! : k;
    const x = co * px(l, i) + si * py(l, i);
    const y = co * py(l, i) - si * px(l, i);
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
  }
  const mx = (x0 + x1) / 2;
  const my = (y0 + y1) / 2;
  return { cx: co * mx - si * my, cy: si * mx + co * my, width: x1 - x0, height: y1 - y0 };
}

export function meshInput(source: Pyramid, region: Region, out: Float32Array): Affine {
  const map = squareCrop(region.cx, region.cy, region.size, region.angle, MESH_SIDE);
  warp(source, map, MESH_SIDE, MESH_SIDE, FORMAT, out);
  return map;
}

/** The net's points (crop pixels) → picture pixels. */
export function toPicture(raw: Float32Array, map: Affine): Landmarks {
  const k = Math.hypot(map[0], map[3]);
  const out = new Float32Array(468 * 3);
  for (let i = 0; i < 468 * 3; i += 3) {
    const x = raw[i]!;
    const y = raw[i + 1]!;
    out[i] = map[0] * x + map[1] * y + map[2];
    out[i + 1] = map[3] * x + map[4] * y + map[5];
    out[i + 2] = raw[i + 2]! * k;
  }
  return out;
}

export interface Pose {
  /** Degrees. + = nose to the picture's right in an unmirrored frame = the person's own left. */
  yaw: number;
  /** Degrees. + = chin towards the camera, looking up. */
  pitch: number;
  /** Degrees. + = head tilted clockwise in the picture. */
  roll: number;
}

/**
 * Head pose from the mesh: the sideways axis is the mean of mirror pairs, which expression cancels out of; the
 * downward axis is forehead → chin, both with the roll taken out. Scale and shift cancel; no camera model is needed.
 */
export function poseOf(l: Landmarks): Pose {
  const roll = rollOf(l);
  const co = Math.cos(roll);
  const si = Math.sin(roll);
  let sx = 0;
  let sz = 0;
  for (const [r, f] of RIGID_PAIRS) {
    const dx = px(l, f) - px(l, r);
    const dy = py(l, f) - py(l, r);
    sx += co * dx + si * dy;
    sz += pz(l, f) - pz(l, r);
  }
  const dx = px(l, POINT.chin) - px(l, POINT.forehead);
  const dy = py(l, POINT.chin) - py(l, POINT.forehead);
  const dz = pz(l, POINT.chin) - pz(l, POINT.forehead);
  const degrees = 180 / Math.PI;
  return {
    yaw: Math.atan2(sz, sx) * degrees,
    pitch: Math.atan2(-dz, co * dy - si * dx) * degrees,
    roll: roll * degrees,
  };
}

const RIGHT_EYE = [33, 133, 160, 144, 158, 153] as const;
const LEFT_EYE = [263, 362, 387, 373, 385, 380] as const;

/** Height ÷ width of an eye's opening (Soukupová and Čech 2016, six points). About 0.3 open, below 0.15 closed. */
export function eyeAspect(l: Landmarks, side: 'right' | 'left'): number {
  const [outer, inner, u1, l1, u2, l2] = side === 'right' ? RIGHT_EYE : LEFT_EYE;
  return (distance(l, u1, l1) + distance(l, u2, l2)) / (2 * distance(l, outer, inner) || 1);
}

/** Mouth corner to corner ÷ outer eye corners: both shrink alike when the head turns. */
export const mouthWidth = (l: Landmarks): number =>
  distance(l, POINT.mouthRight, POINT.mouthLeft) / (distance(l, POINT.rightEyeOuter, POINT.leftEyeOuter) || 1);

/** How far the mouth's corners stand above the middle of the lips ÷ face height; signed, in the rolled frame. */
export function cornerLift(l: Landmarks): number {
  const roll = rollOf(l);
  const co = Math.cos(roll);
  const si = Math.sin(roll);
  const level = (i: number): number => co * py(l, i) - si * px(l, i);
  const corners = (level(POINT.mouthRight) + level(POINT.mouthLeft)) / 2;
  const middle = (level(POINT.lipUpper) + level(POINT.lipLower)) / 2;
  return (middle - corners) / (distance(l, POINT.forehead, POINT.chin) || 1);
}

/** Outer eye corners ÷ face height. A head turned by a few degrees keeps it; a turned photo shrinks it at once. */
export const foreshortening = (l: Landmarks): number =>
  distance(l, POINT.rightEyeOuter, POINT.leftEyeOuter) / (distance(l, POINT.forehead, POINT.chin) || 1);
