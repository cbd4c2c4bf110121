import { constants, crc32, deflateRawSync } from 'node:zlib';
import sharp from 'sharp';
import { exifOfOneValue, seeded } from '#testing';

/** A file that somebody may send as a frame. */
export interface OddPicture {
  name: string;
  bytes: Buffer;
  /** Whether the decoder may make a picture of it: `may` where it depends on what is left of a broken one. */
  decodes: 'yes' | 'no' | 'may';
}

/** Smooth and with edges, so that it has a picture's size when encoded. */
const scene = (width: number, height: number): sharp.Sharp => {
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      data[at] = (x * 255) / width;
      data[at + 1] = (y * 255) / height;
      data[at + 2] = ((x * x + y * y) % 97) * 2;
    }
  return sharp(data, { raw: { width, height, channels: 3 } });
};

/** A chunk of a PNG: length, type, data, checksum. */
export function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** A black PNG of this size. Its pixels are never held: the same compressed megabyte again and again. */
function blackPng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const bytes = (width * 3 + 1) * height;
  const block = 1 << 20;
  const full = deflateRawSync(Buffer.alloc(block), { finishFlush: constants.Z_FULL_FLUSH });
  const adler = Buffer.alloc(4);
  // Of zeros alone: the sum stays 1, the sum of sums counts them.
  adler.writeUInt32BE((bytes % 65_521) * 65_536 + 1);
  const data = Buffer.concat([
    Buffer.from('789c', 'hex'),
    ...Array<Buffer>(Math.floor(bytes / block)).fill(full),
    deflateRawSync(Buffer.alloc(bytes % block)),
    adler,
  ]);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    pngChunk('IHDR', header),
    pngChunk('IDAT', data),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Where the frame header (SOF0 to SOF2) of a JPEG stands. */
function frameHeaderOf(jpeg: Buffer): number {
  for (let at = 2; ; at += 2 + jpeg.readUInt16BE(at + 2)) if (jpeg[at + 1]! >= 0xc0 && jpeg[at + 1]! <= 0xc2) return at;
}

/** The same JPEG that says it has another size. */
function jpegSaying(jpeg: Buffer, width: number, height: number): Buffer {
  const out = Buffer.from(jpeg);
  const at = frameHeaderOf(out);
  out.writeUInt16BE(height, at + 5);
  out.writeUInt16BE(width, at + 7);
  return out;
}

const segment = (marker: number, body: Buffer): Buffer => {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([head, body]);
};
const behindStart = (jpeg: Buffer, ...parts: Buffer[]): Buffer =>
  Buffer.concat([jpeg.subarray(0, 2), ...parts, jpeg.subarray(2)]);

/** The last scan of a progressive JPEG again and again: little to send, a pass over the whole picture each. */
function scansAgain(progressive: Buffer, times: number): Buffer {
  const last = progressive.lastIndexOf(Buffer.from([0xff, 0xda]));
  const scan = progressive.subarray(last, progressive.length - 2);
  return Buffer.concat([progressive.subarray(0, last), ...Array<Buffer>(times).fill(scan), Buffer.from([0xff, 0xd9])]);
}

/** Small files that would be large pictures: PNG, WebP and JPEG of 196 megapixels and more. */
export async function bombs(): Promise<Buffer[]> {
  const side = 14_000;
  const png = blackPng(side, side);
  const webp = Buffer.from(await scene(64, 64).webp({ lossless: true }).toBuffer());
  // 14 bits a side, less one, behind the signature byte of VP8L.
  webp.writeUInt32LE((webp.readUInt32LE(21) & 0xf0000000) | (16_382 << 14) | 16_382, 21);
  const progressive = await scene(256, 256).jpeg({ progressive: true }).toBuffer();
  const kinds = [png, webp, jpegSaying(progressive, side, side), jpegSaying(progressive, 65_500, 65_500)];
  return Array.from({ length: 100 }, (_, i) => kinds[i % kinds.length]!);
}

