/**
 * A decoded picture: RGB, 8 bits, interleaved, rows from the top, no padding. Coordinates are pixels; (0, 0) is the
 * centre of the first pixel.
 */
export interface Picture {
  data: Uint8Array;
  width: number;
  height: number;
}

/** Maps output to source: sx = m[0]·x + m[1]·y + m[2], sy = m[3]·x + m[4]·y + m[5]. */
export type Affine = readonly [number, number, number, number, number, number];

/** How the pixels of a crop become the numbers a net wants: `value = pixel · scale + offset[channel]`. */
export interface TensorFormat {
  /** `nhwc`: interleaved; `nchw`: plane by plane. */
  layout: 'nhwc' | 'nchw';
  colour: 'rgb' | 'bgr' | 'grey';
  scale: number;
  /** In the order of the output's channels; one value for grey. */
  offset: readonly number[];
}

/** ITU-R BT.601 luma weights. */
const LUMA_R = 0.299;
const LUMA_G = 0.587;
const LUMA_B = 0.114;

export const luma = (r: number, g: number, b: number): number => r * LUMA_R + g * LUMA_G + b * LUMA_B;

/** Above this reduction bilinear sampling skips pixels, so the next halved level is read instead. */
const LEVEL_UP_AT = 1.6;

/** Part of a picture, pixels; the upper bounds are not in it. */
interface Area {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

interface Level {
  picture: Picture;
  /** What has been filled in so far. */
  known: Area;
}

const NOTHING: Area = { x0: 0, y0: 0, x1: 0, y1: 0 };
/** What is halved beyond what was asked for: the crops of one face lie close together. */
const MARGIN_PX = 8;

/**
 * A picture and its halvings (2 × 2 mean), each made where it is first looked at. One pyramid serves one frame after the
 * other: `load` keeps the memory of the levels.
 */
export class Pyramid {
  private readonly levels: Level[];

  constructor(base: Picture) {
    this.levels = [whole(base)];
  }

  get base(): Picture {
    return this.levels[0]!.picture;
  }

  /** The next frame. */
  load(base: Picture): void {
    if (base.width !== this.base.width || base.height !== this.base.height) this.levels.length = 1;
    for (const level of this.levels) level.known = NOTHING;
    this.levels[0] = whole(base);
  }

  /**
   * The level to sample when `reduction` source pixels fall on one output pixel, and how often it was halved.
   *
   * @param area what will be read of the base; all of it by default.
   */
  at(reduction: number, area?: Area): { picture: Picture; halvings: number } {
    let halvings = 0;
    for (let r = reduction; r > LEVEL_UP_AT; r /= 2) {
      const { width, height } = this.level(halvings).picture;
      if (width < 16 || height < 16) break;
      halvings++;
    }
    const f = 1 / (1 << halvings);
    const { picture } = this.level(halvings);
    const wanted = area
      ? {
          x0: Math.max(0, Math.floor(area.x0 * f) - MARGIN_PX),
          y0: Math.max(0, Math.floor(area.y0 * f) - MARGIN_PX),
          x1: Math.min(picture.width, Math.ceil(area.x1 * f) + MARGIN_PX),
          y1: Math.min(picture.height, Math.ceil(area.y1 * f) + MARGIN_PX),
        }
      : { x0: 0, y0: 0, x1: picture.width, y1: picture.height };
    if (wanted.x0 < wanted.x1 && wanted.y0 < wanted.y1) this.fill(halvings, wanted);
    return { picture, halvings };
  }

  /** Overwrites every level: nothing of a face stays in memory longer than it is needed. */
  wipe(): void {
    for (const level of this.levels) {
      const { data, width } = level.picture;
      data.fill(0, level.known.y0 * width * 3, level.known.y1 * width * 3);
      level.known = NOTHING;
    }
  }

