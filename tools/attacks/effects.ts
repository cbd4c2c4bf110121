import sharp from 'sharp';
import type { Picture } from '../../apps/inference/src/pipeline/picture.js';

/** Where a face is, in widths of the picture: the middle between the eyes and the distance of their outer corners. */
export interface FacePlace {
  x: number;
  y: number;
  eyeSpan: number;
}

/** A photo held before a camera: degrees, shifts in face widths; bend: radius of the cylinder in face widths. */
export interface PhotoPose {
  yaw?: number;
  pitch?: number;
  roll?: number;
  dx?: number;
  dy?: number;
  zoom?: number;
  /** Convex towards the camera if positive, about the vertical axis. */
  bend?: number;
}

/** What happens to one picture between the footage and the camera. Plain data: the same effect, the same picture. */
export type Effect =
  | { kind: 'mirror' }
  | { kind: 'light'; gain: number; offset: number }
  | { kind: 'move'; dx: number; dy: number; zoom: number; roll: number }
  | { kind: 'frame'; frame: Frame }
  | { kind: 'smear'; dx: number; dy: number }
  | { kind: 'photo'; face: FacePlace; pose: PhotoPose }
  | { kind: 'cover'; face: FacePlace; cover: Cover }
  | { kind: 'screen'; screen: Screen }
  | { kind: 'reencode'; quality: number };

