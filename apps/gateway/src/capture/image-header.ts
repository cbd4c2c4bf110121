import { CAPTURE_LIMITS } from '#contracts';

export interface ImageHeader {
  format: 'jpeg' | 'webp';
  width: number;
  height: number;
  /**
   * What decoding it costs at most, as samples: a JPEG's of each component, once for every scan that it stands in, whole
   * macroblocks counted. A pixel of a WebP, a scan and a byte count as many as take the same time (`bench -- pictures`).
   * Known from markers alone, so it is the same on every machine.
   */
  samples: number;
}

/** Of the largest picture in one pass at full colour; the rest is for sides that are no multiple of a macroblock's. */
export const FRAME_SAMPLES_MAX = 3.2 * CAPTURE_LIMITS.framePixelsMax;
/** Of all frames of a step: 120 of 1920 × 1080 at half colour, as cameras send them, and some to spare. */
export const STEP_SAMPLES_MAX = 600_000_000;

/** Samples that take as long as the codes of a byte, where there are many to a picture. */
const BYTE_SAMPLES = 16;
/** As long as beginning a scan. */
const SCAN_SAMPLES = 4_096;

/**
 * Profiles that are a matrix and curves have 0.5 to 3.2 kB; those with tables cost as many steps a pixel as they like, and
 * have more.
 */
const PROFILE_BYTES_MAX = 4 * 1024;
/** EXIF, XMP and the like, all together. */
const METADATA_BYTES_MAX = 64 * 1024;

/**
 * Format, dimensions and cost from the markers of a JPEG (ITU T.81) or WebP (RFC 9649), nothing decoded. Null for
 * anything else, for animations, and for what no camera makes and costs more than what it does: arithmetic coding, 12
 * bits, four components, large profiles. What is broken further on is the worker's to find.
 */
export function readImageHeader(bytes: Buffer): ImageHeader | null {
  const image = readJpeg(bytes) ?? readWebp(bytes);
  return image && { ...image, samples: image.samples + BYTE_SAMPLES * bytes.length };
}

const JPEG = {
  sof0: 0xc0,
  sof1: 0xc1,
  sof2: 0xc2,
  dht: 0xc4,
  jpg: 0xc8,
  dac: 0xcc,
  soi: 0xd8,
  eoi: 0xd9,
  sos: 0xda,
  app0: 0xe0,
  app2: 0xe2,
  app15: 0xef,
  comment: 0xfe,
} as const;
/** Segments that may stand before the frame header; more is no camera's picture. */
const JPEG_SEGMENTS_MAX = 64;

interface Component {
  id: number;
  /** Samples of one pass, macroblocks being whole. */
  samples: number;
}
interface JpegFrame {
  width: number;
  height: number;
  components: Component[];
}

function readJpeg(bytes: Buffer): ImageHeader | null {
  if (bytes.length < 4 || bytes.readUInt16BE(0) !== 0xffd8) return null;
  const metadata = new Metadata();
  let at = 2;
  for (let segment = 0; segment < JPEG_SEGMENTS_MAX; segment++) {
    if (bytes[at] !== 0xff) return null;
    while (bytes[at + 1] === 0xff) at++;
    if (at + 4 > bytes.length) return null;
    const marker = bytes[at + 1] ?? 0;
    // Markers without a length (TEM, RSTn, SOI, EOI) and a scan before any frame header have no business here.
    if (marker === 0x01 || (marker >= 0xd0 && marker <= JPEG.sos)) return null;
    const length = bytes.readUInt16BE(at + 2);
    if (length < 2) return null;
    if (isFrameHeader(marker)) {
      const frame = marker <= JPEG.sof2 ? jpegFrame(bytes.subarray(at + 4)) : null;
      return frame && withScans(bytes, at + 2 + length, frame, metadata);
    }
    if (!metadata.takes(marker, bytes.subarray(at + 4, at + 2 + length))) return null;
    at += 2 + length;
  }
  return null;
}

/** SOF0 to SOF15 without DHT, JPG and DAC, which share their range. */
const isFrameHeader = (marker: number): boolean =>
  marker >= JPEG.sof0 && marker <= 0xcf && marker !== JPEG.dht && marker !== JPEG.jpg && marker !== JPEG.dac;

/** Baseline, sequential or progressive with Huffman codes: 8 bits, grey or three components. Null for the rest. */
function jpegFrame(body: Buffer): JpegFrame | null {
  const count = body[5] ?? 0;
  if (body.length < 6 + 3 * count || body[0] !== 8 || (count !== 1 && count !== 3)) return null;
  const [height, width] = [body.readUInt16BE(1), body.readUInt16BE(3)];
  const factors = Array.from({ length: count }, (_, c) => {
    const packed = body[7 + 3 * c] ?? 0;
    return { id: body[6 + 3 * c] ?? 0, across: packed >> 4, down: packed & 15 };
  });
  if (width === 0 || height === 0) return null;
  if (factors.some(({ across, down }) => across < 1 || across > 4 || down < 1 || down > 4)) return null;
  const [acrossMax, downMax] = [largest(factors.map((f) => f.across)), largest(factors.map((f) => f.down))];
  const macroblocks = Math.ceil(width / (8 * acrossMax)) * Math.ceil(height / (8 * downMax));
  const components = factors.map(({ id, across, down }) => ({ id, samples: macroblocks * 64 * across * down }));
  return { width, height, components };
}

const largest = (numbers: readonly number[]): number => numbers.reduce((a, b) => Math.max(a, b), 0);

