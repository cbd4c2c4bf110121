// AssemblyScript, not TypeScript: `npm run kernels:build` makes apps/inference/src/threads/jpeg.wasm.ts of it.
// The arithmetic of a baseline JPEG (ITU-T T.81), to the bit as libjpeg does it: its accurate integer DCT, its fancy
// upsampling, its colour conversion. That holds for what an encoder made of pixels: coefficients beyond their range, as
// damage makes them, are cut to 16 bits here and give other pixels than libjpeg's, never another address. What stands in the headers is read where this is called (threads/jpeg.ts); the
// addresses come from there, and the memory is this module's own: whatever the bytes say, nothing else can be reached.

/** Codes of so many bits are found by one look at a table; entries are symbol << 8 | length, 0 for longer codes. */
const LOOK: i32 = 10;
const LONGEST: i32 = 16;
/** Behind those entries: largest code of each length, its distance to the first symbol's place, the symbols. */
const LARGEST: usize = (1 << LOOK) * 2;
const PLACE: usize = LARGEST + 4 * (LONGEST + 1);
const SYMBOLS: usize = PLACE + 4 * (LONGEST + 1);

/** How far `unstuff` has read. */
let consumed: i32 = 0;
export function scanLength(): i32 {
  return consumed;
}

/**
 * Entropy-coded bytes up to the first marker, without stuffing. They are laid down backwards, the first just below
 * `end`, so that one load gives the next 64 bits in order. Returns how many.
 */
export function unstuff(source: usize, length: i32, end: usize): i32 {
  let to = end;
  let i = 0;
  while (i < length) {
    const byte = load<u8>(source + i);
    if (byte == 0xff) {
      if (i + 1 >= length || load<u8>(source + i, 1) != 0) break;
      i++;
    }
    i++;
    store<u8>(--to, byte);
  }
  consumed = i;
  return <i32>(end - to);
}

/** Where the next 64 bits begin at bit 0. */
let base: usize = 0;
/** Eight rows of eight 16-bit numbers. */
let work: usize = 0;
/** Place of the last coefficient of the block, in the order of the stream; 0: it is flat. */
let last: i32 = 0;

// @ts-ignore: decorator
@inline
function window(pos: i32): u64 {
  return load<u64>(base - <usize>(pos >> 3)) << (pos & 7);
}

function longCode(table: usize, bits: u64): u32 {
  for (let length = LOOK + 1; length <= LONGEST; length++) {
    const code = <i32>(bits >> (64 - length));
    if (code > load<i32>(table + LARGEST + 4 * length)) continue;
    const place = (code + load<i32>(table + PLACE + 4 * length)) & 0xff;
    return (<u32>load<u8>(table + SYMBOLS + place) << 8) | <u32>length;
  }
  return 0;
}

// @ts-ignore: decorator
@inline
function codeAt(table: usize, bits: u64): u32 {
  const entry = <u32>load<u16>(table + <usize>(bits >> (64 - LOOK)) * 2);
  return entry ? entry : longCode(table, bits);
}

