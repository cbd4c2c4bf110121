import { aligned, bytesAt, FLOAT_BYTES, kernels, reserve } from './kernels.js';

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

const CHANNELS = 3;
/** The kernels read a little beyond a picture's last byte. */
const READ_BEYOND = 16;

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
  width: number;
  height: number;
  /** Address in the kernels' memory. */
  at: number;
  /** What has been filled in so far. */
  known: Area;
}

const NO_PICTURE: Picture = { data: new Uint8Array(0), width: 0, height: 0 };
const NOTHING: Area = { x0: 0, y0: 0, x1: 0, y1: 0 };
/** What is halved beyond what was asked for: the crops of one face lie close together. */
const MARGIN_PX = 8;
/** A level whose shorter side is less is not halved again. */
const HALVED_FROM_PX = 16;

/**
 * A picture and its halvings (2 × 2 mean), each made where it is first looked at. One pyramid serves one frame after the
 * other. The levels lie in the kernels' memory, which holds one pyramid at a time: whoever is used next takes it over,
 * and makes its levels anew when its turn comes again.
 */
export class Pyramid {
  private static held: Pyramid | null = null;
  /** Beyond this address nothing has been written since that memory was overwritten. */
  private static usedTo = 0;
  private levels: Level[] = [];
  /** Where crops are made. */
  private cropAt = 0;

  constructor(private picture: Picture = NO_PICTURE) {}

  get base(): Picture {
    return this.picture;
  }

  /** The next frame; what there was of the one before is written over as this one is looked at. */
  load(base: Picture): void {
    this.picture = base;
    this.levels = [];
  }

  /**
   * The level to sample when `reduction` source pixels fall on one output pixel, and how often it was halved.
   *
   * @param area what will be read of the base; all of it by default.
   */
  level(reduction: number, area?: Area): { level: Readonly<Level>; halvings: number } {
    this.hold();
    let halvings = 0;
    for (let r = reduction; r > LEVEL_UP_AT && this.levels[halvings + 1]; r /= 2) halvings++;
    const f = 1 / (1 << halvings);
    const level = this.levels[halvings]!;
    const wanted = area
      ? {
          x0: Math.max(0, Math.floor(area.x0 * f) - MARGIN_PX),
          y0: Math.max(0, Math.floor(area.y0 * f) - MARGIN_PX),
          x1: Math.min(level.width, Math.ceil(area.x1 * f) + MARGIN_PX),
          y1: Math.min(level.height, Math.ceil(area.y1 * f) + MARGIN_PX),
        }
      : { x0: 0, y0: 0, x1: level.width, y1: level.height };
    if (wanted.x0 < wanted.x1 && wanted.y0 < wanted.y1) this.fill(halvings, wanted);
    return { level, halvings };
  }

  /** A whole level as a picture, which is there until the pyramid is used again. */
  at(reduction: number): { picture: Picture; halvings: number } {
    const { level, halvings } = this.level(reduction);
    const { width, height, at } = level;
    return { picture: { data: bytesAt(at, width * height * CHANNELS), width, height }, halvings };
  }

  /** Memory for a crop of so many numbers, and its address. Only until the pyramid is used again. */
  room(numbers: number): { numbers: Float32Array; at: number } {
    const at = this.cropAt;
    Pyramid.use(at + numbers * FLOAT_BYTES);
    return { numbers: new Float32Array(kernels.memory.buffer, at, numbers), at };
  }

  /** Lets go of the picture, which is its owner's, and overwrites all that was made of it and of those before. */
  wipe(): void {
    this.load(NO_PICTURE);
    if (Pyramid.held === this) Pyramid.overwrite();
  }

  private hold(): void {
    if (Pyramid.held === this && this.levels.length > 0) return;
    if (Pyramid.held !== this) Pyramid.overwrite();
    Pyramid.held = this;
    this.levels = [];
    let { width, height } = this.picture;
    let at = 0;
    for (;;) {
      this.levels.push({ width, height, at, known: NOTHING });
      at += aligned(width * height * CHANNELS + READ_BEYOND);
      if (width < HALVED_FROM_PX || height < HALVED_FROM_PX) break;
      width >>= 1;
      height >>= 1;
    }
    this.cropAt = at;
    Pyramid.use(at);
    const [base] = this.levels;
    bytesAt(0, this.picture.data.length).set(this.picture.data);
    base!.known = { x0: 0, y0: 0, x1: base!.width, y1: base!.height };
  }