  private level(halvings: number): Level {
    const known = this.levels[halvings];
    if (known) return known;
    const upper = this.level(halvings - 1).picture;
    const width = upper.width >> 1;
    const height = upper.height >> 1;
    const level = { picture: { data: new Uint8Array(width * height * 3), width, height }, known: NOTHING };
    this.levels[halvings] = level;
    return level;
  }

  private fill(halvings: number, wanted: Area): void {
    const level = this.level(halvings);
    const { known } = level;
    if (contains(known, wanted)) return;
    const area = known === NOTHING ? wanted : around(known, wanted);
    this.fill(halvings - 1, { x0: 2 * area.x0, y0: 2 * area.y0, x1: 2 * area.x1, y1: 2 * area.y1 });
    halve(this.level(halvings - 1).picture, level.picture, area);
    level.known = area;
  }
}

const whole = (picture: Picture): Level => ({
  picture,
  known: { x0: 0, y0: 0, x1: picture.width, y1: picture.height },
});

const contains = (a: Area, b: Area): boolean => a.x0 <= b.x0 && a.y0 <= b.y0 && a.x1 >= b.x1 && a.y1 >= b.y1;

const around = (a: Area, b: Area): Area => ({
  x0: Math.min(a.x0, b.x0),
  y0: Math.min(a.y0, b.y0),
  x1: Math.max(a.x1, b.x1),
  y1: Math.max(a.y1, b.y1),
});

/** @param area of the smaller picture. */
function halve(from: Picture, to: Picture, area: Area): void {
  const { data: src } = from;
  const { data } = to;
  const stride = from.width * 3;
  for (let y = area.y0; y < area.y1; y++) {
    let i = 2 * y * stride + 6 * area.x0;
    let j = i + stride;
    let o = (y * to.width + area.x0) * 3;
    for (const end = (y * to.width + area.x1) * 3; o < end; i += 6, j += 6, o += 3) {
      data[o] = (src[i]! + src[i + 3]! + src[j]! + src[j + 3]! + 2) >> 2;
      data[o + 1] = (src[i + 1]! + src[i + 4]! + src[j + 1]! + src[j + 4]! + 2) >> 2;
      data[o + 2] = (src[i + 2]! + src[i + 5]! + src[j + 2]! + src[j + 5]! + 2) >> 2;
    }
  }
}

/**
 * Samples a crop bilinearly into `out`, one pass, nothing allocated. What lies outside the picture is black (pixel value
 * 0). The level of the pyramid follows from the map's own reduction.
 *
 * @param out width · height · channels numbers.
 * @param area the part of the output to fill; the rest becomes black.
 */
export function warp(
  source: Pyramid,
  map: Affine,
  width: number,
  height: number,
  format: TensorFormat,
  out: Float32Array,
  area: Area = { x0: 0, y0: 0, x1: width, y1: height },
): void {
  const reduction = Math.max(Math.hypot(map[0], map[3]), Math.hypot(map[1], map[4]));
  const { picture, halvings } = source.at(reduction, readBy(map, area));
  const f = 1 / (1 << halvings);
  // A pixel of level n covers 2^n pixels, so its centre lies at (x + 0.5) / 2^n − 0.5.
  const shift = 0.5 * f - 0.5;
  const level: Affine = [map[0] * f, map[1] * f, map[2] * f + shift, map[3] * f, map[4] * f, map[5] * f + shift];
  const isWhole = area.x0 === 0 && area.y0 === 0 && area.x1 === width && area.y1 === height;
  if (!isWhole) fillBlack(out, width * height, format);
  if (format.colour === 'grey') warpGrey(picture, level, width, area, format, out);
  else warpColour(picture, level, width, area, format, out, width * height);
}

/** What of the source an area of the output is read from. */
function readBy(map: Affine, { x0, y0, x1, y1 }: Area): Area {
  const xs = [x0, x1].flatMap((x) => [y0, y1].map((y) => map[0] * x + map[1] * y + map[2]));
  const ys = [x0, x1].flatMap((x) => [y0, y1].map((y) => map[3] * x + map[4] * y + map[5]));
  return { x0: Math.min(...xs), y0: Math.min(...ys), x1: Math.max(...xs), y1: Math.max(...ys) };
}

/** The columns of one row that are read from well inside, where all four neighbours exist: [first, end). */
function inside(picture: Picture, area: Area, a: number, sx: number, c: number, sy: number): [number, number] {
  let first = area.x0;
  let end = area.x1;
  const limit = (slope: number, start: number, size: number): void => {
    if (slope === 0) {
      if (!(start >= 0 && start < size - 1)) end = first;
      return;
    }
    const [p, q] = [-start / slope, (size - 1 - start) / slope];
    first = Math.max(first, Math.ceil(Math.min(p, q)));
    end = Math.min(end, Math.ceil(Math.max(p, q)));
  };
  limit(a, sx, picture.width);
  limit(c, sy, picture.height);
  // The divisions round: the first and last pixel are looked at.
  const fits = (x: number): boolean => {
    const [u, v] = [a * x + sx, c * x + sy];
    return u >= 0 && v >= 0 && u < picture.width - 1 && v < picture.height - 1;
  };
  while (first < end && !fits(first)) first++;
  while (first < end && !fits(end - 1)) end--;
  return first < end ? [first, end] : [area.x1, area.x1];
}

/** One channel at a place near or beyond the border: each of the four neighbours may be missing, and is black then. */
function atBorder({ data, width, height }: Picture, sx: number, sy: number, channel: number): number {
  const x0 = Math.floor(sx);
  const y0 = Math.floor(sy);
  if (x0 < -1 || y0 < -1 || x0 >= width || y0 >= height) return 0;
  const fx = sx - x0;
  const fy = sy - y0;
  let sum = 0;
  for (let k = 0; k < 4; k++) {
    const x = x0 + (k & 1);
    const y = y0 + (k >> 1);
    if (x < 0 || y < 0 || x >= width || y >= height) continue;
    sum += data[(y * width + x) * 3 + channel]! * (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy);
  }
  return sum;
}

function warpColour(
  picture: Picture,
  map: Affine,
  width: number,
  area: Area,
  format: TensorFormat,
  out: Float32Array,
  pixels: number,
): void {
  const { data: src } = picture;
  const stride = picture.width * 3;
  const [a, b, tx, c, d, ty] = map;
  const { scale, offset } = format;
  const step = format.layout === 'nchw' ? 1 : 3;
  const plane = format.layout === 'nchw' ? pixels : 1;
  const isBgr = format.colour === 'bgr';
  const atR = isBgr ? 2 * plane : 0;
  const atB = isBgr ? 0 : 2 * plane;
  const offR = offset[isBgr ? 2 : 0] ?? 0;
  const offG = offset[1] ?? 0;
  const offB = offset[isBgr ? 0 : 2] ?? 0;
  for (let y = area.y0; y < area.y1; y++) {
    const rowX = b * y + tx;
    const rowY = d * y + ty;
    const [first, end] = inside(picture, area, a, rowX, c, rowY);
    let o = (y * width + area.x0) * step;
    for (let x = area.x0; x < area.x1; x++, o += step) {
      const sx = a * x + rowX;
      const sy = c * x + rowY;
      if (x < first || x >= end) {
        out[o + atR] = atBorder(picture, sx, sy, 0) * scale + offR;
        out[o + plane] = atBorder(picture, sx, sy, 1) * scale + offG;
        out[o + atB] = atBorder(picture, sx, sy, 2) * scale + offB;
        continue;
      }
      const x0 = sx | 0;
      const y0 = sy | 0;
      const fx = sx - x0;
      const fy = sy - y0;
      const w11 = fx * fy;
      const w01 = fx - w11;
      const w10 = fy - w11;
      const w00 = 1 - fx - w10;
      const i = y0 * stride + x0 * 3;
      const j = i + stride;
      out[o + atR] = (src[i]! * w00 + src[i + 3]! * w01 + src[j]! * w10 + src[j + 3]! * w11) * scale + offR;
      out[o + plane] = (src[i + 1]! * w00 + src[i + 4]! * w01 + src[j + 1]! * w10 + src[j + 4]! * w11) * scale + offG;
      out[o + atB] = (src[i + 2]! * w00 + src[i + 5]! * w01 + src[j + 2]! * w10 + src[j + 5]! * w11) * scale + offB;
    }
  }
}

function warpGrey(
  picture: Picture,
  map: Affine,
  width: number,
  area: Area,
  { scale, offset }: TensorFormat,
  out: Float32Array,
): void {
  const { data: src } = picture;
  const stride = picture.width * 3;
  const [a, b, tx, c, d, ty] = map;
  const off = offset[0] ?? 0;
  const luma = (i: number): number => src[i]! * LUMA_R + src[i + 1]! * LUMA_G + src[i + 2]! * LUMA_B;
  for (let y = area.y0; y < area.y1; y++) {
    const rowX = b * y + tx;
    const rowY = d * y + ty;
    const [first, end] = inside(picture, area, a, rowX, c, rowY);
    let o = y * width + area.x0;
    for (let x = area.x0; x < area.x1; x++, o++) {
      const sx = a * x + rowX;
      const sy = c * x + rowY;
      if (x < first || x >= end) {
        const grey = atBorder(picture, sx, sy, 0) * LUMA_R + atBorder(picture, sx, sy, 1) * LUMA_G + atBorder(picture, sx, sy, 2) * LUMA_B; // prettier-ignore
        out[o] = grey * scale + off;
        continue;
      }
      const x0 = sx | 0;
      const y0 = sy | 0;
      const fx = sx - x0;
      const fy = sy - y0;
      const i = y0 * stride + x0 * 3;
      const j = i + stride;
      const top = luma(i) * (1 - fx) + luma(i + 3) * fx;
      const bottom = luma(j) * (1 - fx) + luma(j + 3) * fx;
      out[o] = (top * (1 - fy) + bottom * fy) * scale + off;
    }
  }
}

function fillBlack(out: Float32Array, pixels: number, format: TensorFormat): void {
  const channels = format.colour === 'grey' ? 1 : 3;
  for (let c = 0; c < channels; c++) {
    const value = format.offset[c] ?? 0;
    if (format.layout === 'nchw') out.fill(value, c * pixels, (c + 1) * pixels);
    else for (let i = c; i < pixels * channels; i += channels) out[i] = value;
  }
}

/** The map of a square crop: `size` source pixels around (cx, cy), turned by `angle` radians, onto `side` pixels. */
export function squareCrop(cx: number, cy: number, size: number, angle: number, side: number): Affine {
  const k = size / side;
  const co = Math.cos(angle) * k;
  const si = Math.sin(angle) * k;
  const half = side / 2;
  return [co, -si, cx - half * co + half * si, si, co, cy - half * si - half * co];
}

/**
 * Least-squares similarity (turn, scale, shift) that maps the points `to` onto the points `from`, so that it can be
 * handed to `warp` (output → source). Umeyama 1991 without reflection, in two dimensions.
 */
export function similarity(from: readonly (readonly [number, number])[], to: typeof from): Affine {
  const n = from.length;
  let mx = 0;
  let my = 0;
  let ux = 0;
  let uy = 0;
  for (let i = 0; i < n; i++) {
    mx += to[i]![0] / n;
    my += to[i]![1] / n;
    ux += from[i]![0] / n;
    uy += from[i]![1] / n;
  }
  let a = 0;
  let b = 0;
  let v = 0;
  for (let i = 0; i < n; i++) {
    const dx = to[i]![0] - mx;
    const dy = to[i]![1] - my;
    const sx = from[i]![0] - ux;
    const sy = from[i]![1] - uy;
    a += dx * sx + dy * sy;
    b += dx * sy - dy * sx;
    v += dx * dx + dy * dy;
  }
  a /= v || 1;
  b /= v || 1;
  return [a, -b, ux - a * mx + b * my, b, a, uy - b * mx - a * my];
}