/** Adds the scans up as libjpeg finds them: it skips whatever stands between markers, and ends at the first EOI. */
function withScans(bytes: Buffer, from: number, frame: JpegFrame, metadata: Metadata): ImageHeader | null {
  let samples = 0;
  let at = from;
  for (;;) {
    at = bytes.indexOf(0xff, at);
    if (at < 0) break;
    const marker = bytes[at + 1];
    if (marker === undefined || marker === JPEG.eoi) break;
    // A stuffed byte, a fill byte, and markers that stand alone.
    if (marker === 0xff || marker <= 0x01 || (marker >= 0xd0 && marker <= JPEG.soi)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    const length = at + 4 <= bytes.length ? bytes.readUInt16BE(at + 2) : 0;
    if (length < 2 || at + 2 + length > bytes.length) break;
    const body = bytes.subarray(at + 4, at + 2 + length);
    if (marker === JPEG.sos) samples += SCAN_SAMPLES + samplesOfScan(frame, body);
    else if (!metadata.takes(marker, body)) return null;
    at += 2 + length;
  }
  // Without a scan there is nothing to decode; one pass is what it would be.
  const once = frame.components.reduce((sum, c) => sum + c.samples, 0);
  return { format: 'jpeg', width: frame.width, height: frame.height, samples: Math.max(samples, once) };
}

function samplesOfScan({ components }: JpegFrame, body: Buffer): number {
  const count = body[0] ?? 0;
  const ids = Array.from({ length: count }, (_, i) => body[1 + 2 * i]);
  return components.filter(({ id }) => ids.includes(id)).reduce((sum, c) => sum + c.samples, 0);
}

/** How much stands beside the pixels of a picture. */
class Metadata {
  private bytes = 0;
  private profileBytes = 0;

  /** False: it is more than a camera writes. */
  takes(marker: number, body: Buffer): boolean {
    const isMetadata = (marker >= JPEG.app0 && marker <= JPEG.app15) || marker === JPEG.comment;
    if (isMetadata) this.bytes += body.length;
    if (marker === JPEG.app2 && ascii(body, 0, 11) === 'ICC_PROFILE') this.profileBytes += body.length;
    return this.bytes <= METADATA_BYTES_MAX && this.profileBytes <= PROFILE_BYTES_MAX;
  }
}

/** Samples of a JPEG that take as long as a pixel: of a lossy picture, of a lossless one, of an alpha plane. */
const WEBP_SAMPLES = { 'VP8 ': 8, VP8L: 12, ALPH: 5 } as const;

function readWebp(bytes: Buffer): ImageHeader | null {
  if (bytes.length < 30 || ascii(bytes, 0) !== 'RIFF' || ascii(bytes, 8) !== 'WEBP') return null;
  if (bytes.readUInt32LE(4) + 8 > bytes.length) return null;
  if (ascii(bytes, 12) !== 'VP8X') return webpImage(bytes, 12);
  if (((bytes[20] ?? 0) & 0x02) !== 0) return null;
  const canvas = webp(bytes.readUIntLE(24, 3) + 1, bytes.readUIntLE(27, 3) + 1, 0);
  return canvas && withChunks(bytes, canvas);
}

function withChunks(bytes: Buffer, canvas: ImageHeader): ImageHeader | null {
  let { width, height } = canvas;
  let weight = 0;
  let metadataBytes = 0;
  for (let at = 30; at + 8 <= bytes.length;) {
    const kind = ascii(bytes, at);
    const length = bytes.readUInt32LE(at + 4);
    if (kind === 'ANIM' || kind === 'ANMF' || (kind === 'ICCP' && length > PROFILE_BYTES_MAX)) return null;
    if (kind === 'ALPH') weight += WEBP_SAMPLES.ALPH;
    else if (kind === 'VP8 ' || kind === 'VP8L') {
      const image = webpImage(bytes, at);
      if (!image) return null;
      // A picture that is not as its canvas is broken; until the worker says so it counts as the larger.
      width = Math.max(width, image.width);
      height = Math.max(height, image.height);
      weight += WEBP_SAMPLES[kind];
    } else if ((metadataBytes += length) > METADATA_BYTES_MAX) return null;
    at += 8 + length + (length & 1);
  }
  return webp(width, height, Math.max(weight, WEBP_SAMPLES['VP8 ']));
}

/** The chunk at `at` as a picture. */
function webpImage(bytes: Buffer, at: number): ImageHeader | null {
  if (at + 18 > bytes.length) return null;
  switch (ascii(bytes, at)) {
    case 'VP8 ':
      if (bytes[at + 11] !== 0x9d || bytes[at + 12] !== 0x01 || bytes[at + 13] !== 0x2a) return null;
      return webp(bytes.readUInt16LE(at + 14) & 0x3fff, bytes.readUInt16LE(at + 16) & 0x3fff, WEBP_SAMPLES['VP8 ']);
    case 'VP8L': {
      if (bytes[at + 8] !== 0x2f) return null;
      const bits = bytes.readUInt32LE(at + 9);
      return webp((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1, WEBP_SAMPLES.VP8L);
    }
    default:
      return null;
  }
}

const webp = (width: number, height: number, samplesPerPixel: number): ImageHeader | null =>
  width > 0 && height > 0 ? { format: 'webp', width, height, samples: width * height * samplesPerPixel } : null;

const ascii = (bytes: Buffer, at: number, length = 4): string => bytes.toString('latin1', at, at + length);
