import type { Detection } from './detector.js';
import { distance, type Landmarks, levelBox, POINT, px, py, rollOf } from './mesh.js';
import {
  type Affine,
  luma,
  type Picture,
  type Pyramid,
  similarity,
  squareCrop,
  type TensorFormat,
  warp,
} from './picture.js';
import type { Recogniser } from './recognisers.js';

export type Box = Pick<Detection, 'x' | 'y' | 'width' | 'height'>;
type Point = [number, number];

export const ANTISPOOF_SIDE = 128;
export const EXPRESSION_SIDE = 112;
export const EYE_SIDE = 24;
export const PATCH_SIDE = 64;

/** The five points of ArcFace's 112 × 112 template (InsightFace): right eye, left eye, nose, mouth right and left. */
const ARCFACE: readonly Point[] = [
  [38.2946, 51.6963],
  [73.5318, 51.5014],
  [56.0252, 71.7366],
  [41.5493, 92.3655],
  [70.7299, 92.2041],
];

const mean = (l: Landmarks, points: readonly number[]): Point => {
  let x = 0;
  let y = 0;
  for (const i of points) {
    x += px(l, i) / points.length;
    y += py(l, i) / points.length;
  }
  return [x, y];
};

/** Right eye, left eye, nose tip, mouth right, mouth left, in picture pixels. */
export function fivePoints(l: Landmarks): Point[] {
  return [
    mean(l, [33, 133, 159, 145]),
    mean(l, [362, 263, 386, 374]),
    mean(l, [POINT.noseTip]),
    mean(l, [POINT.mouthRight]),
    mean(l, [POINT.mouthLeft]),
  ];
}

/** Side of the picture that ARCFACE is given in. */
const ARCFACE_SIDE = 112;

/** dlib's mean face of five points, 0..1: left eye outer and inner corner, right eye outer and inner, base of the nose. */
const DLIB: readonly Point[] = [
  [0.8595674595992, 0.2134981538014],
  [0.6460604764104, 0.2289674387677],
  [0.1205750620789, 0.2137274526848],
  [0.3340850613712, 0.2290642403242],
  [0.4901123135679, 0.6277975316475],
];
const DLIB_POINTS: readonly number[] = [
  POINT.leftEyeOuter,
  POINT.leftEyeInner,
  POINT.rightEyeOuter,
  POINT.rightEyeInner,
  POINT.noseBase,
];
const DLIB_PADDING = 0.25;

/** The face as this recogniser was trained to see it. */
export function recogniserInput(
  source: Pyramid,
  l: Landmarks,
  { side, alignment, format }: Pick<Recogniser, 'side' | 'alignment' | 'format'>,
  out: Float32Array,
): void {
  const place = (v: number): number => ((v + DLIB_PADDING) / (1 + 2 * DLIB_PADDING)) * side;
  const map =
    alignment === 'dlib'
      ? similarity(
          DLIB_POINTS.map((i): Point => [px(l, i), py(l, i)]),
          DLIB.map(([x, y]): Point => [place(x), place(y)]),
        )
      : similarity(
          fivePoints(l),
          ARCFACE.map(([x, y]): Point => [(x * side) / ARCFACE_SIDE, (y * side) / ARCFACE_SIDE]),
        );
  warp(source, map, side, side, format, out);
}

const ANTISPOOF: TensorFormat = { layout: 'nchw', colour: 'bgr', scale: 1, offset: [0, 0, 0] };

/** A box `scale` times as large around the same centre, shrunk and shifted until it lies inside the picture. */
export function contextBox(box: Box, scale: number, picture: Pick<Picture, 'width' | 'height'>): Box {
  const s = Math.min(scale, (picture.width - 1) / box.width, (picture.height - 1) / box.height);
  const width = box.width * s;
  const height = box.height * s;
  const x = box.x + box.width / 2 - width / 2;
  const y = box.y + box.height / 2 - height / 2;
  return {
    x: Math.min(Math.max(0, x), picture.width - 1 - width),
    y: Math.min(Math.max(0, y), picture.height - 1 - height),
    width,
    height,
  };
}

/**
 * Grey of the face, 0..255, below which a picture is dim: its sensor's noise is then so large beside what is drawn that the
 * anti-spoof takes people for prints (one man's six films 0.01 to 0.33), and smoothed ones for what they are (0.56 and
 * more). Two filmed prints stay below 0.03; screens rendered in the dark rise as well, so in the dark this net tells less.
 */
export const DIM_BELOW = 80;

/** In a dim picture the noise is taken out of the crop: binomial, 1 2 1 both ways. */
export function antispoofInput(source: Pyramid, box: Box, scale: number, out: Float32Array): void {
  const b = contextBox(box, scale, source.base);
  const kx = b.width / ANTISPOOF_SIDE;
  const ky = b.height / ANTISPOOF_SIDE;
  const map: Affine = [kx, 0, b.x + kx / 2 - 0.5, 0, ky, b.y + ky / 2 - 0.5];
  warp(source, map, ANTISPOOF_SIDE, ANTISPOOF_SIDE, ANTISPOOF, out);
  const face = { x: (box.x - b.x) / kx, y: (box.y - b.y) / ky, width: box.width / kx, height: box.height / ky };
  if (greyOf(out, face) < DIM_BELOW) smooth(out);
}

