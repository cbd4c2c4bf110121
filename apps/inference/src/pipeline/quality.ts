import { PATCH_SIDE } from './crops.js';

/** Rows and columns of the nose-and-cheek band in the face patch: below the eyes, above the mouth. */
const BAND = { x0: 14, x1: 50, y0: 36, y1: 47 };
/** The face without background and hair. */
const FACE = { x0: 14, x1: 50, y0: 22, y1: 58 };

/**
 * Normalised cross-correlation of the nose-and-cheek band of two face patches, −1..1. A blink leaves the band alone;
 * a hand or a card before the eyes changes it. Shift by a pixel is tolerated, landmarks tremble by that much.
 */
export function bandCorrelation(a: Float32Array, b: Float32Array): number {
  let best = -1;
  for (const [dx, dy] of [
    [0, 0],
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ] as const) {
    const c = correlation(a, b, dx, dy);
    if (c > best) best = c;
    if (best > 0.97) break;
  }
  return best;
}

function correlation(a: Float32Array, b: Float32Array, dx: number, dy: number): number {
  let sa = 0;
  let sb = 0;
  let saa = 0;
  let sbb = 0;
  let sab = 0;
  let n = 0;
  for (let y = BAND.y0; y < BAND.y1; y++)
    for (let x = BAND.x0; x < BAND.x1; x++) {
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

/** Mean grey of the face, 0..255. */
export function luminance(patch: Float32Array): number {
  let s = 0;
  for (let y = FACE.y0; y < FACE.y1; y++) for (let x = FACE.x0; x < FACE.x1; x++) s += patch[y * PATCH_SIDE + x]!;
  return s / ((FACE.y1 - FACE.y0) * (FACE.x1 - FACE.x0));
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
