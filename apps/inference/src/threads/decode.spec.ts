import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { exifOfOneValue, withExif } from '#testing';
import type { Picture } from '../pipeline/picture.js';
import { decode, DECODED_SIDE_MAX, prepareDecoder } from './decode.js';

/** What libvips was given to load, by a sharp that is the real one but for this list. */
const handedOver: Buffer[] = [];
jest.mock('sharp', () => {
  const real = jest.requireActual<typeof sharp>('sharp');
  const listening = (input: Buffer, options?: sharp.SharpOptions): sharp.Sharp => {
    if (input instanceof Uint8Array) handedOver.push(Buffer.from(input));
    return real(input, options);
  };
  return Object.assign(listening, real);
});

const picture = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: { r: 200, g: 100, b: 50 } } });

type Colour = readonly [number, number, number];
/** Upper left, upper right, lower left, lower right. */
const COLOURS: readonly Colour[] = [
  [200, 40, 40],
  [40, 170, 60],
  [50, 60, 190],
  [230, 220, 60],
];

function quadrants(width: number, height: number): sharp.Sharp {
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const colour = COLOURS[(2 * x >= width ? 1 : 0) + (2 * y >= height ? 2 : 0)]!;
      data.set(colour, (y * width + x) * 3);
    }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** Where the pixel that stands at (x, y) upright is stored, by EXIF orientation; width and height as stored. */
const STORED_AT: Record<number, (x: number, y: number, w: number, h: number) => [number, number]> = {
  1: (x, y) => [x, y],
  2: (x, y, w) => [w - 1 - x, y],
  3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
  4: (x, y, _, h) => [x, h - 1 - y],
  5: (x, y) => [y, x],
  6: (x, y, _, h) => [y, h - 1 - x],
  7: (x, y, w, h) => [w - 1 - y, h - 1 - x],
  8: (x, y, w) => [w - 1 - y, x],
};

const at = ({ data, width, height }: Picture, x: number, y: number): number[] => {
  const i = (Math.floor(y * height) * width + Math.floor(x * width)) * 3;
  return [...data.subarray(i, i + 3)];
};

function expectColour(found: readonly number[], wanted: readonly number[], tolerance: number): void {
  const off = Math.max(...wanted.map((v, c) => Math.abs(v - found[c]!)));
  if (off > tolerance) throw new Error(`rgb(${found.join()}) is not rgb(${wanted.map(Math.round).join()})`);
}

function ladenJpeg(plain: Buffer): Buffer {
  const segment = Buffer.concat([Buffer.from('Exif\0\0'), exifOfOneValue()]);
  const head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(segment.length + 2, 2);
  return Buffer.concat([plain.subarray(0, 2), head, segment, plain.subarray(2)]);
}

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
    others['PNG of 16 bits'] = await picture(32, 32).toColourspace('rgb16').png().toBuffer();
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

  it.each(['grey', 'CMYK', 'transparent', 'large', 'progressive', 'WebP', 'lossless WebP'])(
    'gives the colours of a %s picture in their places',
    async (kind) => {
      const source = (): sharp.Sharp => quadrants(64, 48);
      const encoded: Record<string, sharp.Sharp> = {
        grey: source().greyscale().jpeg({ quality: 95 }),
        CMYK: source().toColourspace('cmyk').jpeg({ quality: 95 }),
        transparent: source().ensureAlpha(0.5).webp({ quality: 95 }),
        large: source().resize(1600, 1200, { kernel: 'nearest' }).jpeg({ quality: 95 }),
        progressive: source().jpeg({ quality: 95, progressive: true, chromaSubsampling: '4:4:4' }),
        WebP: source().webp({ quality: 95 }),
        'lossless WebP': source().webp({ lossless: true }),
      };
      const found = (await decode(await encoded[kind]!.toBuffer()))!;
      expect(found.width / found.height).toBeCloseTo(4 / 3);
      for (const [i, colour] of COLOURS.entries()) {
        const place = [0.25 + 0.5 * (i % 2), 0.25 + 0.5 * (i >> 1)] as const;
        // ITU-R BT.601, as JPEG has it; a grey picture has the same value three times.
        const [r, g, b] = colour;
        const grey = 0.299 * r + 0.587 * g + 0.114 * b;
        // CMYK has a smaller gamut: pure colours come back muted.
        const tolerance = kind === 'CMYK' ? 60 : kind === 'grey' ? 30 : 12;
        expectColour(at(found, ...place), kind === 'grey' ? [grey, grey, grey] : colour, tolerance);
      }
    },
  );

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('turns a picture of EXIF orientation %i upright, pixel by pixel', async (n) => {
    const [width, height] = [64, 48];
    const stored = await quadrants(width, height).raw().toBuffer();
    const bytes = await sharp(stored, { raw: { width, height, channels: 3 } })
      .jpeg({ quality: 98, chromaSubsampling: '4:4:4' })
      .withMetadata({ orientation: n })
      .toBuffer();
    const found = (await decode(bytes))!;
    expect([found.width, found.height]).toEqual(n > 4 ? [height, width] : [width, height]);
    let worst = 0;
    for (let y = 0; y < found.height; y++)
      for (let x = 0; x < found.width; x++) {
        const [sx, sy] = STORED_AT[n]!(x, y, width, height);
        // Not where two colours meet: JPEG rings there.
        if (Math.abs(sx - width / 2) < 9 || Math.abs(sy - height / 2) < 9) continue;
        for (let c = 0; c < 3; c++) {
          const wanted = stored[(sy * width + sx) * 3 + c]!;
          worst = Math.max(worst, Math.abs(found.data[(y * found.width + x) * 3 + c]! - wanted));
        }
      }
    expect(worst).toBeLessThan(8);
  });

  it.each(['JPEG', 'WebP'])('13.2: 5,000 entries of EXIF of a %s never reach libvips', async (kind) => {
    const entry = Buffer.from('010f00020000ea60', 'hex');
    const laden = kind === 'JPEG' ? ladenJpeg(await quadrants(640, 480).jpeg({ progressive: true }).toBuffer()) : withExif(await quadrants(640, 480).withMetadata({ orientation: 1 }).webp().toBuffer(), exifOfOneValue()); // prettier-ignore
    expect(laden.includes(entry)).toBe(true);
    handedOver.length = 0;
    expect(await decode(laden)).toMatchObject({ width: 640, height: 480 });
    expect(handedOver.map((bytes) => [bytes.length, bytes.includes(entry)])).toEqual([[laden.length, false]]);
  });

  it('decodes large pictures smaller, small ones as they are', async () => {
    const found = await decode(await picture(1600, 1200).jpeg().toBuffer());
    expect(found).toMatchObject({ width: DECODED_SIDE_MAX, height: 480 });
  });

  it.each([
    'png',
    'PNG of 16 bits',
    'gif',
    'tiff',
    'svg',
    'PNG bomb',
    'large JPEG',
    'truncated JPEG',
    'header only',
    'empty',
    'noise',
  ])('finds nothing in %s, and does not throw', async (name) => {
    expect(await decode(others[name]!)).toBeNull();
  });
});
