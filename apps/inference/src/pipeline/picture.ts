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

/** A picture and its halvings (2 × 2 mean), each made when first asked for. One per frame, dropped with it. */
export class Pyramid {
  private readonly levels: Picture[];

  constructor(base: Picture) {
    this.levels = [base];
  }

  get base(): Picture {
    return this.levels[0]!;
  }

  /** The level to sample when `reduction` source pixels fall on one output pixel, and how often it was halved. */
  at(reduction: number): { picture: Picture; halvings: number } {
    let halvings = 0;
    for (let r = reduction; r > LEVEL_UP_AT; r /= 2) {
      const upper = this.levels[halvings]!;
      if (upper.width < 16 || upper.height < 16) break;
      this.levels[halvings + 1] ??= halve(upper);
      halvings++;
    }
    return { picture: this.levels[halvings]!, halvings };
  }

  /** Overwrites every level: nothing of a face stays in memory longer than it is needed. */
  wipe(): void {
    for (const level of this.levels) level.data.fill(0);
    this.levels.length = 1;
  }
}

function halve(p: Picture): Picture {
  const width = p.width >> 1;
  const height = p.height >> 1;
  const data = new Uint8Array(width * height * 3);
  const src = p.data;
  const stride = p.width * 3;
  let o = 0;
  for (let y = 0; y < height; y++) {
    let i = 2 * y * stride;
    for (let x = 0; x < width; x++, i += 6, o += 3) {
      for (let c = 0; c < 3; c++) {
        const j = i + c;
        data[o + c] = (src[j]! + src[j + 3]! + src[j + stride]! + src[j + stride + 3]! + 2) >> 2;
      }
    }
  }
  return { data, width, height };
}

/**
 * Samples a crop bilinearly into `out`, one pass, nothing allocated per pixel. What lies outside the picture is black
 * (pixel value 0). The level of the pyramid follows from the map's own reduction.
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
  area: { x0: number; y0: number; x1: number; y1: number } = { x0: 0, y0: 0, x1: width, y1: height },
): void {
  const { picture, halvings } = source.at(Math.max(Math.hypot(map[0], map[3]), Math.hypot(map[1], map[4])));
  const f = 1 / (1 << halvings);
  // A pixel of level n covers 2^n pixels, so its centre lies at (x + 0.5) / 2^n − 0.5.
  const shift = 0.5 * f - 0.5;
  const a = map[0] * f;
  const b = map[1] * f;
  const tx = map[2] * f + shift;
  const c = map[3] * f;
  const d = map[4] * f;
  const ty = map[5] * f + shift;
  const { data: src, width: w, height: h } = picture;
  const grey = format.colour === 'grey';
  const channels = grey ? 1 : 3;
  const nchw = format.layout === 'nchw';
  const step = nchw ? 1 : channels;
  const plane = nchw ? width * height : 1;
  const scale = format.scale;
  const first = format.colour === 'bgr' ? 2 * plane : 0;
  const last = format.colour === 'bgr' ? 0 : 2 * plane;
  const off0 = format.offset[0] ?? 0;
  const off1 = format.offset[1] ?? 0;
  const off2 = format.offset[2] ?? 0;
  const offR = format.colour === 'bgr' ? off2 : off0;
  const offB = format.colour === 'bgr' ? off0 : off2;
  const whole = area.x0 === 0 && area.y0 === 0 && area.x1 === width && area.y1 === height;
  if (!whole) fillBlack(out, width * height, format);
  const stride = w * 3;
  for (let y = area.y0; y < area.y1; y++) {
    let sx = a * area.x0 + b * y + tx;
    let sy = c * area.x0 + d * y + ty;
    let o = (y * width + area.x0) * step;
    for (let x = area.x0; x < area.x1; x++, sx += a, sy += c, o += step) {
      let r = 0;
      let g = 0;
      let bl = 0;
      const x0 = Math.floor(sx);
      const y0 = Math.floor(sy);
      if (x0 >= 0 && y0 >= 0 && x0 < w - 1 && y0 < h - 1) {
        const fx = sx - x0;
        const fy = sy - y0;
        const w11 = fx * fy;
        const w01 = fx - w11;
        const w10 = fy - w11;
        const w00 = 1 - fx - w10;
        const i = y0 * stride + x0 * 3;
        const j = i + stride;
        r = src[i]! * w00 + src[i + 3]! * w01 + src[j]! * w10 + src[j + 3]! * w11;
        g = src[i + 1]! * w00 + src[i + 4]! * w01 + src[j + 1]! * w10 + src[j + 4]! * w11;
        bl = src[i + 2]! * w00 + src[i + 5]! * w01 + src[j + 2]! * w10 + src[j + 5]! * w11;
      } else if (x0 >= -1 && y0 >= -1 && x0 < w && y0 < h) {
        // The border: each of the four neighbours may be missing.
        const fx = sx - x0;
        const fy = sy - y0;
        for (let k = 0; k < 4; k++) {
          const xx = x0 + (k & 1);
          const yy = y0 + (k >> 1);
          if (xx < 0 || yy < 0 || xx >= w || yy >= h) continue;
          const weight = (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy);
          const i = yy * stride + xx * 3;
          r += src[i]! * weight;
          g += src[i + 1]! * weight;
          bl += src[i + 2]! * weight;
        }
      }
      if (grey) {
        out[o] = (r * LUMA_R + g * LUMA_G + bl * LUMA_B) * scale + off0;
      } else {
        out[o + first] = r * scale + offR;
        out[o + plane] = g * scale + off1;
        out[o + last] = bl * scale + offB;
      }
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
