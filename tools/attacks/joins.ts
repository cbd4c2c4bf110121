import sharp from 'sharp';
import type { Film } from './film.js';

/** Small grey pictures of a film's frames: to find where footage can go on from another frame without a visible cut. */
export interface Thumbnails {
  data: readonly Uint8Array[];
  /** Median change from a frame to the next. */
  step: number;
}

const WIDTH = 96;
const HEIGHT = 72;
/** A join may change as much as this many ordinary steps from frame to frame, or so many grey levels. */
const STEPS_MAX = 3;
const GREY_MAX = 2.5;

export async function thumbnailsOf(film: Film): Promise<Thumbnails> {
  const data = await Promise.all(
    film.map(({ jpeg }) => sharp(jpeg).greyscale().resize(WIDTH, HEIGHT, { fit: 'fill' }).blur(0.7).raw().toBuffer()),
  );
  const steps = data.slice(1).map((d, i) => change(d, data[i]!)).sort((a, b) => a - b); // prettier-ignore
  return { data, step: steps[steps.length >> 1] ?? 0 };
}

/** Mean absolute difference, grey levels. */
export function change(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
}

/**
 * The pair of frames, one of each list, that are most alike; null when even they differ more than frames that follow
 * each other do.
 */
export function bestJoin(
  from: Thumbnails,
  fromFrames: readonly number[],
  to: Thumbnails,
  toFrames: readonly number[],
): { from: number; to: number } | null {
  let best: { from: number; to: number } | null = null;
  let least = Math.max(GREY_MAX, STEPS_MAX * Math.max(from.step, to.step));
  for (const i of fromFrames)
    for (const j of toFrames) {
      const d = change(from.data[i]!, to.data[j]!);
      if (d > least) continue;
      least = d;
      best = { from: i, to: j };
    }
  return best;
}