/** `size` bits, of which the first says the sign (T.81, F.2.2.1). */
// @ts-ignore: decorator
@inline
function signed(bits: u64, size: u32): i32 {
  const value = <i32>(bits >> (64 - size));
  return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

/** The coefficients of one block, dequantised, into `work`. Returns the next bit's place, negative: not a JPEG. */
function block(at: i32, dc: usize, ac: usize, quantiser: usize, predictor: usize): i32 {
  const zero = i64x2.splat(0);
  for (let i: usize = 0; i < 128; i += 16) v128.store(work + i, zero);
  let pos = at;
  let bits = window(pos);
  let code = codeAt(dc, bits);
  if (!code) return -1;
  let length = code & 0xff;
  let size = code >> 8;
  if (size > 11) return -1;
  let level = load<i32>(predictor);
  if (size) level += signed(bits << length, size);
  pos += length + size;
  store<i32>(predictor, level);
  store<i16>(work, level * (load<u32>(quantiser) & 0xffff));
  last = 0;
  for (let k = 1; k < 64; k++) {
    bits = window(pos);
    code = codeAt(ac, bits);
    if (!code) return -1;
    length = code & 0xff;
    size = (code >> 8) & 15;
    const run = code >> 12;
    pos += length + size;
    k += run;
    if (!size) {
      if (run != 15) break;
      continue;
    }
    if (k > 63) return -1;
    // A step of the quantiser, and above it the coefficient's place in `work`, in bytes.
    const entry = load<u32>(quantiser + 4 * k);
    store<i16>(work + (entry >> 16), signed(bits << length, size) * (entry & 0xffff));
    last = k;
  }
  return pos;
}

// @ts-ignore: decorator
@inline
function low(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

// @ts-ignore: decorator
@inline
function high(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

// @ts-ignore: decorator
@inline
function dot(pairs: v128, a: i16, b: i16): v128 {
  return i32x4.dot_i16x8_s(pairs, i16x8(a, b, a, b, a, b, a, b));
}

/**
 * One dimension of the inverse DCT (Loeffler, Ligtenberg and Moschytz 1989, 13-bit constants) of the eight columns in
 * `work`, each result shifted right by `shift`, rounded. The factors are libjpeg's, multiplied out.
 */
// @ts-ignore: decorator
@inline
function transform(shift: i32): void {
  const r0 = v128.load(work);
  const r1 = v128.load(work, 16);
  const r2 = v128.load(work, 32);
  const r3 = v128.load(work, 48);
  const r4 = v128.load(work, 64);
  const r5 = v128.load(work, 80);
  const r6 = v128.load(work, 96);
  const r7 = v128.load(work, 112);
  const half = i32x4.splat(1 << (shift - 1));
  // Four columns, then the other four.
  let p04 = low(r0, r4);
  let p26 = low(r2, r6);
  let p13 = low(r1, r3);
  let p57 = low(r5, r7);
  let even0 = i32x4.add(dot(p04, 8192, 8192), half);
  let even1 = i32x4.add(dot(p04, 8192, -8192), half);
  let even2 = dot(p26, 4433, -10704);
  let even3 = dot(p26, 10703, 4433);
  let t10 = i32x4.add(even0, even3);
  let t13 = i32x4.sub(even0, even3);
  let t11 = i32x4.add(even1, even2);
  let t12 = i32x4.sub(even1, even2);
  let odd0 = i32x4.add(dot(p13, 2260, -6436), dot(p57, 9633, -11363));
  let odd1 = i32x4.add(dot(p13, 6437, -11362), dot(p57, 2261, 9633));
  let odd2 = i32x4.add(dot(p13, 9633, -2259), dot(p57, -11362, -6436));
  let odd3 = i32x4.add(dot(p13, 11363, 9633), dot(p57, 6437, 2260));
  const a0 = i32x4.shr_s(i32x4.add(t10, odd3), shift);
  const a1 = i32x4.shr_s(i32x4.add(t11, odd2), shift);
  const a2 = i32x4.shr_s(i32x4.add(t12, odd1), shift);
  const a3 = i32x4.shr_s(i32x4.add(t13, odd0), shift);
  const a4 = i32x4.shr_s(i32x4.sub(t13, odd0), shift);
  const a5 = i32x4.shr_s(i32x4.sub(t12, odd1), shift);
  const a6 = i32x4.shr_s(i32x4.sub(t11, odd2), shift);
  const a7 = i32x4.shr_s(i32x4.sub(t10, odd3), shift);
  p04 = high(r0, r4);
  p26 = high(r2, r6);
  p13 = high(r1, r3);
  p57 = high(r5, r7);
  even0 = i32x4.add(dot(p04, 8192, 8192), half);
  even1 = i32x4.add(dot(p04, 8192, -8192), half);
  even2 = dot(p26, 4433, -10704);
  even3 = dot(p26, 10703, 4433);
  t10 = i32x4.add(even0, even3);
  t13 = i32x4.sub(even0, even3);
  t11 = i32x4.add(even1, even2);
  t12 = i32x4.sub(even1, even2);
  odd0 = i32x4.add(dot(p13, 2260, -6436), dot(p57, 9633, -11363));
  odd1 = i32x4.add(dot(p13, 6437, -11362), dot(p57, 2261, 9633));
  odd2 = i32x4.add(dot(p13, 9633, -2259), dot(p57, -11362, -6436));
  odd3 = i32x4.add(dot(p13, 11363, 9633), dot(p57, 6437, 2260));
  v128.store(work, i16x8.narrow_i32x4_s(a0, i32x4.shr_s(i32x4.add(t10, odd3), shift)));
  v128.store(work, i16x8.narrow_i32x4_s(a1, i32x4.shr_s(i32x4.add(t11, odd2), shift)), 16);
  v128.store(work, i16x8.narrow_i32x4_s(a2, i32x4.shr_s(i32x4.add(t12, odd1), shift)), 32);
  v128.store(work, i16x8.narrow_i32x4_s(a3, i32x4.shr_s(i32x4.add(t13, odd0), shift)), 48);
  v128.store(work, i16x8.narrow_i32x4_s(a4, i32x4.shr_s(i32x4.sub(t13, odd0), shift)), 64);
  v128.store(work, i16x8.narrow_i32x4_s(a5, i32x4.shr_s(i32x4.sub(t12, odd1), shift)), 80);
  v128.store(work, i16x8.narrow_i32x4_s(a6, i32x4.shr_s(i32x4.sub(t11, odd2), shift)), 96);
  v128.store(work, i16x8.narrow_i32x4_s(a7, i32x4.shr_s(i32x4.sub(t10, odd3), shift)), 112);
}

/** Rows become columns: three times every other number from the first and from the second half. */
// @ts-ignore: decorator
@inline
function transpose(): void {
  let r0 = v128.load(work);
  let r1 = v128.load(work, 16);
  let r2 = v128.load(work, 32);
  let r3 = v128.load(work, 48);
  let r4 = v128.load(work, 64);
  let r5 = v128.load(work, 80);
  let r6 = v128.load(work, 96);
  let r7 = v128.load(work, 112);
  for (let i = 0; i < 3; i++) {
    const s0 = low(r0, r4);
    const s1 = high(r0, r4);
    const s2 = low(r1, r5);
    const s3 = high(r1, r5);
    const s4 = low(r2, r6);
    const s5 = high(r2, r6);
    const s6 = low(r3, r7);
    const s7 = high(r3, r7);
    r0 = s0;
    r1 = s1;
    r2 = s2;
    r3 = s3;
    r4 = s4;
    r5 = s5;
    r6 = s6;
    r7 = s7;
  }
  v128.store(work, r0);
  v128.store(work, r1, 16);
  v128.store(work, r2, 32);
  v128.store(work, r3, 48);
  v128.store(work, r4, 64);
  v128.store(work, r5, 80);
  v128.store(work, r6, 96);
  v128.store(work, r7, 112);
}

// @ts-ignore: decorator
@inline
function lowBytes(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// @ts-ignore: decorator
@inline
function highBytes(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** The block in `work` as pixels. */
function paint(to: usize, stride: usize): void {
  const middle = i8x16.splat(-128);
  if (last == 0) {
    const level = (<i32>load<i16>(work) * 4 + 16) >> 5;
    const flat = i8x16.splat(<i8>(max(-128, min(127, level)) + 128));
    for (let y: usize = 0; y < 8; y++) v128.store64_lane(to + y * stride, flat, 0);
    return;
  }
  transform(11);
  transpose();
  transform(18);
  let b0 = i8x16.narrow_i16x8_s(v128.load(work), v128.load(work, 16));
  let b1 = i8x16.narrow_i16x8_s(v128.load(work, 32), v128.load(work, 48));
  let b2 = i8x16.narrow_i16x8_s(v128.load(work, 64), v128.load(work, 80));
  let b3 = i8x16.narrow_i16x8_s(v128.load(work, 96), v128.load(work, 112));
  for (let i = 0; i < 3; i++) {
    const s0 = lowBytes(b0, b2);
    const s1 = highBytes(b0, b2);
    const s2 = lowBytes(b1, b3);
    const s3 = highBytes(b1, b3);
    b0 = s0;
    b1 = s1;
    b2 = s2;
    b3 = s3;
  }
  b0 = v128.xor(b0, middle);
  b1 = v128.xor(b1, middle);
  b2 = v128.xor(b2, middle);
  b3 = v128.xor(b3, middle);
  v128.store64_lane(to, b0, 0);
  v128.store64_lane(to + stride, b0, 1);
  v128.store64_lane(to + 2 * stride, b1, 0);
  v128.store64_lane(to + 3 * stride, b1, 1);
  v128.store64_lane(to + 4 * stride, b2, 0);
  v128.store64_lane(to + 5 * stride, b2, 1);
  v128.store64_lane(to + 6 * stride, b3, 0);
  v128.store64_lane(to + 7 * stride, b3, 1);
}

/**
 * The only scan → three planes. `tables` are two Huffman tables a component (DC, AC), `tableBytes` each, `quantisers` 64
 * entries of 4 bytes a component; `sampling` is 2 where the colour planes are half as wide and high, else 1. 128 bytes
 * for one block lie at `scratch`, behind them three numbers of 4 bytes, which are 0. False: these are not `bits` bits of
 * a JPEG, or more than it needs.
 */
export function decodeScan(
  end: usize,
  bits: i32,
  tables: usize,
  tableBytes: usize,
  quantisers: usize,
  scratch: usize,
  sampling: i32,
  across: i32,
  down: i32,
  planeY: usize,
  strideY: usize,
  planeCb: usize,
  planeCr: usize,
  strideC: usize,
): bool {
  base = end - 8;
  work = scratch;
  const predictors = scratch + 128;
  let pos = 0;
  for (let my = 0; my < down; my++)
    for (let mx = 0; mx < across; mx++) {
      for (let v = 0; v < sampling; v++)
        for (let h = 0; h < sampling; h++) {
          pos = block(pos, tables, tables + tableBytes, quantisers, predictors);
          if (pos < 0) return false;
          paint(planeY + <usize>((my * sampling + v) * 8) * strideY + <usize>((mx * sampling + h) * 8), strideY);
        }
      for (let c: usize = 1; c < 3; c++) {
        const table = tables + 2 * c * tableBytes;
        pos = block(pos, table, table + tableBytes, quantisers + 256 * c, predictors + 4 * c);
        if (pos < 0) return false;
        paint((c == 1 ? planeCb : planeCr) + <usize>(my * 8) * strideC + <usize>(mx * 8), strideC);
      }
      if (pos > bits) return false;
    }
  return bits - pos < 8;
}

/** Three parts of the nearer row and one of the other: 16-bit numbers, the first and the last of them twice. */
function columnSums(near: usize, other: usize, width: i32, sums: usize): void {
  const three = i16x8.splat(3);
  for (let x = 0; x < width; x += 8) {
    const a = i16x8.extend_low_i8x16_u(v128.load64_zero(near + x));
    const b = i16x8.extend_low_i8x16_u(v128.load64_zero(other + x));
    v128.store(sums + 2 + 2 * x, i16x8.add(i16x8.mul(a, three), b));
  }
  store<u16>(sums, load<u16>(sums + 2));
  store<u16>(sums + 2 + 2 * width, load<u16>(sums + 2 * width));
}

/** Two pixels of a sum, each three parts of it and one of its neighbour on that side. */
// @ts-ignore: decorator
@inline
function doubled(sums: usize): v128 {
  const here = i16x8.mul(v128.load(sums, 2), i16x8.splat(3));
  const left = i16x8.shr_u(i16x8.add(i16x8.add(here, v128.load(sums)), i16x8.splat(8)), 4);
  const right = i16x8.shr_u(i16x8.add(i16x8.add(here, v128.load(sums, 4)), i16x8.splat(7)), 4);
  return i8x16.narrow_i16x8_u(low(left, right), high(left, right));
}

/** What Cr adds to red, Cb to blue (times 2 ** 16 as in libjpeg: 1.402, 1.772), and both to green. */
// @ts-ignore: decorator
@inline
function parts(a: v128, b: v128, fa: i16, fb: i16): v128 {
  const half = i32x4.splat(1 << 15);
  const l = i32x4.shr_s(i32x4.add(dot(low(a, b), fa, fb), half), 16);
  const h = i32x4.shr_s(i32x4.add(dot(high(a, b), fa, fb), half), 16);
  return i16x8.narrow_i32x4_s(l, h);
}

/** Sixteen pixels: 48 bytes at `to`. */
// @ts-ignore: decorator
@inline
function colour16(to: usize, luma: v128, cb: v128, cr: v128): void {
  const middle = i16x8.splat(128);
  const zero = i16x8.splat(0);
  let y = i16x8.extend_low_i8x16_u(luma);
  let b = i16x8.sub(i16x8.extend_low_i8x16_u(cb), middle);
  let r = i16x8.sub(i16x8.extend_low_i8x16_u(cr), middle);
  // 91881 = 65536 + 26345; 116130 = 2 · 65536 − 14942; 46802 = 65536 − 18734.
  const red0 = i16x8.add(i16x8.add(y, r), parts(r, zero, 26345, 0));
  const blue0 = i16x8.add(i16x8.add(y, i16x8.add(b, b)), parts(b, zero, -14942, 0));
  const green0 = i16x8.add(i16x8.sub(y, r), parts(b, r, -22554, 18734));
  y = i16x8.extend_high_i8x16_u(luma);
  b = i16x8.sub(i16x8.extend_high_i8x16_u(cb), middle);
  r = i16x8.sub(i16x8.extend_high_i8x16_u(cr), middle);
  const red1 = i16x8.add(i16x8.add(y, r), parts(r, zero, 26345, 0));
  const blue1 = i16x8.add(i16x8.add(y, i16x8.add(b, b)), parts(b, zero, -14942, 0));
  const green1 = i16x8.add(i16x8.sub(y, r), parts(b, r, -22554, 18734));
  const red = i8x16.narrow_i16x8_u(red0, red1);
  const green = i8x16.narrow_i16x8_u(green0, green1);
  const blue = i8x16.narrow_i16x8_u(blue0, blue1);
  const lower = lowBytes(red, green);
  const upper = highBytes(red, green);
  v128.store(to, v128.shuffle<i8>(lower, blue, 0, 1, 16, 2, 3, 17, 4, 5, 18, 6, 7, 19, 8, 9, 20, 10));
  const both = v128.shuffle<i8>(lower, upper, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 0, 0, 0, 0, 0);
  v128.store(to, v128.shuffle<i8>(both, blue, 0, 21, 1, 2, 22, 3, 4, 23, 5, 6, 24, 7, 8, 25, 9, 10), 16);
  v128.store(to, v128.shuffle<i8>(upper, blue, 26, 6, 7, 27, 8, 9, 28, 10, 11, 29, 12, 13, 30, 14, 15, 31), 32);
}

/** The three planes → RGB, interleaved. `sums` is memory for two rows of sums. Up to 45 bytes behind a row are written. */
export function toRgb(
  width: i32,
  height: i32,
  sampling: i32,
  planeY: usize,
  strideY: usize,
  planeCb: usize,
  planeCr: usize,
  strideC: usize,
  sums: usize,
  to: usize,
): void {
  const halfWidth = (width + 1) >> 1;
  const lastRow = ((height + 1) >> 1) - 1;
  const sumsCr = sums + 2 * strideC + 64;
  for (let y = 0; y < height; y++) {
    const row = planeY + <usize>y * strideY;
    const out = to + <usize>(y * width * 3);
    if (sampling == 1) {
      const at = <usize>y * strideC;
      for (let x = 0; x < width; x += 16)
        colour16(out + 3 * x, v128.load(row + x), v128.load(planeCb + at + x), v128.load(planeCr + at + x));
      continue;
    }
    const near = <usize>(y >> 1) * strideC;
    const other = <usize>(y & 1 ? min(lastRow, (y >> 1) + 1) : max(0, (y >> 1) - 1)) * strideC;
    columnSums(planeCb + near, planeCb + other, halfWidth, sums);
    columnSums(planeCr + near, planeCr + other, halfWidth, sumsCr);
    for (let x = 0; x < width; x += 16) colour16(out + 3 * x, v128.load(row + x), doubled(sums + x), doubled(sumsCr + x));
  }
}
