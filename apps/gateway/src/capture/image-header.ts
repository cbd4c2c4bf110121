import { CAPTURE_LIMITS } from '#contracts';

export interface ImageHeader {
  format: 'jpeg' | 'webp';
  width: number;
  height: number;
  /**
   * What decoding it costs at most, as samples: a JPEG's of each component, once for every scan that it stands in, whole
   * macroblocks counted. A pixel of a WebP, a scan and a byte count as many as take the same time: measured on pictures of
   * each kind that are just small enough to be taken (`bench -- pictures`). Known from markers alone, so it is the same on
   * every machine.
   */
  samples: number;
}

/** Of the largest picture in one pass at full colour; the rest is for sides that are no multiple of a macroblock's. */
export const FRAME_SAMPLES_MAX = 3.2 * CAPTURE_LIMITS.framePixelsMax;
/** Of all frames of a step: 120 of 1920 × 1080 at half colour, or of 640 × 480 as WebP, and some to spare. */
const STEP_SAMPLES_MAX = 800_000_000;
/** A person with extra time sends more frames, of the same kind. */
export const stepSamplesMax = (frames: number): number =>
  STEP_SAMPLES_MAX * Math.max(1, frames / CAPTURE_LIMITS.framesMax);

/** Samples that take as long as the codes of a JPEG's byte, where there are many to a picture. */
const BYTE_SAMPLES = 16;
/** As long as a sample of a progressive picture, whose coefficients are all kept and gone through again. */
const PROGRESSIVE_SAMPLES = 1.25;
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
export const readImageHeader = (bytes: Buffer): ImageHeader | null => readJpeg(bytes) ?? readWebp(bytes);

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
  progressive: boolean;
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
      const frame = marker <= JPEG.sof2 ? jpegFrame(bytes.subarray(at + 4), marker === JPEG.sof2) : null;
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
function jpegFrame(body: Buffer, progressive: boolean): JpegFrame | null {
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
  return { progressive, width, height, components };
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
  const decoded = Math.max(samples, once) * (frame.progressive ? PROGRESSIVE_SAMPLES : 1);
  const { width, height } = frame;
  return { format: 'jpeg', width, height, samples: decoded + BYTE_SAMPLES * bytes.length };
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

/**
 * Samples of a JPEG that take as long as a pixel, and as a byte, of a lossy picture, a lossless one, an alpha plane, and
 * of one that EXIF may turn, for which all of it is kept. The codes of WebP are dear: a small picture of much detail costs
 * more than a large flat one.
 */
const WEBP_SAMPLES = {
  'VP8 ': { pixel: 12, byte: 160 },
  VP8L: { pixel: 16, byte: 64 },
  ALPH: { pixel: 16, byte: 160 },
  EXIF: { pixel: 10, byte: 0 },
} as const;
type WebpPart = keyof typeof WEBP_SAMPLES;

const isWebpPart = (kind: string): kind is WebpPart => Object.hasOwn(WEBP_SAMPLES, kind);

interface Size {
  width: number;
  height: number;
}

interface Part {
  kind: WebpPart;
  bytes: number;
}

function readWebp(bytes: Buffer): ImageHeader | null {
  if (bytes.length < 30 || ascii(bytes, 0) !== 'RIFF' || ascii(bytes, 8) !== 'WEBP') return null;
  if (bytes.readUInt32LE(4) + 8 > bytes.length) return null;
  if (ascii(bytes, 12) === 'VP8X') return withChunks(bytes);
  const size = webpSize(bytes, 12);
  return size && webp(size, webpParts(bytes, 12, bytes.length));
}

/** The extended format: a canvas, and chunks with the picture, its alpha plane, profile and metadata. */
function withChunks(bytes: Buffer): ImageHeader | null {
  if (((bytes[20] ?? 0) & 0x02) !== 0) return null;
  let size: Size = { width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 };
  const parts: Part[] = [];
  let metadataBytes = 0;
  for (let at = 30; at + 8 <= bytes.length;) {
    const kind = ascii(bytes, at);
    const length = bytes.readUInt32LE(at + 4);
    if (kind === 'ANIM' || kind === 'ANMF' || (kind === 'ICCP' && length > PROFILE_BYTES_MAX)) return null;
    if (kind === 'VP8 ' || kind === 'VP8L') {
      const image = webpSize(bytes, at);
      if (!image) return null;
      // A picture that is not as its canvas is broken; until the worker says so it counts as the larger.
      size = { width: Math.max(size.width, image.width), height: Math.max(size.height, image.height) };
    } else if (kind !== 'ALPH' && (metadataBytes += length) > METADATA_BYTES_MAX) return null;
    for (const part of webpParts(bytes, at, Math.min(length, bytes.length - at))) parts.push(part);
    at += 8 + length + (length & 1);
  }
  return webp(size, parts);
}

/** What of the chunk at `at` costs. */
function webpParts(bytes: Buffer, at: number, length: number): Part[] {
  const kind = ascii(bytes, at);
  if (!isWebpPart(kind)) return [];
  // A lossless picture has its alpha plane within it; a bit of its header says so.
  const hasAlpha = kind === 'VP8L' && ((bytes[at + 12] ?? 0) & 0x10) !== 0;
  return [{ kind, bytes: length }, ...(hasAlpha ? [{ kind: 'ALPH' as const, bytes: 0 }] : [])];
}

/** Width and height that the chunk at `at` says, if it is a picture. */
function webpSize(bytes: Buffer, at: number): Size | null {
  if (at + 18 > bytes.length) return null;
  switch (ascii(bytes, at)) {
    case 'VP8 ':
      if (bytes[at + 11] !== 0x9d || bytes[at + 12] !== 0x01 || bytes[at + 13] !== 0x2a) return null;
      return { width: bytes.readUInt16LE(at + 14) & 0x3fff, height: bytes.readUInt16LE(at + 16) & 0x3fff };
    case 'VP8L': {
      if (bytes[at + 8] !== 0x2f) return null;
      const bits = bytes.readUInt32LE(at + 9);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    default:
      return null;
  }
}

function webp({ width, height }: Size, parts: readonly Part[]): ImageHeader | null {
  if (width === 0 || height === 0) return null;
  const samples = parts.reduce((sum, part) => {
    const { pixel, byte } = WEBP_SAMPLES[part.kind];
    return sum + width * height * pixel + part.bytes * byte;
  }, 0);
  // Without a picture there is nothing to decode; a lossy one is what it would be.
  return { format: 'webp', width, height, samples: Math.max(samples, width * height * WEBP_SAMPLES['VP8 '].pixel) };
}

const ascii = (bytes: Buffer, at: number, length = 4): string => bytes.toString('latin1', at, at + length);
