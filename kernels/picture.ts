// AssemblyScript, not TypeScript: `npm run kernels:build` makes apps/inference/src/pipeline/kernels.wasm.ts of it.
// What the pipeline does to each pixel, with SIMD; what it means is said where it is called (pipeline/picture.ts).
// Addresses and sizes come from there, and are right: nothing here allocates or checks bounds. Of a picture two bytes
// beyond its last are read, never used.

const CHANNELS: i32 = 3;
/** Zero, for a byte shuffle: any index with the top bit set. */
const Z: u8 = 0x80;

/** 2 × 2 mean, rounded, of an area of the smaller picture. */
export function halve(
  source: usize,
  sourceWidth: i32,
  target: usize,
  targetWidth: i32,
  x0: i32,
  y0: i32,
  x1: i32,
  y1: i32,
): void {
  const stride: usize = sourceWidth * CHANNELS;
  // Of four pixels side by side the first and the third, then the second and the fourth, as 16-bit numbers.
  const even = i8x16(0, Z, 1, Z, 2, Z, 6, Z, 7, Z, 8, Z, Z, Z, Z, Z);
  const odd = i8x16(3, Z, 4, Z, 5, Z, 9, Z, 10, Z, 11, Z, Z, Z, Z, Z);
  const two = i16x8.splat(2);
  for (let y = y0; y < y1; y++) {
    let i: usize = source + (2 * y) * stride + 2 * CHANNELS * x0;
    let o: usize = target + (y * targetWidth + x0) * CHANNELS;
    let x = x0;
    // Two pixels a turn; what is stored beyond their six bytes is overwritten by the next ones.
    for (; x + 3 < x1; x += 2, i += 12, o += 6) {
      const top = v128.load(i);
      const bottom = v128.load(i + stride);
      const upper = i16x8.add(v128.swizzle(top, even), v128.swizzle(top, odd));
      const lower = i16x8.add(v128.swizzle(bottom, even), v128.swizzle(bottom, odd));
      const mean = i16x8.shr_u(i16x8.add(i16x8.add(upper, lower), two), 2);
      v128.store64_lane(o, i8x16.narrow_i16x8_u(mean, mean), 0);
    }
    for (; x < x1; x++, i += 6, o += 3)
      for (let c: usize = 0; c < 3; c++) {
        const j = i + c;
        const sum: u32 = <u32>load<u8>(j) + load<u8>(j, 3) + load<u8>(j + stride) + load<u8>(j + stride, 3);
        store<u8>(o + c, <u8>((sum + 2) >> 2));
      }
  }
}

/** The columns of one row that are read from well inside, where all four neighbours exist: [first, end). */
let first: i32 = 0;
let end: i32 = 0;

function limit(slope: f64, start: f64, last: f64): void {
  if (slope == 0) {
    if (!(start >= 0 && start < last)) end = first;
    return;
  }
  const p = -start / slope;
  const q = (last - start) / slope;
  first = max(first, <i32>Math.ceil(Math.min(p, q)));
  end = min(end, <i32>Math.ceil(Math.max(p, q)));
}

function fits(x: i32, a: f64, sx: f64, c: f64, sy: f64, lastX: f64, lastY: f64): bool {
  const u = a * <f64>x + sx;
  const v = c * <f64>x + sy;
  return u >= 0 && v >= 0 && u < lastX && v < lastY;
}

function findInside(width: i32, height: i32, x0: i32, x1: i32, a: f64, sx: f64, c: f64, sy: f64): void {
  const lastX = <f64>(width - 1);
  const lastY = <f64>(height - 1);
  first = x0;
  end = x1;
  limit(a, sx, lastX);
  limit(c, sy, lastY);
  // The divisions round: the first and last pixel are looked at.
  while (first < end && !fits(first, a, sx, c, sy, lastX, lastY)) first++;
  while (first < end && !fits(end - 1, a, sx, c, sy, lastX, lastY)) end--;
  if (first >= end) first = end = x1;
}

/** One channel at a place near or beyond the border: each of the four neighbours may be missing, and is black then. */
function atBorder(source: usize, width: i32, height: i32, sx: f64, sy: f64, channel: i32): f64 {
  const left = Math.floor(sx);
  const top = Math.floor(sy);
  if (left < -1 || top < -1 || left >= width || top >= height) return 0;
  const fx = sx - left;
  const fy = sy - top;
  let sum: f64 = 0;
  for (let k = 0; k < 4; k++) {
    const x = <i32>left + (k & 1);
    const y = <i32>top + (k >> 1);
    if (x < 0 || y < 0 || x >= width || y >= height) continue;
    const value = <f64>load<u8>(source + (y * width + x) * CHANNELS + channel);
    sum += value * (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy);
  }
  return sum;
}