/** Mean grey of the inner part of a face box in an anti-spoof crop, without hair and background. */
function greyOf(crop: Float32Array, { x, y, width, height }: Box): number {
  const plane = ANTISPOOF_SIDE * ANTISPOOF_SIDE;
  const from = (at: number, length: number): number => Math.max(0, Math.round(at + 0.2 * length));
  const to = (at: number, length: number): number => Math.min(ANTISPOOF_SIDE, Math.round(at + 0.8 * length));
  let sum = 0;
  let n = 0;
  for (let v = from(y, height); v < to(y, height); v++)
    for (let u = from(x, width); u < to(x, width); u++) {
      const i = v * ANTISPOOF_SIDE + u;
      sum += luma(crop[2 * plane + i]!, crop[plane + i]!, crop[i]!);
      n++;
    }
  return n > 0 ? sum / n : 255;
}

/** In place, plane by plane; beyond the edge the edge goes on. */
function smooth(crop: Float32Array): void {
  const last = ANTISPOOF_SIDE - 1;
  const line = (at: number, step: number): void => {
    let before = crop[at]!;
    for (let i = 0; i <= last; i++) {
      const k = at + i * step;
      const now = crop[k]!;
      const after = i < last ? crop[k + step]! : now;
      crop[k] = (before + 2 * now + after) / 4;
      before = now;
    }
  };
  for (let plane = 0; plane < crop.length; plane += ANTISPOOF_SIDE * ANTISPOOF_SIDE) {
    for (let i = 0; i <= last; i++) line(plane + i * ANTISPOOF_SIDE, 1);
    for (let i = 0; i <= last; i++) line(plane + i, ANTISPOOF_SIDE);
  }
}

/** Mean colour that face-api's nets were trained with. */
const EXPRESSION: TensorFormat = {
  layout: 'nchw',
  colour: 'rgb',
  scale: 1 / 255,
  offset: [-122.782 / 255, -117.001 / 255, -104.298 / 255],
};
/** Brows and jaw: what a 68-point face covers, so no forehead. */
const BROWS_AND_JAW: readonly number[] = [
  70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400,
  378, 379, 365, 397, 288, 361, 323, 454, 356,
];
const EXPRESSION_MARGIN = 1.2;

/** The level box of brows and jaw × 1.2, aspect kept, black bars at the sides. */
export function expressionInput(source: Pyramid, l: Landmarks, out: Float32Array): void {
  const angle = rollOf(l);
  const b = levelBox(l, angle, BROWS_AND_JAW);
  const size = Math.max(b.width, b.height) * EXPRESSION_MARGIN;
  const map = squareCrop(b.cx, b.cy, size, angle, EXPRESSION_SIDE);
  const bar = (length: number): number =>
    Math.max(0, Math.round((EXPRESSION_SIDE * (1 - (length * EXPRESSION_MARGIN) / size)) / 2));
  const bx = bar(b.width);
  const by = bar(b.height);
  warp(source, map, EXPRESSION_SIDE, EXPRESSION_SIDE, EXPRESSION, out, {
    x0: bx,
    y0: by,
    x1: EXPRESSION_SIDE - bx,
    y1: EXPRESSION_SIDE - by,
  });
}

const EYE: TensorFormat = { layout: 'nchw', colour: 'grey', scale: 1, offset: [0] };
const EYE_MARGIN = 1.6;

/**
 * Grey of a face, 0..255, that the eye net reads well. In less light it calls open eyes closed (0.9 at 60, 0.7 at 46), and
 * blinks are told by the lids alone; lifted to this it reads 0.1 and less.
 */
const EYE_LUMINANCE = 120;

/**
 * A level square, 1.6 × the eye's width, around the middle between its corners, lifted by what the face lacks in light:
 * by the face's and not by its own, or what hides an eye would be lifted too.
 */
export function eyeInput(
  source: Pyramid,
  l: Landmarks,
  side: 'right' | 'left',
  luminance: number,
  out: Float32Array,
): void {
  const outer = side === 'right' ? POINT.rightEyeOuter : POINT.leftEyeOuter;
  const inner = side === 'right' ? POINT.rightEyeInner : POINT.leftEyeInner;
  const [cx, cy] = mean(l, [outer, inner]);
  warp(
    source,
    squareCrop(cx, cy, distance(l, outer, inner) * EYE_MARGIN, rollOf(l), EYE_SIDE),
    EYE_SIDE,
    EYE_SIDE,
    EYE,
    out,
  );
  const gain = EYE_LUMINANCE / Math.max(1, luminance);
  if (gain <= 1) return;
  for (let i = 0; i < out.length; i++) out[i] = Math.min(255, out[i]! * gain);
}

const GREY: TensorFormat = { layout: 'nhwc', colour: 'grey', scale: 1, offset: [0] };
const PATCH_POINTS: readonly Point[] = [
  [(38.2946 * PATCH_SIDE) / 112, (51.6 * PATCH_SIDE) / 112],
  [(73.5318 * PATCH_SIDE) / 112, (51.6 * PATCH_SIDE) / 112],
  [(55.9 * PATCH_SIDE) / 112, (76 * PATCH_SIDE) / 112],
];

/** Where the face patch lies: held by the eye corners and the base of the nose. */
export function patchPlace(l: Landmarks): Affine {
  return similarity([mean(l, [33, 133]), mean(l, [362, 263]), mean(l, [POINT.noseBase])], PATCH_POINTS);
}

/** A small grey picture of the face, held still by its landmarks, or of the place where it was before; grey 0..255. */
export const facePatch = (source: Pyramid, place: Affine, out: Float32Array): void =>
  warp(source, place, PATCH_SIDE, PATCH_SIDE, GREY, out);