/** Other formats, disguises, broken and oversized files: what the decoder meets when the gateway lets all through. */
export async function oddPictures(): Promise<OddPicture[]> {
  const out: OddPicture[] = [];
  const add = (decodes: OddPicture['decodes'], name: string, bytes: Buffer): void =>
    void out.push({ name, bytes, decodes });
  const jpeg = await scene(640, 480).jpeg({ quality: 95 }).toBuffer();
  const progressive = await scene(640, 480).jpeg({ progressive: true }).toBuffer();
  const webp = await scene(640, 480).webp({ quality: 95 }).toBuffer();
  add('yes', 'plain.jpg', jpeg);
  add('yes', 'progressive.jpg', progressive);
  add('yes', 'plain.webp', webp);
  add('yes', 'grey.jpg', await scene(64, 48).greyscale().jpeg().toBuffer());
  add('yes', 'cmyk.jpg', await scene(64, 48).toColourspace('cmyk').jpeg().toBuffer());
  add('yes', 'alpha.webp', await scene(64, 48).ensureAlpha(0.5).webp().toBuffer());

  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><image href="/etc/passwd"/></svg>'); // prettier-ignore
  const others: Record<string, Buffer> = {
    png: await scene(64, 48).png().toBuffer(),
    'png of 16 bits': await scene(64, 48).toColourspace('rgb16').png().toBuffer(),
    gif: await scene(64, 48).gif().toBuffer(),
    tiff: await scene(64, 48).tiff().toBuffer(),
    'tiff of 16 bits': await scene(64, 48).toColourspace('rgb16').tiff().toBuffer(),
    'tiff with a JPEG inside': await scene(64, 48).tiff({ compression: 'jpeg' }).toBuffer(),
    avif: await scene(64, 48).avif().toBuffer(),
    heic: Buffer.concat([Buffer.from('00000018667479706865696300000000', 'hex'), Buffer.alloc(400)]),
    svg,
    'svg with a declaration': Buffer.concat([Buffer.from('<?xml version="1.0"?>'), svg]),
    pdf: Buffer.from('%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF'),
    'jxl stream': Buffer.concat([Buffer.from('ff0a', 'hex'), Buffer.alloc(400)]),
    'jxl container': Buffer.concat([Buffer.from('0000000c4a584c200d0a870a', 'hex'), Buffer.alloc(400)]),
    vips: Buffer.concat([Buffer.from('08f2a6b6', 'hex'), Buffer.alloc(400, 1)]),
    bmp: Buffer.concat([Buffer.from('BM'), Buffer.alloc(400)]),
    ppm: Buffer.concat([Buffer.from('P6 8 8 255\n'), Buffer.alloc(192, 9)]),
    hdr: Buffer.from('#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 8\n'),
    exr: Buffer.concat([Buffer.from('762f3101', 'hex'), Buffer.alloc(400)]),
    'jp2 stream': Buffer.concat([Buffer.from('ff4fff51', 'hex'), Buffer.alloc(400)]),
    csv: Buffer.from('1,2,3\n4,5,6\n'),
    raw: Buffer.alloc(64 * 48 * 3, 127),
    html: Buffer.from('<!doctype html><script>alert(1)</script>'),
    zip: Buffer.concat([Buffer.from('504b0304', 'hex'), Buffer.alloc(400)]),
    empty: Buffer.alloc(0),
    'one byte': Buffer.from([0xff]),
  };
  for (const [name, bytes] of Object.entries(others)) {
    add('no', name, bytes);
    if (bytes.length > 20) add('no', `${name}, a JPEG behind it`, Buffer.concat([bytes, jpeg]));
    // As somebody would who looks at the first bytes only.
    if (bytes.length > 20) add('no', `${name} behind a JPEG's start`, Buffer.concat([Buffer.from('ffd8ffe0', 'hex'), bytes])); // prettier-ignore
  }

  for (const [name, bytes] of Object.entries(others).slice(0, 9)) {
    add('yes', `a JPEG, ${name} behind it`, Buffer.concat([jpeg, bytes]));
    if (bytes.length < 65_000) add('yes', `a JPEG, ${name} in its comment`, behindStart(jpeg, segment(0xfe, bytes)));
  }

  const exif = (body: Buffer): Buffer => segment(0xe1, Buffer.concat([Buffer.from('Exif\0\0'), body]));
  add('may', 'EXIF of 60 kB', behindStart(jpeg, exif(Buffer.alloc(60_000, 0x41))));
  add('may', 'EXIF that points at itself', behindStart(jpeg, exif(Buffer.from('49492a000800000001001201030001000000080000000800', 'hex')))); // prettier-ignore
  add('yes', 'EXIF of 5,000 entries of one value', behindStart(jpeg, exif(exifOfOneValue())));
  add('yes', 'the same, behind others', behindStart(jpeg, exif(Buffer.from('MM')), exif(exifOfOneValue())));
  add('may', '6 EXIFs of 60 kB', behindStart(jpeg, ...Array<Buffer>(6).fill(exif(Buffer.alloc(60_000)))));
  const icc = (n: number, of: number, fill: number): Buffer =>
    segment(0xe2, Buffer.concat([Buffer.from('ICC_PROFILE\0'), Buffer.from([n, of]), Buffer.alloc(60_000, fill)]));
  add('may', 'ICC of 360 kB', behindStart(jpeg, ...[1, 2, 3, 4, 5, 6].map((n) => icc(n, 6, n))));
  add('may', 'ICC with a part missing', behindStart(jpeg, icc(2, 3, 0)));
  add('may', 'XMP of 60 kB', behindStart(jpeg, segment(0xe1, Buffer.from(`http://ns.adobe.com/xap/1.0/\0${'<x>'.repeat(20_000)}`)))); // prettier-ignore

  add('yes', '65,500 × 8', await scene(65_500, 8).jpeg().toBuffer());
  add('yes', '8 × 65,500', await scene(8, 65_500).jpeg().toBuffer());
  add('no', '65,500 × 480', jpegSaying(jpeg, 65_500, 480));
  add('no', '65,500 × 65,500', jpegSaying(progressive, 65_500, 65_500));
  add('no', '2,001 × 2,000', jpegSaying(progressive, 2_001, 2_000));
  add('may', '2,000 × 2,000 said', jpegSaying(progressive, 2_000, 2_000));
  add('no', 'no height', jpegSaying(jpeg, 640, 0));
  add('no', 'no width', jpegSaying(jpeg, 0, 480));
  add('no', 'more scans than a picture has', scansAgain(jpegSaying(progressive, 2_000, 2_000), 2_000));

  for (const [name, bytes] of [
    ['jpg', jpeg],
    ['progressive.jpg', progressive],
    ['webp', webp],
  ] as const)
    // prettier-ignore
    for (let at = 1_024; at < bytes.length; at += 1_024)
      add(at > bytes.length - 64 ? 'may' : 'no', `truncated at ${at}.${name}`, bytes.subarray(0, at));
  return out;
}

/** Small pictures with bits turned, bytes gone, doubled or from elsewhere. */
export async function mutations(n: number, seed: number): Promise<Buffer[]> {
  const random = seeded(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const sources = [
    await scene(96, 64).jpeg().toBuffer(),
    await scene(96, 64).jpeg({ progressive: true }).withMetadata({ orientation: 6 }).toBuffer(),
    await scene(96, 64).toColourspace('cmyk').jpeg().toBuffer(),
    await scene(96, 64).webp().toBuffer(),
    await scene(96, 64).webp({ lossless: true }).toBuffer(),
    await scene(96, 64).ensureAlpha(0.5).webp().toBuffer(),
  ];
  return Array.from({ length: n }, (_, i) => {
    let bytes = Buffer.from(sources[i % sources.length]!);
    for (let k = below(4); k >= 0; k--) {
      // Headers more often than data: they steer the decoder.
      const at = below(random() < 0.5 ? Math.min(700, bytes.length) : bytes.length);
      const length = 1 + below(40);
      const kind = below(4);
      if (kind === 0) bytes[at]! ^= 1 << below(8);
      else if (kind === 1) bytes.subarray(at, at + length).fill(below(256));
      else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
      else bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    }
    return bytes;
  });
}