/** Red, green and blue at a place well inside. */
// @ts-ignore: decorator
@inline
function inside(source: usize, stride: usize, at: v128): v128 {
  const whole = i32x4.trunc_sat_f64x2_s_zero(at);
  const part = f32x4.demote_f64x2_zero(f64x2.sub(at, f64x2.convert_low_i32x4_s(whole)));
  const fx = f32x4.splat(f32x4.extract_lane(part, 0));
  const fy = f32x4.splat(f32x4.extract_lane(part, 1));
  const i = source + <usize>i32x4.extract_lane(whole, 1) * stride + <usize>(i32x4.extract_lane(whole, 0) * CHANNELS);
  const upper = v128.load64_zero(i);
  const lower = v128.load64_zero(i + stride);
  const left = i8x16(0, Z, Z, Z, 1, Z, Z, Z, 2, Z, Z, Z, Z, Z, Z, Z);
  const right = i8x16(3, Z, Z, Z, 4, Z, Z, Z, 5, Z, Z, Z, Z, Z, Z, Z);
  const upperLeft = f32x4.convert_i32x4_s(v128.swizzle(upper, left));
  const upperRight = f32x4.convert_i32x4_s(v128.swizzle(upper, right));
  const lowerLeft = f32x4.convert_i32x4_s(v128.swizzle(lower, left));
  const lowerRight = f32x4.convert_i32x4_s(v128.swizzle(lower, right));
  const above = f32x4.add(upperLeft, f32x4.mul(f32x4.sub(upperRight, upperLeft), fx));
  const below = f32x4.add(lowerLeft, f32x4.mul(f32x4.sub(lowerRight, lowerLeft), fx));
  return f32x4.add(above, f32x4.mul(f32x4.sub(below, above), fy));
}

/**
 * A crop in colour. A pixel's numbers lie `atR`, `atG` and `atB` bytes behind `target`, the next pixel's `step` bytes
 * further; outWidth pixels are a row.
 */
export function warpColour(
  source: usize,
  width: i32,
  height: i32,
  target: usize,
  outWidth: i32,
  x0: i32,
  y0: i32,
  x1: i32,
  y1: i32,
  a: f64,
  b: f64,
  tx: f64,
  c: f64,
  d: f64,
  ty: f64,
  scale: f64,
  offR: f64,
  offG: f64,
  offB: f64,
  step: usize,
  atR: usize,
  atG: usize,
  atB: usize,
): void {
  const stride: usize = width * CHANNELS;
  const scales = f32x4.splat(<f32>scale);
  const offsets = f32x4(<f32>offR, <f32>offG, <f32>offB, 0);
  const slope = f64x2(a, c);
  for (let y = y0; y < y1; y++) {
    const rowX = b * <f64>y + tx;
    const rowY = d * <f64>y + ty;
    const row = f64x2(rowX, rowY);
    findInside(width, height, x0, x1, a, rowX, c, rowY);
    let o: usize = target + <usize>(y * outWidth + x0) * step;
    for (let x = x0; x < x1; x++, o += step) {
      if (x < first || x >= end) {
        const sx = a * <f64>x + rowX;
        const sy = c * <f64>x + rowY;
        store<f32>(o + atR, <f32>(atBorder(source, width, height, sx, sy, 0) * scale + offR));
        store<f32>(o + atG, <f32>(atBorder(source, width, height, sx, sy, 1) * scale + offG));
        store<f32>(o + atB, <f32>(atBorder(source, width, height, sx, sy, 2) * scale + offB));
        continue;
      }
      const at = f64x2.add(f64x2.mul(slope, f64x2.splat(<f64>x)), row);
      const pixel = f32x4.add(f32x4.mul(inside(source, stride, at), scales), offsets);
      v128.store32_lane(o + atR, pixel, 0);
      v128.store32_lane(o + atG, pixel, 1);
      v128.store32_lane(o + atB, pixel, 2);
    }
  }
}

/** A crop in grey, by the luma weights of the three channels. */
export function warpGrey(
  source: usize,
  width: i32,
  height: i32,
  target: usize,
  outWidth: i32,
  x0: i32,
  y0: i32,
  x1: i32,
  y1: i32,
  a: f64,
  b: f64,
  tx: f64,
  c: f64,
  d: f64,
  ty: f64,
  scale: f64,
  off: f64,
  lumaR: f64,
  lumaG: f64,
  lumaB: f64,
): void {
  const stride: usize = width * CHANNELS;
  const slope = f64x2(a, c);
  const weights = f32x4(<f32>(lumaR * scale), <f32>(lumaG * scale), <f32>(lumaB * scale), 0);
  for (let y = y0; y < y1; y++) {
    const rowX = b * <f64>y + tx;
    const rowY = d * <f64>y + ty;
    const row = f64x2(rowX, rowY);
    findInside(width, height, x0, x1, a, rowX, c, rowY);
    let o: usize = target + <usize>(y * outWidth + x0) * 4;
    for (let x = x0; x < x1; x++, o += 4) {
      if (x < first || x >= end) {
        const sx = a * <f64>x + rowX;
        const sy = c * <f64>x + rowY;
        const grey =
          atBorder(source, width, height, sx, sy, 0) * lumaR +
          atBorder(source, width, height, sx, sy, 1) * lumaG +
          atBorder(source, width, height, sx, sy, 2) * lumaB;
        store<f32>(o, <f32>(grey * scale + off));
        continue;
      }
      const at = f64x2.add(f64x2.mul(slope, f64x2.splat(<f64>x)), row);
      const parts = f32x4.mul(inside(source, stride, at), weights);
      const grey = f32x4.extract_lane(parts, 0) + f32x4.extract_lane(parts, 1) + f32x4.extract_lane(parts, 2);
      store<f32>(o, grey + <f32>off);
    }
  }
}
