import sharp from 'sharp';
import { exifOfOneValue, withExif } from '#testing';
import { withOrientationOnly } from './exif.js';

const picture = (): sharp.Sharp => sharp({ create: { width: 64, height: 48, channels: 3, background: '#c86432' } });
const turned = (orientation: number): sharp.Sharp => picture().withMetadata({ orientation });
const orientationOf = async (bytes: Uint8Array): Promise<number | undefined> =>
  (await sharp(bytes).metadata()).orientation;

/** A TIFF with this first directory, in the other order of bytes than sharp writes it if so wanted. */
function tiff(little: boolean, entries: readonly [tag: number, kind: number, value: number][]): Buffer {
  const out = Buffer.alloc(14 + 12 * entries.length);
  const u16 = (value: number, at: number): number => (little ? out.writeUInt16LE(value, at) : out.writeUInt16BE(value, at)); // prettier-ignore
  const u32 = (value: number, at: number): number => (little ? out.writeUInt32LE(value, at) : out.writeUInt32BE(value, at)); // prettier-ignore
  out.write(little ? 'II' : 'MM', 'latin1');
  u16(42, 2);
  u32(8, 4);
  u16(entries.length, 8);
  for (const [i, [tag, kind, value]] of entries.entries()) {
    const at = 10 + 12 * i;
    u16(tag, at);
    u16(kind, at + 2);
    u32(1, at + 4);
    if (kind === 3) u16(value, at + 8);
    else u32(value, at + 8);
  }
  return out;
}

function jpegWith(jpeg: Buffer, ...blocks: Buffer[]): Buffer {
  const segments = blocks.map((block) => {
    const head = Buffer.from([0xff, 0xe1, 0, 0]);
    head.writeUInt16BE(block.length + 2, 2);
    return Buffer.concat([head, block]);
  });
  return Buffer.concat([jpeg.subarray(0, 2), ...segments, jpeg.subarray(2)]);
}
const exif = (body: Buffer): Buffer => Buffer.concat([Buffer.from('Exif\0\0'), body]);

describe('13.2: of EXIF nothing but the orientation reaches a library', () => {
  let jpeg: Buffer;
  beforeAll(async () => {
    jpeg = await picture().jpeg().toBuffer();
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('which stays: %i, of JPEG and WebP, in both orders of bytes', async (n) => {
    for (const bytes of [await turned(n).jpeg().toBuffer(), await turned(n).webp().toBuffer()]) {
      const bare = withOrientationOnly(bytes);
      expect(bare.length).toBe(bytes.length);
      expect(await orientationOf(bare)).toBe(n);
    }
    for (const little of [true, false]) {
      const long = jpegWith(jpeg, exif(tiff(little, [[0x010e, 4, 7], [0x0112, little ? 3 : 4, n]]))); // prettier-ignore
      expect(await orientationOf(withOrientationOnly(long))).toBe(n);
    }
  });

  it('and everything else is gone, wherever it stands, and however many blocks there are', async () => {
    const bomb = exif(exifOfOneValue());
    const behind = jpeg.indexOf(Buffer.from([0xff, 0xdb]));
    const files = {
      'one block': jpegWith(jpeg, bomb),
      'a second block': jpegWith(jpeg, exif(tiff(true, [[0x0112, 3, 6]])), bomb),
      'another prefix': jpegWith(jpeg, Buffer.concat([Buffer.from('Exif\0\x01'), exifOfOneValue()])),
      'behind other segments and fill bytes': Buffer.concat([jpeg.subarray(0, behind), Buffer.from([1, 2, 0xff, 0, 0xff]), jpegWith(jpeg, bomb).subarray(2, bomb.length + 6), jpeg.subarray(behind)]),
      'behind a segment of no length': Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xe1, 0, 0]), jpegWith(jpeg, bomb).subarray(2)]),
      WebP: withExif(await turned(6).webp().toBuffer(), exifOfOneValue()),
    }; // prettier-ignore
    for (const [name, bytes] of Object.entries(files)) {
      const before = Buffer.from(bytes);
      const bare = Buffer.from(withOrientationOnly(bytes));
      // Of the value, and of the entries that name it, nothing is left.
      expect([name, bare.length, bare.includes(Buffer.from('010f00020000ea60', 'hex'))]).toEqual([name, bytes.length, false]); // prettier-ignore
      expect([name, before.includes(Buffer.from('010f00020000ea60', 'hex'))]).toEqual([name, true]);
      expect([name, (await sharp(bare).metadata()).width]).toEqual([name, 64]);
      expect(before.equals(bytes)).toBe(true); // The caller's own bytes are left as they are.
    }
  });

  it('what has none is handed on as it is, and what is broken stays so', () => {
    expect(withOrientationOnly(jpeg)).toBe(jpeg);
    const bodies = ['', 'M', 'MM', 'MM\0*', 'II*\0\xff\xff\xff\xff', 'MM\0*\0\0\0\x08\xff\xff'].map((body) => Buffer.from(body, 'latin1')); // prettier-ignore
    for (const body of bodies) {
      const bytes = jpegWith(jpeg, exif(body));
      expect(withOrientationOnly(bytes).length).toBe(bytes.length);
      expect(Buffer.from(withOrientationOnly(bytes)).subarray(12 + body.length)).toEqual(bytes.subarray(12 + body.length)); // prettier-ignore
    }
    for (let length = 0; length < 60; length++) {
      const cut = jpegWith(jpeg, exif(tiff(true, [[0x0112, 3, 6]]))).subarray(0, length);
      expect(withOrientationOnly(cut).length).toBe(length);
      expect(withOrientationOnly(Buffer.from('RIFF\xff\xff\xff\xffWEBPEXIF\xff\xff\xff\xffEXIF', 'latin1').subarray(0, length))).toBeDefined(); // prettier-ignore
    }
  });
});
