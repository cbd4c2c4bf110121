import sharp from 'sharp';

/** A picture such as a hostile client might send, and whether a gateway may take it. */
export interface CostlyPicture {
  name: string;
  bytes: Buffer;
  /** False: it costs a worker more than a camera's picture is worth. */
  taken: boolean;
}

const QUALITY = 85;
/** The largest picture that a gateway takes is a square of such sides. */
const SIDE = 2000;
const [WIDTH, HEIGHT] = [640, 480];
const M = { sof1: 0xc1, dac: 0xca, dht: 0xc4, sos: 0xda, dqt: 0xdb, dnl: 0xdc, dri: 0xdd, app1: 0xe1, app2: 0xe2, app14: 0xee, com: 0xfe } as const; // prettier-ignore
const SOI = Buffer.from([0xff, 0xd8]);
const EOI = Buffer.from([0xff, 0xd9]);

/** What a camera's software makes of a face: 640 × 480, baseline, colours at half size. */
export const ordinaryPicture = (photo: Buffer): Promise<Buffer> => scaled(photo).jpeg({ quality: QUALITY }).toBuffer();

/**
 * Files of each kind that costs a decoder more than its size says, made by encoders or marker by marker (ITU T.81, RFC
 * 9649). The same in every run.
 *
 * @param photo a face, any size; what is on it is what encoders have to work on.
 */