  private static use(bytes: number): void {
    reserve(bytes);
    Pyramid.usedTo = Math.max(Pyramid.usedTo, bytes);
  }

  private static overwrite(): void {
    bytesAt(0, Pyramid.usedTo).fill(0);
    Pyramid.usedTo = 0;
    Pyramid.held = null;
  }

  private fill(halvings: number, wanted: Area): void {
    const level = this.levels[halvings]!;
    const { known } = level;
    if (contains(known, wanted)) return;
    const area = known === NOTHING ? wanted : around(known, wanted);
    this.fill(halvings - 1, { x0: 2 * area.x0, y0: 2 * area.y0, x1: 2 * area.x1, y1: 2 * area.y1 });
    const from = this.levels[halvings - 1]!;
    kernels.halve(from.at, from.width, level.at, level.width, area.x0, area.y0, area.x1, area.y1);
    level.known = area;
  }
}

const contains = (a: Area, b: Area): boolean => a.x0 <= b.x0 && a.y0 <= b.y0 && a.x1 >= b.x1 && a.y1 >= b.y1;

const around = (a: Area, b: Area): Area => ({
  x0: Math.min(a.x0, b.x0),
  y0: Math.min(a.y0, b.y0),
  x1: Math.max(a.x1, b.x1),
  y1: Math.max(a.y1, b.y1),
});

/**
 * Samples a crop bilinearly into `out`, in one pass. What lies outside the picture is black (pixel value
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
  const { level, halvings } = source.level(reduction, readBy(map, area));
  const f = 1 / (1 << halvings);
  // A pixel of level n covers 2^n pixels, so its centre lies at (x + 0.5) / 2^n − 0.5.
  const shift = 0.5 * f - 0.5;
  const { scale, offset } = format;
  const numbers = width * height * (format.colour === 'grey' ? 1 : CHANNELS);
  const crop = source.room(numbers);
  const isWhole = area.x0 === 0 && area.y0 === 0 && area.x1 === width && area.y1 === height;
  if (!isWhole) fillBlack(crop.numbers, width * height, format);
  const place = [level.at, level.width, level.height, crop.at, width, area.x0, area.y0, area.x1, area.y1] as const;
  const by = [map[0] * f, map[1] * f, map[2] * f + shift, map[3] * f, map[4] * f, map[5] * f + shift] as const;
  if (format.colour === 'grey') {
    kernels.warpGrey(...place, ...by, scale, offset[0] ?? 0, LUMA_R, LUMA_G, LUMA_B);
  } else {
    const isPlanar = format.layout === 'nchw';
    const step = (isPlanar ? 1 : CHANNELS) * FLOAT_BYTES;
    const plane = (isPlanar ? width * height : 1) * FLOAT_BYTES;
    const [r, b] = format.colour === 'bgr' ? [2, 0] : [0, 2];
    kernels.warpColour(...place, ...by, scale, offset[r] ?? 0, offset[1] ?? 0, offset[b] ?? 0, step, r * plane, plane, b * plane); // prettier-ignore
  }
  out.set(crop.numbers);
}

/** What of the source an area of the output is read from. */
function readBy([a, b, tx, c, d, ty]: Affine, { x0, y0, x1, y1 }: Area): Area {
  return {
    x0: Math.min(a * x0, a * x1) + Math.min(b * y0, b * y1) + tx,
    y0: Math.min(c * x0, c * x1) + Math.min(d * y0, d * y1) + ty,
    x1: Math.max(a * x0, a * x1) + Math.max(b * y0, b * y1) + tx,
    y1: Math.max(c * x0, c * x1) + Math.max(d * y0, d * y1) + ty,
  };
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
