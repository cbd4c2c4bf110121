import { PATCH_SIDE } from './crops.js';
import { luma, type Pyramid } from './picture.js';
import type { Exposure, FaceSignal } from './signals.js';

interface Area {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}
/** Parts of the face patch that a blink leaves alone: nose and cheeks below the eyes, the brows above, the bridge between. */
const CHEEKS: Area = { x0: 14, x1: 50, y0: 36, y1: 47 };
const BROWS: Area = { x0: 14, x1: 50, y0: 14, y1: 24 };
const BRIDGE: Area = { x0: 29, x1: 35, y0: 26, y1: 34 };
/** The bridge has too little structure to correlate: its light may change by this share more than the cheeks' does. */
const BRIDGE_CHANGE_AT_ZERO = 0.75;

const RIGHT_EYE: Area = { x0: 15, x1: 29, y0: 25, y1: 34 };
const LEFT_EYE: Area = { x0: 35, x1: 49, y0: 25, y1: 34 };
const RIGHT_CHEEK: Area = { x0: 14, x1: 24, y0: 37, y1: 45 };
const LEFT_CHEEK: Area = { x0: 40, x1: 50, y0: 37, y1: 45 };
const MOUTH: Area = { x0: 22, x1: 42, y0: 46, y1: 60 };

/** The face without background and hair. */
const FACE: Area = { x0: 14, x1: 50, y0: 22, y1: 58 };

/**
 * Likeness of what surrounds the eyes in two face patches, at most 1: the lowest of the normalised cross-correlations of
 * the cheeks and of the brows, and of the steadiness of the bridge. A blink leaves all three alone; whatever is held
 * before both eyes covers at least one of them. Shift by a pixel is tolerated, landmarks tremble by that much.
 */
export function bandCorrelation(a: Float32Array, b: Float32Array): number {
  return Math.min(likeness(a, b, CHEEKS), likeness(a, b, BROWS), bridge(a, b));
}

function bridge(a: Float32Array, b: Float32Array): number {
  const change = meanOf(a, BRIDGE) / (meanOf(b, BRIDGE) || 1) / (meanOf(a, CHEEKS) / (meanOf(b, CHEEKS) || 1) || 1);
  return 1 - Math.abs(Math.log(change || 1e-6)) / BRIDGE_CHANGE_AT_ZERO;
}

function likeness(a: Float32Array, b: Float32Array, area: Area): number {
  let best = -1;
  for (const [dx, dy] of [
    [0, 0],
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ] as const) {
    const c = correlation(a, b, area, dx, dy);
    if (c > best) best = c;
    if (best > 0.97) break;
  }
  return best;
}

function correlation(a: Float32Array, b: Float32Array, area: Area, dx: number, dy: number): number {
  let sa = 0;
  let sb = 0;
  let saa = 0;
  let sbb = 0;
  let sab = 0;
  let n = 0;
  for (let y = area.y0; y < area.y1; y++)
    for (let x = area.x0; x < area.x1; x++) {
      const u = a[y * PATCH_SIDE + x]!;
      const v = b[(y + dy) * PATCH_SIDE + x + dx]!;
      sa += u;
      sb += v;
      saa += u * u;
      sbb += v * v;
      sab += u * v;
      n++;
    }
  const va = saa - (sa * sa) / n;
  const vb = sbb - (sb * sb) / n;
  // A band without any structure says nothing about an occluder; equal ones count as equal.
  if (va < n || vb < n) return va < n && vb < n ? 1 : 0;
  return (sab - (sa * sb) / n) / Math.sqrt(va * vb);
}

