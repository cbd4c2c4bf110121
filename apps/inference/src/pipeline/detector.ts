import { type Affine, type Pyramid, warp, type TensorFormat } from './picture.js';

/** A face as BlazeFace reports it, in picture pixels. */
export interface Detection {
  score: number;
  x: number;
  y: number;
  width: number;
  height: number;
  /** Right eye, left eye (the person's own sides), nose tip, mouth, right ear, left ear. */
  points: [number, number][];
}

/** Raw outputs of the detector: 16 × 16 cells × 2 anchors, then 8 × 8 cells × 6 anchors; 16 numbers a box. */
export interface DetectorOutput {
  scores16: Float32Array;
  scores8: Float32Array;
  boxes16: Float32Array;
  boxes8: Float32Array;
}

export const DETECTOR_SIDE = 256;
const FORMAT: TensorFormat = { layout: 'nchw', colour: 'rgb', scale: 1 / 127.5, offset: [-1, -1, -1] };
const SCORE_MIN = 0.5;
const IOU_SAME_FACE = 0.3;

/** Cell centres 0..1 in the order of the outputs (MediaPipe's SSD anchors of the 256-pixel back model, fixed size). */
export const ANCHORS: Float32Array = (() => {
  const out: number[] = [];
  for (const [cells, each] of [
    [16, 2],
    [8, 6],
  ] as const)
    for (let y = 0; y < cells; y++)
      for (let x = 0; x < cells; x++) for (let k = 0; k < each; k++) out.push((x + 0.5) / cells, (y + 0.5) / cells);
  return Float32Array.from(out);
})();

/** The whole picture, aspect kept, centred on 256 × 256. The map goes from input pixels to picture pixels. */
export function detectorInput(source: Pyramid, out: Float32Array): Affine {
  const { width, height } = source.base;
  const k = Math.max(width, height) / DETECTOR_SIDE;
  const w = Math.round(width / k);
  const h = Math.round(height / k);
  const ox = (DETECTOR_SIDE - w) >> 1;
  const oy = (DETECTOR_SIDE - h) >> 1;
  // Half-pixel centres: a cell of the output covers k pixels of the picture.
  const map: Affine = [k, 0, (0.5 - ox) * k - 0.5, 0, k, (0.5 - oy) * k - 0.5];
  warp(source, map, DETECTOR_SIDE, DETECTOR_SIDE, FORMAT, out, { x0: ox, y0: oy, x1: ox + w, y1: oy + h });
  return map;
}

/**
 * Scores from `scoreMin` up → boxes in picture pixels, best first, each face once (greedy suppression at IoU 0.3). Below
 * the default a box is only worth a second look.
 */
export function decodeDetections(output: DetectorOutput, map: Affine, scoreMin = SCORE_MIN): Detection[] {
  const found: Detection[] = [];
  const logitMin = Math.log(scoreMin / (1 - scoreMin));
  for (let i = 0; i < ANCHORS.length / 2; i++) {
    const coarse = i >= 512;
    const logit = coarse ? output.scores8[i - 512] : output.scores16[i];
    if (logit === undefined || !(logit >= logitMin)) continue;
    const score = 1 / (1 + Math.exp(-logit));
    const b = coarse ? output.boxes8 : output.boxes16;
    const at = (coarse ? i - 512 : i) * 16;
    const ax = ANCHORS[2 * i]! * DETECTOR_SIDE;
    const ay = ANCHORS[2 * i + 1]! * DETECTOR_SIDE;
    const px = (v: number): number => map[0] * (v + ax - 0.5) + map[2];
    const py = (v: number): number => map[4] * (v + ay - 0.5) + map[5];
    const width = b[at + 2]! * map[0];
    const height = b[at + 3]! * map[4];
    const points: [number, number][] = [];
    for (let k = 0; k < 6; k++) points.push([px(b[at + 4 + 2 * k]!), py(b[at + 5 + 2 * k]!)]);
    found.push({ score, x: px(b[at]!) - width / 2, y: py(b[at + 1]!) - height / 2, width, height, points });
  }
  found.sort((p, q) => q.score - p.score);
  const kept: Detection[] = [];
  for (const f of found) if (kept.every((k) => overlap(k, f) < IOU_SAME_FACE)) kept.push(f);
  return kept;
}

type Box = Pick<Detection, 'x' | 'y' | 'width' | 'height'>;

/** Intersection over union, 0..1. */
export function overlap(a: Box, b: Box): number {
  const w = Math.max(0, Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x));
  const h = Math.max(0, Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y));
  const shared = w * h;
  return shared / (a.width * a.height + b.width * b.height - shared || 1);
}
