import path from 'node:path';
import sharp from 'sharp';
import { Media, costlyPictures } from '#testing';
import { FramesReader, readFramesContainer } from './frames-container.js';
import { readImageHeader } from './image-header.js';

const noise = (width: number, height: number) =>
  sharp({
    create: { width, height, channels: 3, background: 'grey', noise: { type: 'gaussian', mean: 128, sigma: 30 } },
  });
const picture = (width = 64, height = 48) =>
  sharp({ create: { width, height, channels: 3, background: { r: 90, g: 40, b: 20 } } });

function container(header: unknown, ...images: Buffer[]): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, ...images]);
}
const framesOf = (...images: Buffer[]) => images.map((image, i) => ({ tMs: i * 40, bytes: image.length }));
const code = (body: Buffer): string => {
  const outcome = readFramesContainer(body);
  return outcome.kind === 'ok' ? 'ok' : outcome.code;
};

describe('frames container', () => {
  let jpeg: Buffer;
  beforeAll(async () => {
    jpeg = await picture().jpeg().toBuffer();
  });

  it('gives back every frame and the span of their times', () => {
    const body = container({ frames: framesOf(jpeg, jpeg) }, jpeg, jpeg);
    const outcome = readFramesContainer(body);
    expect(outcome).toMatchObject({ kind: 'ok', container: { spanMs: 40, body } });
    expect(outcome.kind === 'ok' && outcome.container.frames.map((f) => f.bytes.equals(jpeg))).toEqual([true, true]);
  });

  it.each([1, 3, 100, 1_000])('reads the same from pieces of %i bytes, announced or not', (size) => {
    const body = container({ frames: framesOf(jpeg, jpeg) }, jpeg, jpeg);
    for (const length of [body.length, null]) {
      const reader = new FramesReader(length);
      for (let at = 0; at < body.length; at += size) {
        expect(reader.end()).toEqual({ kind: 'refused', code: 'invalid_request' });
        expect(reader.push(body.subarray(at, at + size))).toBeNull();
      }
      expect(reader.end()).toEqual(readFramesContainer(body));
    }
  });

  it('says no with the first byte that settles it', () => {
    const of = (frames: unknown[]) => container({ frames });
    const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');
    const soon = (head: Buffer, length = head.length + 1_000_000) => new FramesReader(length).push(head);
    expect(soon(of([{ tMs: 0, bytes: 600_000 }]))).toBe('image_too_large');
    const second = of([{ tMs: 0, bytes: 16 }, { tMs: 40, bytes: 400_000 }]); // prettier-ignore
    expect(soon(Buffer.concat([second, png]), second.length + 400_016)).toBe('unsupported_image');
    expect(soon(of(Array.from({ length: 241 }, (_, i) => ({ tMs: i * 40, bytes: 10 }))))).toBe('too_many_frames');
    expect(soon(of([{ tMs: 0, bytes: 10 }]))).toBe('invalid_request');
    expect(soon(Buffer.from([0, 1, 0, 1]))).toBe('invalid_request');
    expect(soon(Buffer.from([0]), 4 * 1024 * 1024 + 1)).toBe('payload_too_large');
    expect(new FramesReader(null).push(Buffer.alloc(4 * 1024 * 1024 + 1))).toBe('payload_too_large');
  });

  it('takes the forms of JPEG and WebP that cameras and canvases make', async () => {
    const images = await Promise.all([
      picture().jpeg({ progressive: true }).toBuffer(),
      picture()
        .jpeg()
        .withExif({ IFD0: { Copyright: 'x'.repeat(2000) } })
        .toBuffer(),
      picture().webp().toBuffer(),
      picture().webp({ lossless: true }).toBuffer(),
      picture().ensureAlpha(0.5).webp().toBuffer(),
    ]);
    for (const image of images) expect(readImageHeader(image)).toMatchObject({ width: 64, height: 48 });
    expect(code(container({ frames: framesOf(...images) }, ...images))).toBe('ok');
  });

  describe('core 2: what a picture costs is known from its markers', () => {
    /** JPEG markers, T.81 table B.1. */
    const sof = (jpeg: Buffer): number => jpeg.findIndex((_, i) => jpeg[i] === 0xff && [0xc0, 0xc1, 0xc2].includes(jpeg[i + 1] ?? 0)); // prettier-ignore
    const saying = (jpeg: Buffer, change: (out: Buffer, at: number) => void): Buffer => {
      const out = Buffer.from(jpeg);
      change(out, sof(out));
      return out;
    };
    const withSegment = (bytes: Buffer, marker: number, body: Buffer, at = 2): Buffer => {
      const head = Buffer.from([0xff, marker, 0, 0]);
      head.writeUInt16BE(body.length + 2, 2);
      return Buffer.concat([bytes.subarray(0, at), head, body, bytes.subarray(at)]);
    };
    /** The last scan again and again, something between if wanted. */
    const scansAgain = (progressive: Buffer, times: number, between = Buffer.alloc(0)): Buffer => {
      const last = progressive.lastIndexOf(Buffer.from([0xff, 0xda]));
      const scan = Buffer.concat([between, progressive.subarray(last, -2)]);
      return Buffer.concat([progressive.subarray(0, -2), ...Array<Buffer>(times).fill(scan), Buffer.from([0xff, 0xd9])]);
    }; // prettier-ignore
    const judge = (bytes: Buffer): string => code(container({ frames: framesOf(bytes) }, bytes));

    let progressive: Buffer;
    let large: Buffer;
    beforeAll(async () => {
      progressive = await picture(640, 480).jpeg({ progressive: true }).toBuffer();
      large = await picture(1992, 1992).jpeg({ progressive: true }).toBuffer();
    });

    it('what cameras and canvases make is taken', async () => {
      const images = await Promise.all([
        picture(2000, 2000).jpeg().toBuffer(),
        picture(2000, 2000).jpeg({ chromaSubsampling: '4:4:4' }).toBuffer(),
        picture(1280, 720).jpeg({ progressive: true }).toBuffer(),
        picture(640, 480).greyscale().toColourspace('b-w').jpeg().toBuffer(),
        picture(640, 480).withIccProfile('p3').jpeg().toBuffer(),
        picture(960, 720).webp().toBuffer(),
        picture(960, 720).webp({ lossless: true }).toBuffer(),
        picture(640, 480).ensureAlpha(0.5).webp().toBuffer(),
      ]);
      expect(images.map(judge)).toEqual(images.map(() => 'ok'));
      expect(judge(progressive)).toBe('ok');
    });

    it('scans are counted, wherever they stand', () => {
      expect(judge(large)).toBe('unsupported_image');
      expect(judge(scansAgain(progressive, 100))).toBe('unsupported_image');
      // libjpeg skips what stands between markers, fill bytes and restarts.
      for (const between of ['0102ff00', 'ffff', 'ffd0', 'ffd8', 'fffe000401ff'])
        expect([between, judge(scansAgain(progressive, 100, Buffer.from(between, 'hex')))]).toEqual([between, 'unsupported_image']); // prettier-ignore
      // Without what bytes count.
      const scanned = (bytes: Buffer): number => (readImageHeader(bytes)?.samples ?? 0) - 16 * bytes.length;
      expect(scanned(scansAgain(progressive, 1))).toBe(scanned(progressive) + 1.25 * (640 * 480 + 4096));
      // Behind the end nothing is decoded.
      expect(scanned(Buffer.concat([progressive, ...Array<Buffer>(50).fill(progressive)]))).toBe(scanned(progressive));
    });

    it.each<[string, (jpeg: Buffer) => Buffer]>([
      ['12 bits', (j) => saying(j, (out, at) => (out[at + 4] = 12))],
      ['arithmetic coding', (j) => saying(j, (out, at) => (out[at + 1] = 0xc9))],
      ['arithmetic coding, progressive', (j) => saying(j, (out, at) => (out[at + 1] = 0xca))],
      ['no losses', (j) => saying(j, (out, at) => (out[at + 1] = 0xc3))],
      ['a hierarchy', (j) => saying(j, (out, at) => (out[at + 1] = 0xc5))],
      ['two components', (j) => saying(j, (out, at) => (out[at + 9] = 2))],
      ['no sampling', (j) => saying(j, (out, at) => (out[at + 11] = 0))],
      ['a height that comes later (DNL)', (j) => saying(j, (out, at) => out.writeUInt16BE(0, at + 5))],
      ['a profile of 5 kB', (j) => withSegment(j, 0xe2, Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\x01'), Buffer.alloc(5_000)]))],
      ['a profile in two parts', (j) => [1, 2].reduce((b, n) => withSegment(b, 0xe2, Buffer.concat([Buffer.from(`ICC_PROFILE\0${String.fromCharCode(n)}\x02`), Buffer.alloc(3_000)])), j)],
      ['EXIF of 60 kB twice', (j) => [0, 1].reduce((b) => withSegment(b, 0xe1, Buffer.concat([Buffer.from('Exif\0\0'), Buffer.alloc(60_000)])), j)],
      ['metadata behind the frame header', (j) => [0, 1].reduce((b) => withSegment(b, 0xfe, Buffer.alloc(60_000), sof(b) + 2 + b.readUInt16BE(sof(b) + 2)), j)],
    ])('a JPEG with %s is refused', (_, make) => {
      expect(judge(make(jpeg))).toBe('unsupported_image');
    }); // prettier-ignore

    it('four components are refused (CMYK)', async () => {
      expect(judge(await picture().toColourspace('cmyk').jpeg().toBuffer())).toBe('unsupported_image');
    });

    it('a WebP counts by what is in it', async () => {
      const lossless = await picture(1999, 1999).webp({ lossless: true }).toBuffer();
      const alpha = await picture(1999, 1999).ensureAlpha(0.5).webp().toBuffer();
      const lossy = await picture(1999, 1999).webp().toBuffer();
      expect([lossless, alpha, lossy].map(judge)).toEqual(Array(3).fill('unsupported_image'));
      // 13.2: its codes are dear. A small picture full of detail costs what a large flat one does.
      const busy = await noise(640, 480).webp({ quality: 60 }).toBuffer();
      expect([busy.length < 200_000, judge(busy)]).toEqual([true, 'unsupported_image']);
      // An alpha plane within a lossless picture, and a turn by EXIF, cost what a plane of their own does.
      const [within, without] = await Promise.all([true, false].map((has) => (has ? picture(800, 600).ensureAlpha(0.5) : picture(800, 600)).webp({ lossless: true }).toBuffer())); // prettier-ignore
      expect([within!, without!].map(judge)).toEqual(['unsupported_image', 'ok']);
      const upright = await picture(960, 720).webp().toBuffer();
      const turned = await sharp(upright).withMetadata({ orientation: 6 }).webp().toBuffer();
      expect([upright, turned].map(judge)).toEqual(['ok', 'unsupported_image']);
      const profile = await picture().withIccProfile('p3').webp().toBuffer();
      expect(judge(profile)).toBe('ok');
      const chunk = Buffer.concat([Buffer.from('ICCP'), Buffer.from([0, 0x20, 0, 0]), Buffer.alloc(0x2000)]);
      const fat = Buffer.concat([profile.subarray(0, 30), chunk, profile.subarray(30)]);
      fat.writeUInt32LE(fat.length - 8, 4);
      expect(judge(fat)).toBe('unsupported_image');
    });

    // What each of them costs a worker is measured by `bench -- pictures`.
    it('13.2: odd files are taken or refused as they cost', async () => {
      const media = new Media(path.join(__dirname, '../../../../test/media'));
      const [photo] = await media.load(media.takes('franck', 'smile').at(-1)!.segment);
      const files = await costlyPictures(photo!.jpeg);
      const found = files.map(({ name, bytes }) => [name, judge(bytes)]);
      expect(found).toEqual(files.map(({ name, taken }) => [name, taken ? 'ok' : 'unsupported_image']));
    }, 180_000);

    it('a step of ordinary WebP is taken, with extra time too', async () => {
      const media = new Media(path.join(__dirname, '../../../../test/media'));
      const [photo] = await media.load(media.takes('franck', 'smile').at(-1)!.segment);
      const frame = await sharp(photo!.jpeg).resize(640, 480, { fit: 'cover' }).webp({ quality: 85 }).toBuffer();
      for (const count of [120, 240]) {
        const frames = Array.from({ length: count }, () => frame);
        expect([count, code(container({ frames: framesOf(...frames) }, ...frames))]).toEqual([count, 'ok']);
      }
    });

    it('a step has a bound of its own: many large pictures that take no room', async () => {
      const flat = await picture(2000, 2000).jpeg({ quality: 1, chromaSubsampling: '4:4:4' }).toBuffer();
      const frames = (count: number): Buffer[] => Array.from({ length: count }, () => flat);
      expect(code(container({ frames: framesOf(...frames(50)) }, ...frames(50)))).toBe('ok');
      expect(code(container({ frames: framesOf(...frames(80)) }, ...frames(80)))).toBe('image_too_large');
    });
  });

  it('takes nothing else for a picture', async () => {
    const others = await Promise.all([
      picture().png().toBuffer(),
      picture().gif().toBuffer(),
      picture().tiff().toBuffer(),
    ]);
    others.push(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), Buffer.from('%PDF-1.7'), Buffer.alloc(40));
    for (const other of others) expect(code(container({ frames: framesOf(other) }, other))).toBe('unsupported_image');
  });

  it('refuses a picture cut at any byte of its header, without throwing', () => {
    for (let length = 1; length < 160; length++) {
      const cut = jpeg.subarray(0, length);
      expect(['ok', 'unsupported_image']).toContain(code(container({ frames: framesOf(cut) }, cut)));
    }
  });

  it('refuses 400 megapixels by the header, whatever the format', async () => {
    const big = Buffer.from(jpeg);
    const sof = big.indexOf(Buffer.from([0xff, 0xc0]));
    big.writeUInt16BE(20_000, sof + 5);
    big.writeUInt16BE(20_000, sof + 7);
    expect(code(container({ frames: framesOf(big) }, big))).toBe('image_too_large');
    const webp = await picture().ensureAlpha(0.5).webp().toBuffer();
    webp.writeUIntLE(19_999, 24, 3);
    webp.writeUIntLE(19_999, 27, 3);
    expect(code(container({ frames: framesOf(webp) }, webp))).toBe('image_too_large');
    const png = Buffer.concat([
      Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
      Buffer.from('00004e2000004e20', 'hex'),
    ]);
    expect(code(container({ frames: framesOf(png) }, png))).toBe('unsupported_image');
  });

  it('wants every byte accounted for', () => {
    const whole = container({ frames: framesOf(jpeg) }, jpeg);
    expect(code(Buffer.alloc(0))).toBe('invalid_request');
    expect(code(Buffer.from([0, 0, 1]))).toBe('invalid_request');
    expect(code(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7b]))).toBe('invalid_request');
    expect(code(whole.subarray(0, -1))).toBe('invalid_request');
    expect(code(Buffer.concat([whole, Buffer.from([0])]))).toBe('invalid_request');
  });

  it.each([
    ['no frames', { frames: [] }],
    ['no list', { frames: {} }],
    ['a challenge named by the client', { frames: [{ tMs: 0, bytes: 1 }], challenge: 'blink' }],
    ['a score', { frames: [{ tMs: 0, bytes: 1, score: 1 }] }],
    ['a prototype', '{"frames":[{"tMs":0,"bytes":1}],"__proto__":{"a":1}}'],
    ['a size that is none', { frames: [{ tMs: 0, bytes: -1 }] }],
    ['a time that is none', '{"frames":[{"tMs":1e999,"bytes":1}]}'],
    ['a device that is too long', { frames: [{ tMs: 0, bytes: 1 }], device: { model: 'x'.repeat(121) } }],
    ['no JSON', 'frames'],
    ['an array', []],
    ['null', 'null'],
  ])('refuses %s', (_, header) => {
    expect(code(container(header, Buffer.from([1])))).toBe('invalid_request');
  });

  it("13.3: a client's clock may count from anywhere and round; what cannot be used has a code of its own", () => {
    const at = (...times: number[]) => {
      const images = times.map(() => jpeg);
      return readFramesContainer(container({ frames: times.map((tMs) => ({ tMs, bytes: jpeg.length })) }, ...images));
    };
    expect(at(90_000, 90_040)).toMatchObject({ kind: 'ok', container: { spanMs: 40, frames: [{ tMs: 0 }, { tMs: 40 }] } }); // prettier-ignore
    expect(at(-40, 0)).toMatchObject({ kind: 'ok', container: { spanMs: 40 } });
    expect(at(0, 0, 100)).toMatchObject({ kind: 'ok', container: { frames: [{ tMs: 0 }, { tMs: 50 }, { tMs: 100 }] } });
    for (const times of [
      [40, 40],
      [40, 30],
      [0, 60_001],
      [0, 1, 2, 3, 4],
    ])
      // prettier-ignore
      expect(at(...times)).toEqual({ kind: 'refused', code: 'frame_times_unusable' });
  });

  it('keeps the limits of a step', () => {
    const many = Array.from({ length: 240 }, () => jpeg);
    expect(code(container({ frames: framesOf(...many) }, ...many))).toBe('ok');
    many.push(jpeg);
    expect(code(container({ frames: framesOf(...many) }, ...many))).toBe('too_many_frames');
    const fat = Buffer.concat([jpeg, Buffer.alloc(512 * 1024)]);
    expect(code(container({ frames: framesOf(fat) }, fat))).toBe('image_too_large');
    expect(code(Buffer.alloc(4 * 1024 * 1024 + 1))).toBe('payload_too_large');
  });
});
