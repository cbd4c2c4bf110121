import sharp from 'sharp';
import { CAPTURE_LIMITS } from '#contracts';
import type { Picture } from '../pipeline/picture.js';
import { withOrientationOnly } from './exif.js';
import { decodeBaseline } from './jpeg.js';
import type { Within } from './native-gate.js';

/** Longest side of a decoded frame: larger faces gain nothing, and JPEG scales while decoding. */
export const DECODED_SIDE_MAX = 640;
/** Of the largest decoded picture. */
export const DECODED_BYTES_MAX = DECODED_SIDE_MAX * DECODED_SIDE_MAX * 3;
const DECODE_SECONDS_MAX = 5;
const PHOTO_PIXELS_MAX = 200_000_000;

/** How the pictures of a step are decoded, and how many before they are looked at. */
export interface Decoder {
  /** `memory` is for the pixels, and may be moved away for that. */
  decode(bytes: Uint8Array, memory: Uint8Array<ArrayBuffer>): Promise<Picture | null>;
  readonly ahead: number;
}

let within: Within = (call) => call();

/**
 * Once per process or thread: libvips may load nothing but JPEG and WebP from memory, on this thread, with nothing cached.
 *
 * @param guard is told of each call into libvips, for a thread that may be ended from outside.
 */
export function prepareDecoder(guard: Within = within): void {
  within = guard;
  sharp.concurrency(1);
  sharp.cache(false);
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadWebpBuffer'] });
}

/**
 * A JPEG or WebP → RGB with the EXIF orientation applied, at most 640 pixels a side. Grey and CMYK become RGB, alpha
 * goes, of an animation the first picture counts. A profile of colours is not followed: that costs several times the
 * decoding, and whoever sends a picture would choose how much. Null for anything else, truncated or too large: never
 * throws. The JPEG that cameras' software writes is decoded at once on this thread, everything else by one of libvips.
 *
 * @param memory for the pixels; used if it is large enough and the picture of the first kind.
 */
export async function decode(bytes: Uint8Array, memory?: Uint8Array): Promise<Picture | null> {
  return decodeBaseline(bytes, memory) ?? within(() => decodeAny(bytes, CAPTURE_LIMITS.framePixelsMax));
}

/** The same for photographs, which no client sends: phones take pictures of 12 to 200 megapixels. */
export async function decodePhoto(bytes: Uint8Array): Promise<Picture | null> {
  return (await decode(bytes)) ?? within(() => decodeAny(bytes, PHOTO_PIXELS_MAX));
}

async function decodeAny(bytes: Uint8Array, limitInputPixels: number): Promise<Picture | null> {
  try {
    const { data, info } = await sharp(withOrientationOnly(bytes), {
      failOn: 'error',
      limitInputPixels,
      sequentialRead: true,
      ignoreIcc: true,
      pages: 1,
    })
      .timeout({ seconds: DECODE_SECONDS_MAX })
      .autoOrient()
      .resize({
        width: DECODED_SIDE_MAX,
        height: DECODED_SIDE_MAX,
        fit: 'inside',
        withoutEnlargement: true,
        kernel: 'linear',
      })
      .removeAlpha()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) return null;
    return { data, width: info.width, height: info.height };
  } catch {
    return null;
  }
}
