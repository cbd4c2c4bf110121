export interface ImageHeader {
  format: 'jpeg' | 'webp';
  width: number;
  height: number;
}

/**
 * Format and dimensions from the first bytes of a JPEG (ITU T.81) or WebP (RFC 9649), nothing decoded. Null for
 * anything else, animations included. What is broken further on is the worker's to find.
 */
export function readImageHeader(bytes: Buffer): ImageHeader | null {
  return readJpeg(bytes) ?? readWebp(bytes);
}

/** Segments that may stand before the frame header; more is no camera's picture. */
const JPEG_SEGMENTS_MAX = 64;

function readJpeg(bytes: Buffer): ImageHeader | null {
  if (bytes.length < 4 || bytes.readUInt16BE(0) !== 0xffd8) return null;
  let at = 2;
  for (let segment = 0; segment < JPEG_SEGMENTS_MAX; segment++) {
    if (bytes[at] !== 0xff) return null;
    while (bytes[at + 1] === 0xff) at++;
    if (at + 4 > bytes.length) return null;
    const marker = bytes[at + 1] ?? 0;
    // Markers without a length (TEM, RSTn, SOI, EOI) and a scan before any frame header have no business here.
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xda)) return null;
    const length = bytes.readUInt16BE(at + 2);
    if (length < 2) return null;
    if (isFrameHeader(marker)) return at + 9 > bytes.length ? null : jpegFrame(bytes, at);
    at += 2 + length;
  }
  return null;
}

/** SOF0 to SOF15 without DHT, JPG and DAC, which share their range. */
const isFrameHeader = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;

function jpegFrame(bytes: Buffer, at: number): ImageHeader | null {
  return header('jpeg', bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5));
}

function readWebp(bytes: Buffer): ImageHeader | null {
  if (bytes.length < 30 || ascii(bytes, 0) !== 'RIFF' || ascii(bytes, 8) !== 'WEBP') return null;
  if (bytes.readUInt32LE(4) + 8 > bytes.length) return null;
  switch (ascii(bytes, 12)) {
    case 'VP8 ':
      if (bytes[23] !== 0x9d || bytes[24] !== 0x01 || bytes[25] !== 0x2a) return null;
      return header('webp', bytes.readUInt16LE(26) & 0x3fff, bytes.readUInt16LE(28) & 0x3fff);
    case 'VP8L': {
      if (bytes[20] !== 0x2f) return null;
      const bits = bytes.readUInt32LE(21);
      return header('webp', (bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
    }
    case 'VP8X': {
      const animated = ((bytes[20] ?? 0) & 0x02) !== 0;
      return animated ? null : header('webp', bytes.readUIntLE(24, 3) + 1, bytes.readUIntLE(27, 3) + 1);
    }
    default:
      return null;
  }
}

const header = (format: ImageHeader['format'], width: number, height: number): ImageHeader | null =>
  width > 0 && height > 0 ? { format, width, height } : null;

const ascii = (bytes: Buffer, at: number): string => bytes.toString('latin1', at, at + 4);
