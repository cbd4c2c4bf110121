import sharp from 'sharp';
import { CAPTURE_LIMITS } from '#contracts';
import type { Frame } from '#testing';
import { apply } from './effects.js';
import type { Film } from './film.js';
import { below, between, type Random, randomOf } from './random.js';

/** The camera and the place of one attempt: light, noise of the sensor, framing, compression. */
export interface Look {
  gain: number;
  offset: number;
  /** Standard deviation of the sensor noise, grey levels. */
  noise: number;
  quality: number;
  /** Longest side sent, pixels. */
  side: number;
  /** Footage that is smaller is enlarged to that side. */
  enlarge?: boolean;
  /** Share of the picture cut off at each side. */
  crop: number;
  /** Names the noise: another name, other bytes. */
  seed: string;
}

export function lookOf(random: Random, seed: string): Look {
  return {
    gain: between(random, 0.94, 1.06),
    offset: between(random, -4, 4),
    noise: between(random, 0.8, 1.8),
    quality: Math.round(between(random, 74, 90)),
    side: 640,
    crop: between(random, 0, 0.025),
    seed,
  };
}

const NOISE_LENGTH = 1 << 17;
const NOISE_UNIT = 16;
let noiseTable: Int16Array | undefined;

/** Gaussian numbers, in sixteenths of a standard deviation; made once. */
function noise(): Int16Array {
  if (noiseTable) return noiseTable;
  const random = randomOf('sensor');
  noiseTable = Int16Array.from({ length: NOISE_LENGTH }, () => {
    const u = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return Math.round(u * NOISE_UNIT);
  });
  return noiseTable;
}

/** Films a film: every picture with its effects, light and noise of its own, as JPEG; within the bytes of a step. */
export async function filmed(film: Film, look: Look): Promise<Frame[]> {
  let quality = look.quality;
  for (;;) {
    const frames: Frame[] = [];
    for (const [i, f] of film.entries()) {
      const random = randomOf(look.seed, i);
      frames.push({ tMs: Math.max(0, Math.round(f.tMs + between(random, -2, 2) * (i > 0 ? 1 : 0))), jpeg: await shot(f, look, quality, random) }); // prettier-ignore
    }
    const bytes = frames.reduce((sum, f) => sum + f.jpeg.length, 0);
    if (bytes < 0.97 * CAPTURE_LIMITS.bytesMax || quality < 30) return frames;
    quality = Math.floor(quality * Math.max(0.6, Math.min(0.9, (0.9 * CAPTURE_LIMITS.bytesMax) / bytes)));
  }
}

async function shot(
  { jpeg, effects = [] }: Film[number],
  look: Look,
  quality: number,
  random: Random,
): Promise<Buffer> {
  const { data, info } = await sharp(jpeg)
    .resize({ width: look.side, height: look.side, fit: 'inside', withoutEnlargement: look.enlarge !== true })
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  let picture = { data: data as Uint8Array, width: info.width, height: info.height };
  for (const effect of effects) picture = await apply(picture, effect);
  // The strength varies too: the same picture at the same place in the table would be the same bytes.
  expose(picture.data, look, look.noise * between(random, 0.95, 1.05), below(random, NOISE_LENGTH));
  const cut = Math.round(look.crop * Math.min(picture.width, picture.height));
  const { width, height } = picture;
  return sharp(picture.data, { raw: { width, height, channels: 3 } })
    .extract({ left: cut, top: cut, width: width - 2 * cut, height: height - 2 * cut })
    .jpeg({ quality })
    .toBuffer();
}

function expose(data: Uint8Array, look: Look, strength: number, from: number): void {
  const table = noise();
  const unit = strength / NOISE_UNIT;
  for (let i = 0, n = from; i < data.length; i++) {
    const v = data[i]! * look.gain + look.offset + table[n]! * unit;
    data[i] = v < 0 ? 0 : v > 255 ? 255 : v + 0.5;
    n = n + 1 === NOISE_LENGTH ? 0 : n + 1;
  }
}