/** What is drawn at eyes and mouth, relative to the grey of the cheeks, so that light cancels. */
export function detail(patch: Float32Array): Pick<FaceSignal, 'lidRight' | 'lidLeft' | 'mouthDetail' | 'eyeShade'> {
  const cheeks = (meanOf(patch, RIGHT_CHEEK) + meanOf(patch, LEFT_CHEEK)) / 2 || 1;
  return {
    lidRight: rowChange(patch, RIGHT_EYE) / cheeks,
    lidLeft: rowChange(patch, LEFT_EYE) / cheeks,
    mouthDetail: rowChange(patch, MOUTH) / cheeks,
    eyeShade: Math.max(meanOf(patch, RIGHT_EYE), meanOf(patch, LEFT_EYE)) / cheeks,
  };
}

/** Mean difference between a pixel and the one below it, grey levels. */
function rowChange(patch: Float32Array, area: Area): number {
  let s = 0;
  for (let y = area.y0; y < area.y1; y++)
    for (let x = area.x0; x < area.x1; x++)
      s += Math.abs(patch[(y + 1) * PATCH_SIDE + x]! - patch[y * PATCH_SIDE + x]!);
  return s / ((area.y1 - area.y0) * (area.x1 - area.x0));
}

/** Grey below which a picture is dark, the range in which it is well lit, and grey from which on it is clipped. */
const DARK_BELOW = 40;
const LIT_FROM = 60;
const LIT_TO = 200;
const CLIPPED_FROM = 248;
/** Longest side, about, of the picture in which exposure is measured. */
const EXPOSURE_SIDE = 80;

/** How a whole picture is exposed. */
export function exposure(source: Pyramid): Exposure {
  const { data } = source.at(Math.max(source.base.width, source.base.height) / EXPOSURE_SIDE).picture;
  const pixels = data.length / 3;
  let dark = 0;
  let clipped = 0;
  let middle = 0;
  for (let i = 0; i < data.length; i += 3) {
    const grey = luma(data[i]!, data[i + 1]!, data[i + 2]!);
    if (grey < DARK_BELOW) dark++;
    else if (grey >= CLIPPED_FROM) clipped++;
    else if (grey >= LIT_FROM && grey < LIT_TO) middle++;
  }
  return { dark: dark / pixels, clipped: clipped / pixels, middle: middle / pixels };
}

/** Mean grey of the face, 0..255. */
export const luminance = (patch: Float32Array): number => meanOf(patch, FACE);

function meanOf(patch: Float32Array, area: Area): number {
  let s = 0;
  for (let y = area.y0; y < area.y1; y++) for (let x = area.x0; x < area.x1; x++) s += patch[y * PATCH_SIDE + x]!;
  return s / ((area.y1 - area.y0) * (area.x1 - area.x0));
}

/** Variance of the difference of two patches, grey levels squared; a change of the light as a whole is none. */
export function difference(a: Float32Array, b: Float32Array): number {
  let s = 0;
  let ss = 0;
  for (let y = FACE.y0; y < FACE.y1; y++)
    for (let i = y * PATCH_SIDE + FACE.x0; i < y * PATCH_SIDE + FACE.x1; i++) {
      const d = a[i]! - b[i]!;
      s += d;
      ss += d * d;
    }
  const n = (FACE.x1 - FACE.x0) * (FACE.y1 - FACE.y0);
  return Math.max(0, ss / n - (s / n) ** 2);
}

/** Standard deviation of the Laplacian ÷ standard deviation of the grey values: sharpness without contrast. */
export function sharpness(patch: Float32Array): number {
  let s = 0;
  let ss = 0;
  let g = 0;
  let gg = 0;
  let n = 0;
  for (let y = FACE.y0; y < FACE.y1; y++)
    for (let x = FACE.x0; x < FACE.x1; x++) {
      const i = y * PATCH_SIDE + x;
      const v = patch[i]!;
      const lap = patch[i - 1]! + patch[i + 1]! + patch[i - PATCH_SIDE]! + patch[i + PATCH_SIDE]! - 4 * v;
      s += lap;
      ss += lap * lap;
      g += v;
      gg += v * v;
      n++;
    }
  const contrast = gg - (g * g) / n;
  return contrast < n ? 0 : Math.sqrt(Math.max(0, ss - (s * s) / n) / contrast);
}