export async function costlyPictures(photo: Buffer): Promise<CostlyPicture[]> {
  const jpeg = await ordinaryPicture(photo);
  const progressive = await scaled(photo).jpeg({ quality: QUALITY, progressive: true }).toBuffer();
  const tiny = await flat(8, 8).jpeg({ progressive: true }).toBuffer();
  const cmyk = await scaled(photo).toColourspace('cmyk').jpeg({ quality: QUALITY }).toBuffer();
  const large = await scaled(photo, SIDE, SIDE).jpeg({ quality: 96, chromaSubsampling: '4:4:4' }).toBuffer();
  const profiled = await scaled(photo).withIccProfile('p3').jpeg({ quality: QUALITY }).toBuffer();
  const turned = sharp(await scaled(photo, SIDE, SIDE).jpeg({ quality: 60 }).toBuffer()).withMetadata({ orientation: 6 }); // prettier-ignore
  const taken = (name: string, bytes: Buffer): CostlyPicture => ({ name, bytes, taken: true });
  const refused = (name: string, bytes: Buffer): CostlyPicture => ({ name, bytes, taken: false });
  return [
    taken('JPEG, quality 95, 4:4:4', await scaled(photo).jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer()),
    taken('JPEG, grey', await scaled(photo).greyscale().toColourspace('b-w').jpeg({ quality: QUALITY }).toBuffer()),
    taken('JPEG, noise of half a megabyte', await noise(WIDTH, HEIGHT).jpeg({ quality: 88, chromaSubsampling: '4:4:4' }).toBuffer()),
    taken('JPEG, 1280 × 720', await scaled(photo, 1280, 720).jpeg({ quality: QUALITY }).toBuffer()),
    taken('JPEG, 1920 × 1080', await scaled(photo, 1920, 1080).jpeg({ quality: QUALITY }).toBuffer()),
    taken('JPEG, 2000 × 2000, flat', await flat(SIDE, SIDE).jpeg({ quality: QUALITY }).toBuffer()),
    taken('JPEG, 2000 × 2000, flat, 4:4:4', await flat(SIDE, SIDE).jpeg({ quality: QUALITY, chromaSubsampling: '4:4:4' }).toBuffer()),
    taken('JPEG, 65500 × 61, flat', await flat(65_500, 61).jpeg({ quality: QUALITY }).toBuffer()),
    taken('JPEG, 61 × 65500, flat', await flat(61, 65_500).jpeg({ quality: QUALITY }).toBuffer()),
    taken('JPEG, 2000 × 2000, a restart after each block', restarts(SIDE)),
    taken('JPEG, 640 × 480, a restart after each block', restarts(WIDTH, HEIGHT)),
    refused('JPEG, 2000 × 2000, half a megabyte, 4:4:4', large),
    taken('JPEG, progressive, few scans', progressive),
    taken('JPEG, progressive, 1280 × 720', await scaled(photo, 1280, 720).jpeg({ quality: QUALITY, progressive: true }).toBuffer()),
    taken('JPEG, progressive, 1200 × 900', await scaled(photo, 1200, 900).jpeg({ quality: QUALITY, progressive: true }).toBuffer()),
    taken('JPEG, progressive, grey, 1400 × 1050', await scaled(photo, 1400, 1050).greyscale().toColourspace('b-w').jpeg({ quality: QUALITY, progressive: true }).toBuffer()),
    refused('JPEG, progressive, 2000 × 2000', await flat(SIDE, SIDE).jpeg({ progressive: true }).toBuffer()),
    refused('JPEG, progressive, 60 scans', scansAgain(progressive, 50)),
    refused('JPEG, progressive, 8 × 8, 20,000 scans', scansAgain(tiny, 20_000)),
    refused('JPEG, arithmetic coding', changed(jpeg, (out, sof) => (out[sof + 1] = 0xc9))),
    refused('JPEG, arithmetic coding, progressive', changed(progressive, (out, sof) => (out[sof + 1] = M.dac))),
    refused('JPEG, lossless', changed(jpeg, (out, sof) => (out[sof + 1] = 0xc3))),
    refused('JPEG, 12 bits', changed(jpeg, (out, sof) => out.set([M.sof1, out[sof + 2] ?? 0, out[sof + 3] ?? 0, 12], sof + 1))),
    refused('JPEG, four components, CMYK', cmyk),
    refused('JPEG, four components, YCCK', asYcck(cmyk)),
    refused('JPEG, its height behind the scan (DNL)', heightBehind(jpeg)),
    taken('JPEG, profile (P3)', profiled),
    taken('JPEG, profile (P3), 1920 × 1080', await scaled(photo, 1920, 1080).withIccProfile('p3').jpeg({ quality: QUALITY }).toBuffer()),
    refused('JPEG, profile of 300 kB', profileOf(jpeg, 300_000)),
    taken('JPEG, EXIF of 60 kB', withSegments(jpeg, M.app1, Buffer.concat([Buffer.from('Exif\0\0'), Buffer.alloc(60_000)]))),
    refused('JPEG, EXIF of 400 kB', withSegments(jpeg, M.app1, Buffer.concat([Buffer.from('Exif\0\0'), Buffer.alloc(50_000)]), 8)),
    taken('JPEG, EXIF of 5,000 entries of one value', withSegments(jpeg, M.app1, Buffer.concat([Buffer.from('Exif\0\0'), exifOfOneValue()]))),
    taken('JPEG, turned by EXIF, 2000 × 2000', await turned.jpeg({ quality: 60 }).toBuffer()),
    taken('JPEG, turned by EXIF, 1900 × 1279, quality 96, 4:4:4', await sharp(await scaled(photo, 1900, 1279).jpeg().toBuffer()).withMetadata({ orientation: 6 }).jpeg({ quality: 96, chromaSubsampling: '4:4:4' }).toBuffer()),
    taken('JPEG, turned by EXIF, 1279 × 1279, grey noise of half a megabyte', await noise(1279, 1279).greyscale().toColourspace('b-w').withMetadata({ orientation: 6 }).jpeg({ quality: 40 }).toBuffer()),
    taken('JPEG, turned by EXIF, 2100 × 1575, 4:4:4', await sharp(await scaled(photo, 2100, 1575).jpeg().toBuffer()).withMetadata({ orientation: 5 }).jpeg({ quality: QUALITY, chromaSubsampling: '4:4:4' }).toBuffer()),
    taken('JPEG, 8,000 tables of codes', tablesAgain(jpeg, 8_000)),
    taken('JPEG, 400 kB of fill bytes', Buffer.concat([jpeg.subarray(0, -2), Buffer.alloc(400_000, 0xff), EOI])),
    taken('JPEG, 400 kB of zeros before the end', Buffer.concat([jpeg.subarray(0, -2), Buffer.alloc(400_000), EOI])),
    taken('WebP', await scaled(photo).webp({ quality: QUALITY }).toBuffer()),
    taken('WebP, quality 99', await scaled(photo).webp({ quality: 99 }).toBuffer()),
    taken('WebP, 960 × 720', await scaled(photo, 960, 720).webp({ quality: QUALITY }).toBuffer()),
    refused('WebP, 1280 × 720', await scaled(photo, 1280, 720).webp({ quality: QUALITY }).toBuffer()),
    taken('WebP, noise of 60 kB', await noise(360, 270).webp({ quality: 60 }).toBuffer()),
    refused('WebP, noise of half a megabyte', await noise(WIDTH, HEIGHT).webp({ quality: 99 }).toBuffer()),
    taken('WebP, turned by EXIF', await turnedWebp(photo)),
    taken('WebP, EXIF of 5,000 entries of one value', withExif(await turnedWebp(photo), exifOfOneValue())),
    refused('WebP, turned by EXIF, 960 × 720', await turnedWebp(photo, 960, 720)),
    refused('WebP, 2000 × 2000', await scaled(photo, SIDE, SIDE).webp({ quality: 60 }).toBuffer()),
    refused('WebP, 2000 × 2000, flat', await flat(SIDE, SIDE).webp().toBuffer()),
    taken('WebP, lossless', await scaled(photo).webp({ lossless: true }).toBuffer()),
    refused('WebP, lossless, noise of half a megabyte', await noise(400, 400).webp({ lossless: true, effort: 0 }).toBuffer()),
    refused('WebP, lossless, 1280 × 720', await scaled(photo, 1280, 720).webp({ lossless: true }).toBuffer()),
    refused('WebP, lossless, 1440 × 1440, flat', await flat(1440, 1440).webp({ lossless: true }).toBuffer()),
    refused('WebP, lossless, alpha, 800 × 600, flat', await flat(800, 600).ensureAlpha(0.5).webp({ lossless: true }).toBuffer()),
    taken('WebP, alpha, 640 × 480, flat', await flat(WIDTH, HEIGHT).ensureAlpha(0.5).webp().toBuffer()),
    refused('WebP, alpha', await transparent(photo)),
    refused('WebP, alpha, 1920 × 1080', await transparent(photo, 1920, 1080)),
    taken('WebP, profile (P3)', await scaled(photo).withIccProfile('p3').webp({ quality: QUALITY }).toBuffer()),
    refused('WebP, animation of 20 pictures', await animation(photo, 20)),
  ]; // prettier-ignore
}

