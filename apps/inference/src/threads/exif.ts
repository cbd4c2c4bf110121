/**
 * What stands beside the pixels of a JPEG or WebP is a client's choice, and libvips has EXIF read by a library that takes
 * the value of each entry, however often: 64 kB of entries that all name the same 60 kB cost as much time as fifty
 * pictures. Of all that a picture needs one number.
 *
 * @returns the same bytes, if they have no EXIF; else a copy in which all EXIF says nothing but its orientation.
 */
export function withOrientationOnly(bytes: Uint8Array): Uint8Array {
  const found = isJpeg(bytes) ? exifOfJpeg(bytes) : exifOfWebp(bytes);
  if (found.length === 0) return bytes;
  const copy = new Uint8Array(bytes);
  for (const { from, to } of found) blank(copy.subarray(from, to));
  return copy;
}

/** Where a block of EXIF stands. */
interface Span {
  from: number;
  to: number;
}

/** Before the TIFF; readers look at its letters only. */
const PREFIX_LIKE = 'Exif';
const PREFIX_BYTES = 6;
const TIFF_BYTES = 26;
const ORIENTATION = 0x0112;
const [SHORT, LONG] = [3, 4];

/** In its place: the same prefix, if there was one, and a TIFF with the one entry, or nothing where there is no room. */
function blank(block: Uint8Array): void {
  const start = says(block, 0, PREFIX_LIKE) ? PREFIX_BYTES : 0;
  const orientation = orientationOf(block.subarray(start));
  block.fill(0, Math.min(start, block.length));
  if (block.length < start + TIFF_BYTES) return;
  const tiff = new DataView(block.buffer, block.byteOffset + start, TIFF_BYTES);
  // Big-endian, the first directory behind this header, one entry: a number of two bytes.
  [0x4d4d, 0x002a, 0, 8, 1, ORIENTATION, SHORT, 0, 1, orientation].forEach((word, i) => tiff.setUint16(2 * i, word));
}

/** TIFF 6.0, section 2: the orientation that the first directory names; 1, upright, where it names none. */
function orientationOf(bytes: Uint8Array): number {
  const tiff = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = says(bytes, 0, 'II');
  if (bytes.length < 14 || (!little && !says(bytes, 0, 'MM')) || tiff.getUint16(2, little) !== 42) return 1;
  const directory = tiff.getUint32(4, little);
  if (directory + 2 > bytes.length) return 1;
  const count = tiff.getUint16(directory, little);
  for (let at = directory + 2, i = 0; i < count && at + 12 <= bytes.length; at += 12, i++) {
    if (tiff.getUint16(at, little) !== ORIENTATION) continue;
    const kind = tiff.getUint16(at + 2, little);
    const value = kind === SHORT ? tiff.getUint16(at + 8, little) : kind === LONG ? tiff.getUint32(at + 8, little) : 1;
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

const isJpeg = (bytes: Uint8Array): boolean => bytes[0] === 0xff && bytes[1] === 0xd8;

/** APP1 before the first scan, found as libjpeg finds markers: whatever stands between two segments is passed over. */
function exifOfJpeg(bytes: Uint8Array): Span[] {
  const spans: Span[] = [];
  for (let at = 2; ;) {
    at = bytes.indexOf(0xff, at);
    if (at < 0) return spans;
    while (bytes[at + 1] === 0xff) at++;
    const marker = bytes[at + 1] ?? 0xda;
    if (marker === 0xda) return spans;
    if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd9)) {
      at += 2;
      continue;
    }
    const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    // A length that leaves out its own two bytes ends nothing: libjpeg goes on behind it.
    const [from, to] = [at + 4, at + 2 + Math.max(length, 2)];
    if (to > bytes.length) return spans;
    if (marker === 0xe1 && says(bytes, from, PREFIX_LIKE)) spans.push({ from, to });
    at = to;
  }
}

/** Chunks `EXIF` of a WebP (RFC 9649, 2.7), whose lengths are odd or even and whose places are even. */
function exifOfWebp(bytes: Uint8Array): Span[] {
  const spans: Span[] = [];
  if (!says(bytes, 0, 'RIFF') || !says(bytes, 8, 'WEBP')) return spans;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 12; at + 8 <= bytes.length;) {
    const length = view.getUint32(at + 4, true);
    if (says(bytes, at, 'EXIF')) spans.push({ from: at + 8, to: Math.min(at + 8 + length, bytes.length) });
    at += 8 + length + (length & 1);
  }
  return spans;
}

const says = (bytes: Uint8Array, at: number, word: string): boolean =>
  [...word].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));
