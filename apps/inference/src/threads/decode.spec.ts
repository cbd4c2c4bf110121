import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { decode, DECODED_SIDE_MAX, prepareDecoder } from './decode.js';

const picture = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: { r: 200, g: 100, b: 50 } } });

/** A PNG that says it is 20,000 × 20,000 and is tiny. */
function bomb(): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length);
    out.write(type, 4);
    data.copy(out, 8);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(20_000);
  head.writeUInt32BE(20_000, 4);
  head.set([8, 2], 8);
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(Buffer.alloc(1e6)))]); // prettier-ignore
}

describe('decoding', () => {
  let jpeg: Buffer;
  const others: Record<string, Buffer> = {};
  beforeAll(async () => {
    jpeg = await picture(320, 240).jpeg().toBuffer();
    others.png = await picture(32, 32).png().toBuffer();
    others.gif = await picture(32, 32).gif().toBuffer();
    others.tiff = await picture(32, 32).tiff().toBuffer();
    others.svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="/etc/passwd"/></svg>'); // prettier-ignore
    others['PNG bomb'] = bomb();
    others['large JPEG'] = await picture(2400, 2400).jpeg().toBuffer();
    others['truncated JPEG'] = jpeg.subarray(0, jpeg.length >> 1);
    others['header only'] = jpeg.subarray(0, 20);
    others.empty = Buffer.alloc(0);
    others.noise = Buffer.from(Array.from({ length: 999 }, (_, i) => (i * 89) % 256));
    prepareDecoder();
  });

  it('gives RGB of JPEG and WebP', async () => {
    for (const bytes of [jpeg, await picture(320, 240).webp().toBuffer()]) {
      const found = await decode(bytes);
      expect(found).toMatchObject({ width: 320, height: 240 });
      expect(found!.data.length).toBe(320 * 240 * 3);
      expect(Math.abs(found!.data[0]! - 200)).toBeLessThan(4);
    }
  });

  it('turns grey, CMYK and transparent pictures into RGB', async () => {
    for (const bytes of [
      await picture(64, 48).greyscale().jpeg().toBuffer(),
      await picture(64, 48).toColourspace('cmyk').jpeg().toBuffer(),
      await picture(64, 48).ensureAlpha(0.5).webp().toBuffer(),
    ])
      expect((await decode(bytes))?.data.length).toBe(64 * 48 * 3);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('applies EXIF orientation %i', async (orientation) => {
    const found = await decode(await picture(64, 48).jpeg().withMetadata({ orientation }).toBuffer());
    expect([found!.width, found!.height]).toEqual(orientation > 4 ? [48, 64] : [64, 48]);
  });

  it('decodes large pictures smaller, small ones as they are', async () => {
    const found = await decode(await picture(1600, 1200).jpeg().toBuffer());
    expect(found).toMatchObject({ width: DECODED_SIDE_MAX, height: 480 });
  });

  it.each(['png', 'gif', 'tiff', 'svg', 'PNG bomb', 'large JPEG', 'truncated JPEG', 'header only', 'empty', 'noise'])(
    'finds nothing in %s, and does not throw',
    async (name) => {
      expect(await decode(others[name]!)).toBeNull();
    },
  );
});