/** What another camera sees of the picture, in widths of the picture; beyond the picture its edge goes on. */
export interface Frame {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A strip before the face: centre relative to the eyes and size in eye spans, degrees; colour, or skin from the cheek. */
export interface Cover {
  dx: number;
  dy: number;
  width: number;
  height: number;
  roll: number;
  colour: readonly [number, number, number] | 'skin';
}

/** A display filmed off: its pixels beat with the camera's (periods in camera pixels), tone, optics and edge. */
export interface Screen {
  period: number;
  angle: number;
  phase: number;
  strength: number;
  gamma: number;
  blur: number;
  /** Share of the picture's side that shows the bezel. */
  border: number;
}

/** A face box is about so many eye spans wide. */
const FACE_SPANS = 1.6;
const SURROUND = 110;
/** A longer way is sampled more coarsely. */
const SMEAR_STEPS_MAX = 8;

export async function apply(picture: Picture, effect: Effect): Promise<Picture> {
  switch (effect.kind) {
    case 'mirror':
      return mirrored(picture);
    case 'light':
      return lit(picture, effect.gain, effect.offset);
    case 'move':
      return moved(picture, effect);
    case 'frame':
      return framed(picture, effect.frame);
    case 'smear':
      return smeared(picture, effect.dx * picture.width, effect.dy * picture.width);
    case 'photo':
      return photographed(picture, effect.face, effect.pose);
    case 'cover':
      return covered(picture, effect.face, effect.cover);
    case 'screen':
      return onScreen(picture, effect.screen);
    case 'reencode':
      return reencoded(picture, effect.quality);
  }
}

const blank = ({ width, height }: Pick<Picture, 'width' | 'height'>, grey: number): Picture => ({
  width,
  height,
  data: new Uint8Array(width * height * 3).fill(grey),
});

const raw = ({ width, height }: Picture) => ({ raw: { width, height, channels: 3 as const } });

async function reencoded(p: Picture, quality: number): Promise<Picture> {
  const jpeg = await sharp(p.data, raw(p)).jpeg({ quality }).toBuffer();
  return { ...p, data: await sharp(jpeg).raw().toBuffer() };
}

function mirrored(p: Picture): Picture {
  const out = blank(p, 0);
  for (let y = 0; y < p.height; y++)
    for (let x = 0; x < p.width; x++) {
      const from = (y * p.width + p.width - 1 - x) * 3;
      out.data.set(p.data.subarray(from, from + 3), (y * p.width + x) * 3);
    }
  return out;
}

function lit(p: Picture, gain: number, offset: number): Picture {
  const table = Uint8ClampedArray.from({ length: 256 }, (_, v) => v * gain + offset);
  return { ...p, data: p.data.map((v) => table[v]!) };
}

/** Bilinear, written to `out` at byte k. */
function sample(p: Picture, x: number, y: number, out: Uint8Array, k: number): void {
  const x0 = Math.floor(x);
  const y0 = Math.floor(y);
  const fx = x - x0;
  const fy = y - y0;
  const i = (y0 * p.width + x0) * 3;
  const j = i + p.width * 3;
  for (let c = 0; c < 3; c++) {
    const top = p.data[i + c]! * (1 - fx) + p.data[i + 3 + c]! * fx;
    const bottom = p.data[j + c]! * (1 - fx) + p.data[j + 3 + c]! * fx;
    out[k + c] = top * (1 - fy) + bottom * fy;
  }
}

const clamp = (v: number, max: number): number => Math.min(Math.max(v, 0), max);

/** The camera moves: shifts in widths, degrees; what comes in from outside repeats the edge. */
function moved(p: Picture, { dx, dy, zoom, roll }: { dx: number; dy: number; zoom: number; roll: number }): Picture {
  const out = blank(p, 0);
  const r = (roll * Math.PI) / 180;
  const [cos, sin] = [Math.cos(r) / zoom, Math.sin(r) / zoom];
  const [cx, cy] = [p.width / 2, p.height / 2];
  for (let y = 0; y < p.height; y++)
    for (let x = 0; x < p.width; x++) {
      const u = x - cx - dx * p.width;
      const v = y - cy - dy * p.width;
      const sx = clamp(cos * u + sin * v + cx, p.width - 1.001);
      const sy = clamp(-sin * u + cos * v + cy, p.height - 1.001);
      sample(p, sx, sy, out.data, (y * p.width + x) * 3);
    }
  return out;
}

/** Another framing, at the picture's own scale. */
function framed(p: Picture, { x, y, width, height }: Frame): Picture {
  const out = blank({ width: Math.round(width * p.width), height: Math.round(height * p.width) }, 0);
  for (let v = 0; v < out.height; v++) {
    const from = clamp(Math.round(y * p.width) + v, p.height - 1) * p.width;
    for (let u = 0; u < out.width; u++) {
      const k = (from + clamp(Math.round(x * p.width) + u, p.width - 1)) * 3;
      out.data.set(p.data.subarray(k, k + 3), (v * out.width + u) * 3);
    }
  }
  return out;
}

/** All that the shutter lets in while the picture moves by so many pixels: the mean along the way. */
function smeared(p: Picture, dx: number, dy: number): Picture {
  const steps = Math.min(SMEAR_STEPS_MAX, Math.ceil(Math.hypot(dx, dy)));
  if (steps < 1) return p;
  const sum = new Float32Array(p.data.length);
  const at = new Uint8Array(3);
  for (let i = 0; i <= steps; i++) {
    const [ox, oy] = [(i / steps - 0.5) * dx, (i / steps - 0.5) * dy];
    for (let y = 0; y < p.height; y++)
      for (let x = 0; x < p.width; x++) {
        sample(p, clamp(x + ox, p.width - 1.001), clamp(y + oy, p.height - 1.001), at, 0);
        const k = (y * p.width + x) * 3;
        for (let c = 0; c < 3; c++) sum[k + c]! += at[c]!;
      }
  }
  return { ...p, data: Uint8Array.from(sum, (v) => Math.round(v / (steps + 1))) };
}

type Vector = readonly [number, number, number];

/** Rows of the inverse of Ry·Rx·Rz. */
function inverseRotation(yaw: number, pitch: number, roll: number): readonly [Vector, Vector, Vector] {
  const [cy, cp, cr] = [yaw, pitch, roll].map((d) => Math.cos((d * Math.PI) / 180)) as [number, number, number];
  const [sy, sp, sr] = [yaw, pitch, roll].map((d) => Math.sin((d * Math.PI) / 180)) as [number, number, number];
  return [
    [cy * cr + sy * sp * sr, cp * sr, -sy * cr + cy * sp * sr],
    [-cy * sr + sy * sp * cr, cp * cr, sy * sr + cy * sp * cr],
    [sy * cp, -sp, cy * cp],
  ];
}

/**
 * The picture as a print seen by a pinhole camera at 3.5 face widths, turned about the middle of the face, flat or bent
 * to a cylinder. What is not the print is grey.
 */
function photographed(p: Picture, face: FacePlace, pose: PhotoPose): Picture {
  const distance = 3.5;
  const faceWidth = face.eyeSpan * FACE_SPANS * p.width;
  const cx = face.x * p.width;
  const cy = (face.y + 0.3 * face.eyeSpan) * p.width;
  const focal = distance * faceWidth * (pose.zoom ?? 1);
  const rows = inverseRotation(pose.yaw ?? 0, pose.pitch ?? 0, pose.roll ?? 0);
  const turn = (v: Vector): Vector => rows.map((r) => r[0] * v[0] + r[1] * v[1] + r[2] * v[2]) as unknown as Vector;
  const origin = turn([-(pose.dx ?? 0), -(pose.dy ?? 0), -distance]);
  const out = blank(p, SURROUND);
  for (let y = 0; y < p.height; y++)
    for (let x = 0; x < p.width; x++) {
      const ray = turn([(x - cx) / focal, (y - cy) / focal, 1]);
      const hit = pose.bend ? onCylinder(origin, ray, pose.bend) : onPlane(origin, ray);
      if (!hit) continue;
      const sx = cx + hit[0] * faceWidth;
      const sy = cy + hit[1] * faceWidth;
      if (sx < 0 || sy < 0 || sx >= p.width - 1 || sy >= p.height - 1) continue;
      sample(p, sx, sy, out.data, (y * p.width + x) * 3);
    }
  return out;
}

function onPlane(origin: Vector, ray: Vector): readonly [number, number] | null {
  if (Math.abs(ray[2]) < 1e-6) return null;
  const t = -origin[2] / ray[2];
  return t < 0 ? null : [origin[0] + t * ray[0], origin[1] + t * ray[1]];
}

/** On the cylinder the arc is what lay flat on the print. */
function onCylinder(origin: Vector, ray: Vector, radius: number): readonly [number, number] | null {
  const a = ray[0] ** 2 + ray[2] ** 2;
  const b = 2 * (origin[0] * ray[0] + (origin[2] - radius) * ray[2]);
  const c = origin[0] ** 2 + (origin[2] - radius) ** 2 - radius ** 2;
  const q = b * b - 4 * a * c;
  if (q < 0) return null;
  const t = (-b - Math.sign(radius) * Math.sqrt(q)) / (2 * a);
  const angle = Math.atan2(origin[0] + t * ray[0], (radius - origin[2] - t * ray[2]) * Math.sign(radius));
  return Math.abs(angle) > 1.5 ? null : [Math.abs(radius) * angle, origin[1] + t * ray[1]];
}

/** A strip with soft edges, one pixel wide. Skin is taken from below the eyes. */
function covered(p: Picture, face: FacePlace, cover: Cover): Picture {
  const span = face.eyeSpan * p.width;
  const [ex, ey] = [face.x * p.width, face.y * p.width];
  const colour = cover.colour === 'skin' ? meanAround(p, ex + 0.3 * span, ey + 0.45 * span, 0.08 * span) : cover.colour;
  const out: Picture = { ...p, data: Uint8Array.from(p.data) };
  const r = (cover.roll * Math.PI) / 180;
  const [cos, sin] = [Math.cos(r), Math.sin(r)];
  const cx = ex + cover.dx * span;
  const cy = ey + cover.dy * span;
  const reach = (span * Math.hypot(cover.width, cover.height)) / 2 + 2;
  for (let y = Math.max(0, Math.floor(cy - reach)); y <= Math.min(p.height - 1, cy + reach); y++)
    for (let x = Math.max(0, Math.floor(cx - reach)); x <= Math.min(p.width - 1, cx + reach); x++) {
      const u = Math.abs(cos * (x - cx) + sin * (y - cy)) - (cover.width * span) / 2;
      const v = Math.abs(-sin * (x - cx) + cos * (y - cy)) - (cover.height * span) / 2;
      const share = clamp(0.5 - Math.max(u, v), 1);
      const k = (y * p.width + x) * 3;
      for (let c = 0; c < 3; c++) out.data[k + c] = p.data[k + c]! * (1 - share) + colour[c]! * share;
    }
  return out;
}

function meanAround(p: Picture, cx: number, cy: number, radius: number): [number, number, number] {
  const sum: [number, number, number] = [0, 0, 0];
  let n = 0;
  for (let y = Math.round(cy - radius); y <= cy + radius; y++)
    for (let x = Math.round(cx - radius); x <= cx + radius; x++) {
      if (x < 0 || y < 0 || x >= p.width || y >= p.height) continue;
      for (let c = 0; c < 3; c++) sum[c]! += p.data[(y * p.width + x) * 3 + c]!;
      n++;
    }
  return n > 0 ? [sum[0] / n, sum[1] / n, sum[2] / n] : [SURROUND, SURROUND, SURROUND];
}

async function onScreen(p: Picture, s: Screen): Promise<Picture> {
  const sharpened = s.blur >= 0.3 ? await sharp(p.data, raw(p)).blur(s.blur).raw().toBuffer() : p.data;
  const tone = Uint8ClampedArray.from({ length: 256 }, (_, v) => 18 + 225 * (v / 255) ** s.gamma);
  const out = blank(p, 0);
  const r = (s.angle * Math.PI) / 180;
  const [kx, ky] = [(2 * Math.PI * Math.cos(r)) / s.period, (2 * Math.PI * Math.sin(r)) / s.period];
  const edge = s.border * Math.min(p.width, p.height);
  for (let y = 0; y < p.height; y++)
    for (let x = 0; x < p.width; x++) {
      const k = (y * p.width + x) * 3;
      if (Math.min(x, y, p.width - 1 - x, p.height - 1 - y) < edge) continue;
      const beat = kx * x + ky * y + s.phase;
      for (let c = 0; c < 3; c++)
        out.data[k + c] = clamp(tone[sharpened[k + c]!]! * (1 + s.strength * Math.sin(beat + c * 2.1)), 255);
    }
  return out;
}