const scaled = (photo: Buffer, width = WIDTH, height = HEIGHT): sharp.Sharp =>
  sharp(photo).resize(width, height, { fit: 'cover' });

const flat = (width: number, height: number): sharp.Sharp =>
  sharp({ create: { width, height, channels: 3, background: { r: 90, g: 40, b: 20 } } });

/** Numbers that look random and are the same in every run (Numerical Recipes). */
function noise(width: number, height: number): sharp.Sharp {
  let state = 41;
  const data = Buffer.alloc(3 * width * height);
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state >>> 24;
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

const turnedWebp = async (photo: Buffer, width = WIDTH, height = HEIGHT): Promise<Buffer> =>
  sharp(await scaled(photo, width, height).webp({ quality: QUALITY }).toBuffer())
    .withMetadata({ orientation: 6 })
    .webp({ quality: QUALITY })
    .toBuffer();

/** An alpha plane with something in it. */
async function transparent(photo: Buffer, width = WIDTH, height = HEIGHT): Promise<Buffer> {
  const plane = await scaled(photo, width, height).greyscale().toColourspace('b-w').raw().toBuffer();
  const raw = { width, height, channels: 1 } as const;
  return scaled(photo, width, height).joinChannel(plane, { raw }).webp({ quality: QUALITY }).toBuffer();
}

async function animation(photo: Buffer, pictures: number): Promise<Buffer> {
  const one = await scaled(photo, 320, 240).raw().toBuffer();
  const raw = { width: 320, height: 240 * pictures, channels: 3, pageHeight: 240 } as const;
  // Each a little brighter: what is the same is not stored twice.
  const all = Array.from({ length: pictures }, (_, n) => Buffer.from(one.map((v) => Math.min(255, v + 4 * n))));
  return sharp(Buffer.concat(all), { raw }).webp({ quality: 50 }).toBuffer();
}

function segment(marker: number, body: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([head, body]);
}

const withSegments = (jpeg: Buffer, marker: number, body: Buffer, times = 1): Buffer =>
  Buffer.concat([SOI, ...Array<Buffer>(times).fill(segment(marker, body)), jpeg.subarray(2)]);

/**
 * A TIFF whose entries all name the same 60 kB, in directories that are one (TIFF 6.0, section 2). Whoever takes
 * each value takes gigabytes out of 64 kB.
 */
export function exifOfOneValue(): Buffer {
  const [entries, valueBytes, make, ascii, long] = [5_000, 60_000, 0x010f, 2, 4];
  const out = Buffer.alloc(65_000);
  out.write('MM\0*', 'latin1');
  out.writeUInt32BE(8, 4);
  out.writeUInt16BE(entries, 8);
  // Exif, GPS and interoperability directories, which are this one again.
  const directories = [0x8769, 0x8825, 0xa005];
  for (let i = 0; i < entries; i++) {
    const at = 10 + 12 * i;
    const directory = directories[i];
    out.writeUInt16BE(directory ?? make, at);
    out.writeUInt16BE(directory === undefined ? ascii : long, at + 2);
    out.writeUInt32BE(directory === undefined ? valueBytes : 1, at + 4);
    out.writeUInt32BE(directory === undefined ? 100 : 8, at + 8);
  }
  out.writeUInt32BE(8, 10 + 12 * entries);
  return out;
}

/** Another EXIF at the end of a WebP that has one there. */
export function withExif(webp: Buffer, exif: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.write('EXIF', 'latin1');
  head.writeUInt32LE(exif.length, 4);
  const out = Buffer.concat([webp.subarray(0, webp.lastIndexOf('EXIF')), head, exif]);
  out.writeUInt32LE(out.length - 8, 4);
  return out;
}

/** Where the frame header stands. */
const frameHeader = (jpeg: Buffer): number => jpeg.findIndex((byte, i) => byte === 0xff && [0xc0, 0xc1, 0xc2].includes(jpeg[i + 1] ?? 0)); // prettier-ignore

function changed(jpeg: Buffer, change: (out: Buffer, frameHeaderAt: number) => void): Buffer {
  const out = Buffer.from(jpeg);
  change(out, frameHeader(out));
  return out;
}

/** The last scan so many times more. */
function scansAgain(progressive: Buffer, times: number): Buffer {
  const last = progressive.lastIndexOf(Buffer.from([0xff, M.sos]));
  const scan = progressive.subarray(last, -2);
  return Buffer.concat([progressive.subarray(0, -2), ...Array<Buffer>(times).fill(scan), EOI]);
}

/** The first table of Huffman codes so many times more, behind the frame header. */
function tablesAgain(jpeg: Buffer, times: number): Buffer {
  const at = jpeg.indexOf(Buffer.from([0xff, M.dht]));
  const table = jpeg.subarray(at, at + 2 + jpeg.readUInt16BE(at + 2));
  const scan = jpeg.indexOf(Buffer.from([0xff, M.sos]));
  return Buffer.concat([jpeg.subarray(0, scan), ...Array<Buffer>(times).fill(table), jpeg.subarray(scan)]);
}

/** Adobe's marker says whether four components are CMYK or YCCK. */
function asYcck(cmyk: Buffer): Buffer {
  const out = Buffer.from(cmyk);
  const at = out.indexOf(Buffer.from([0xff, M.app14]));
  out[at + 15] = 2;
  return out;
}

/** No height in the frame header, but after the scan (T.81, B.2.5). */
function heightBehind(jpeg: Buffer): Buffer {
  const height = Buffer.alloc(2);
  const without = changed(jpeg, (out, sof) => {
    height.writeUInt16BE(out.readUInt16BE(sof + 5));
    out.writeUInt16BE(0, sof + 5);
  });
  return Buffer.concat([without.subarray(0, -2), segment(M.dnl, height), EOI]);
}

/** A profile in as many parts as it needs (ICC.1, annex B.4). */
function profileOf(jpeg: Buffer, bytes: number): Buffer {
  const partMax = 60_000;
  const count = Math.ceil(bytes / partMax);
  const parts = Array.from({ length: count }, (_, i) =>
    segment(M.app2, Buffer.concat([Buffer.from('ICC_PROFILE\0'), Buffer.from([i + 1, count]), Buffer.alloc(Math.min(partMax, bytes - i * partMax))])),
  ); // prettier-ignore
  return Buffer.concat([SOI, ...parts, jpeg.subarray(2)]);
}

/** A flat grey picture in which each block is a restart interval of its own: five bytes that a decoder stops at. */
function restarts(width: number, height = width): Buffer {
  const size = Buffer.from([8, height >> 8, height & 255, width >> 8, width & 255, 1, 1, 0x11, 0]);
  // One code of one bit, for a difference of zero and for the end of a block.
  const codes = (kind: number): Buffer => Buffer.from([kind, 1, ...Array<number>(15).fill(0), 0]);
  const blocks = Math.ceil(width / 8) * Math.ceil(height / 8);
  const scan = Buffer.alloc(3 * blocks - 2);
  for (let i = 0; i < blocks; i++) {
    // Two codes, and ones to the end of the byte.
    scan[3 * i] = 0x3f;
    if (i < blocks - 1) scan.set([0xff, 0xd0 + (i % 8)], 3 * i + 1);
  }
  return Buffer.concat([
    SOI,
    segment(M.dqt, Buffer.concat([Buffer.from([0]), Buffer.alloc(64, 1)])),
    segment(0xc0, size),
    segment(M.dht, Buffer.concat([codes(0), codes(0x10)])),
    segment(M.dri, Buffer.from([0, 1])),
    segment(M.sos, Buffer.from([1, 1, 0, 0, 63, 0])),
    scan,
    EOI,
  ]);
}
