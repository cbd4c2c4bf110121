import sharp from 'sharp';
import type { Picture } from '../pipeline/picture.js';
import { decodeBaseline, forgetPicture } from './jpeg.js';

/** Numbers that look random and are the same in every run (Numerical Recipes). */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

/** Slopes, an edge and noise: coefficients of all places and sizes. */
function pixels(width: number, height: number, noise: number): sharp.Sharp {
  const random = numbers(width * 1000 + height);
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const edge = x + 2 * y > width ? 120 : 0;
      for (let c = 0; c < 3; c++)
        data[(y * width + x) * 3 + c] =
          ((x * (c + 1) + y * 2) % 256) * (1 - noise) * 0.5 + edge + noise * 255 * random();
    }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** By libjpeg, as libvips calls it. */
async function asLibvips(bytes: Uint8Array): Promise<Picture | null> {
  try {
    const { data, info } = await sharp(bytes, { failOn: 'error' }).raw().toBuffer({ resolveWithObject: true });
    return { data, width: info.width, height: info.height };
  } catch {
    return null;
  }
}

/** Whether both are the same picture, to the bit. */
const isSame = (a: Picture | null, b: Picture | null): boolean =>
  a !== null && b !== null && a.width === b.width && a.height === b.height && Buffer.compare(a.data, b.data) === 0;

describe('decoding of baseline JPEG', () => {
  it.each([
    [640, 480, '4:2:0', 85, 0.1],
    [640, 640, '4:2:0', 50, 0.05],
    [480, 640, '4:4:4', 92, 0.2],
    [33, 47, '4:2:0', 85, 0.3],
    [64, 33, '4:4:4', 75, 0.3],
    [175, 131, '4:2:0', 100, 1],
    [130, 257, '4:4:4', 100, 1],
    [161, 162, '4:2:0', 5, 0.8],
  ] as const)('gives the same bits as libjpeg: %i × %i, %s, quality %i', async (width, height, chromaSubsampling, quality, noise) => {
    for (const optimiseCoding of [true, false]) {
      const bytes = await pixels(width, height, noise).jpeg({ quality, chromaSubsampling, optimiseCoding }).toBuffer();
      expect(isSame(decodeBaseline(bytes), await asLibvips(bytes))).toBe(true);
    }
  }); // prettier-ignore

  it('writes into the memory it is given, if that is large enough', async () => {
    const bytes = await pixels(64, 48, 0.1).jpeg().toBuffer();
    const large = new Uint8Array(64 * 48 * 3 + 7);
    const found = decodeBaseline(bytes, large)!;
    expect(found.data.buffer).toBe(large.buffer);
    expect(isSame(found, await asLibvips(bytes))).toBe(true);
    expect(decodeBaseline(bytes, new Uint8Array(64 * 48 * 3 - 1))!.data.length).toBe(64 * 48 * 3);
    forgetPicture();
    expect(isSame(decodeBaseline(bytes), found)).toBe(true);
  });

  it('leaves everything else to libvips', async () => {
    const source = (): sharp.Sharp => pixels(96, 64, 0.1);
    const others: Record<string, Buffer> = {
      progressive: await source().jpeg({ progressive: true }).toBuffer(),
      grey: await source().greyscale().toColourspace('b-w').jpeg().toBuffer(),
      CMYK: await source().toColourspace('cmyk').jpeg().toBuffer(),
      turned: await source().jpeg().withMetadata({ orientation: 6 }).toBuffer(),
      profile: await source().withIccProfile('p3').jpeg().toBuffer(),
      large: await pixels(641, 64, 0.1).jpeg().toBuffer(),
      tiny: await pixels(16, 16, 0.1).jpeg().toBuffer(),
      WebP: await source().webp().toBuffer(),
      PNG: await source().png().toBuffer(),
      empty: Buffer.alloc(0),
    };
    for (const [name, bytes] of Object.entries(others)) expect([name, decodeBaseline(bytes)]).toEqual([name, null]);
  });

  it('leaves what is cut off to libvips, wherever it ends', async () => {
    const bytes = await pixels(64, 64, 0.2).jpeg().toBuffer();
    for (let length = 0; length < bytes.length; length += 1)
      expect(decodeBaseline(bytes.subarray(0, length))).toBeNull();
  });

  it('core 10b: of damaged ones makes a picture of the size that libjpeg makes it, or nothing', async () => {
    const whole = await pixels(80, 64, 0.2).jpeg().toBuffer();
    const random = numbers(7);
    let taken = 0;
    for (let i = 0; i < 1500; i++) {
      const bytes = Buffer.from(whole);
      for (let k = 0; k < 1 + (i % 3); k++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const found = decodeBaseline(bytes);
      if (!found) continue;
      taken++;
      // What cannot come out of pixels may overflow here and there; it must not go unnoticed there alone.
      expect(await asLibvips(bytes)).toMatchObject({ width: found.width, height: found.height });
    }
    expect(taken).toBeGreaterThan(0);
  });
});
