import type { Picture } from '../pipeline/picture.js';
import { JPEG } from './jpeg.wasm.js';

/** What kernels/jpeg.ts exports. Addresses and distances are bytes. */
interface Kernels {
  memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  unstuff(source: number, length: number, end: number): number;
  scanLength(): number;
  decodeScan(end: number, bits: number, tables: number, tableBytes: number, quantisers: number, scratch: number, sampling: number, across: number, down: number, planeY: number, strideY: number, planeCb: number, planeCr: number, strideC: number): number; // prettier-ignore
  toRgb(width: number, height: number, sampling: number, planeY: number, strideY: number, planeCb: number, planeCr: number, strideC: number, sums: number, to: number): void; // prettier-ignore
}

/** The types of Node 20 do not name it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: object };
};

/** One instance a thread, with memory of its own: what a crafted picture could overwrite is that picture. */
const kernels = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(JPEG, 'base64'))).exports as Kernels;

const SIDE_MIN = 32;
const SIDE_MAX = 640;
const PAGE_BYTES = 65_536;

const LOOK_BITS = 10;
const CODE_BITS_MAX = 16;
const LARGEST_AT = 2 << LOOK_BITS;
const PLACE_AT = LARGEST_AT + 4 * (CODE_BITS_MAX + 1);
const SYMBOLS_AT = PLACE_AT + 4 * (CODE_BITS_MAX + 1);
const TABLE_BYTES = 4096;

const COMPONENTS = 3;
const TABLES_AT = 0;
const QUANTISERS_AT = TABLES_AT + 2 * COMPONENTS * TABLE_BYTES;
const SCRATCH_AT = QUANTISERS_AT + COMPONENTS * 256;
const SCRATCH_BYTES = 128 + 4 * COMPONENTS;
/** Beyond the bits of the scan a whole macroblock may be read before that is noticed: zeros. */
const AFTER_SCAN_BYTES = 2048;
const SCAN_AT = SCRATCH_AT + 256 + AFTER_SCAN_BYTES;
/** The kernels read and write sixteen pixels at a time. */
const BEYOND_BYTES = 64;

const MARKER = { soi: 0xd8, eoi: 0xd9, sos: 0xda, dqt: 0xdb, dht: 0xc4, sof0: 0xc0, app0: 0xe0, com: 0xfe } as const;

/** Where the k-th coefficient of the stream stands in its block (T.81, figure A.6). */
const ZIGZAG: readonly number[] = (() => {
  const order: number[] = [];
  for (let sum = 0; sum < 15; sum++)
    for (let i = 0; i <= sum; i++) {
      const [x, y] = sum % 2 ? [sum - i, i] : [i, sum - i];
      if (x < 8 && y < 8) order.push(8 * y + x);
    }
  return order;
})();

interface Header {
  width: number;
  height: number;
  sampling: 1 | 2;
  /** Of each component: its quantiser, its Huffman tables, as they stand in the file. */
  quantisers: Uint8Array[];
  tables: { dc: Uint8Array; ac: Uint8Array }[];
  scanAt: number;
}

/**
 * The JPEG that a browser's canvas or a camera's encoder writes → RGB, the same to the bit as libjpeg's: baseline, YCbCr,
 * colours at full or half size, no restarts, at most 640 pixels a side, no profile or orientation. Null for whatever is
 * different, and for a scan whose codes do not fill its bits exactly: libvips decides on that. Damage that leaves every
 * code valid gives some picture of that size. It need not be libjpeg's: coefficients that come of no pixels overflow
 * otherwise, and tables that no component names are not looked at.
 *
 * @param memory for the pixels, if it is large enough.
 */
export function decodeBaseline(bytes: Uint8Array, memory?: Uint8Array): Picture | null {
  const header = readHeader(bytes);
  if (!header) return null;
  const { width, height, sampling, scanAt } = header;
  const across = Math.ceil(width / (8 * sampling));
  const down = Math.ceil(height / (8 * sampling));
  const strideC = aligned(across * 8 + BEYOND_BYTES);
  const strideY = aligned(across * 8 * sampling + BEYOND_BYTES);
  const length = bytes.length - scanAt;
  const end = aligned(SCAN_AT + length);
  const planeY = end + BEYOND_BYTES;
  const planeCb = planeY + strideY * down * 8 * sampling;
  const planeCr = planeCb + strideC * down * 8;
  const sums = planeCr + strideC * down * 8;
  const rgb = sums + 2 * (2 * strideC + BEYOND_BYTES);
  const size = width * height * COMPONENTS;
  // The scan as it stands in the file lies where the pixels will.
  reserve(rgb + Math.max(size + BEYOND_BYTES, length));
  const all = new Uint8Array(kernels.memory.buffer);
  all.set(bytes.subarray(scanAt), rgb);
  const scanBytes = kernels.unstuff(rgb, length, end);
  const endAt = scanAt + kernels.scanLength();
  if (bytes[endAt] !== 0xff || bytes[endAt + 1] !== MARKER.eoi) return null;
  all.fill(0, end - scanBytes - AFTER_SCAN_BYTES, end - scanBytes);
  all.fill(0, SCRATCH_AT, SCRATCH_AT + SCRATCH_BYTES);
  if (!writeTables(header)) return null;
  const planes = [planeY, strideY, planeCb, planeCr, strideC] as const;
  if (!kernels.decodeScan(end, 8 * scanBytes, TABLES_AT, TABLE_BYTES, QUANTISERS_AT, SCRATCH_AT, sampling, across, down, ...planes)) return null; // prettier-ignore
  kernels.toRgb(width, height, sampling, ...planes, sums, rgb);
  const data = memory && memory.length >= size ? memory.subarray(0, size) : new Uint8Array(size);
  data.set(all.subarray(rgb, rgb + size));
  return { data, width, height };
}

/** Overwrites what is left of the last picture. */
export function forgetPicture(): void {
  new Uint8Array(kernels.memory.buffer).fill(0, SCRATCH_AT);
}

const aligned = (at: number): number => (at + 15) & ~15;

function reserve(bytes: number): void {
  const missing = bytes - kernels.memory.buffer.byteLength;
  if (missing > 0) kernels.memory.grow(Math.ceil(missing / PAGE_BYTES));
}

function readHeader(bytes: Uint8Array): Header | null {
  const u16 = (at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  if (u16(0) !== (0xff00 | MARKER.soi)) return null;
  const quantisers = new Map<number, Uint8Array>();
  const tables = new Map<number, Uint8Array>();
  let frame: Uint8Array | null = null;
  for (let at = 2; ;) {
    const marker = bytes[at + 1];
    const length = u16(at + 2);
    if (bytes[at] !== 0xff || length < 2 || at + 2 + length > bytes.length) return null;
    const body = bytes.subarray(at + 4, at + 2 + length);
    at += 2 + length;
    switch (marker) {
      case MARKER.app0:
      case MARKER.com:
        break;
      case MARKER.dqt:
        // Of 8 bits each, as baseline has them: 1 + 64 bytes a table.
        for (let i = 0; i < body.length; i += 65) {
          if (body[i]! > 3 || i + 65 > body.length) return null;
          quantisers.set(body[i]!, body.subarray(i + 1, i + 65));
        }
        break;
      case MARKER.dht:
        for (let i = 0; i < body.length;) {
          const symbols = body.subarray(i + 1, i + 1 + CODE_BITS_MAX).reduce((sum, n) => sum + n, 0);
          const end = i + 1 + CODE_BITS_MAX + symbols;
          if (end > body.length || symbols > 256) return null;
          tables.set(body[i]!, body.subarray(i + 1, end));
          i = end;
        }
        break;
      case MARKER.sof0:
        if (frame) return null;
        frame = body;
        break;
      case MARKER.sos:
        return frame && headerOf(frame, body, quantisers, tables, at);
      default:
        return null;
    }
  }
}

const isSide = (side: number): boolean => side >= SIDE_MIN && side <= SIDE_MAX;
const NORMAL_SCAN = [0, 63, 0];

function headerOf(
  frame: Uint8Array,
  scan: Uint8Array,
  quantisers: ReadonlyMap<number, Uint8Array>,
  tables: ReadonlyMap<number, Uint8Array>,
  scanAt: number,
): Header | null {
  const height = (frame[1]! << 8) | frame[2]!;
  const width = (frame[3]! << 8) | frame[4]!;
  if (frame.length !== 15 || frame[0] !== 8 || !isSide(width) || !isSide(height) || frame[5] !== COMPONENTS)
    return null;
  const sampling = frame[7] === 0x22 ? 2 : frame[7] === 0x11 ? 1 : null;
  if (!sampling || scan.length !== 10 || scan[0] !== COMPONENTS || NORMAL_SCAN.some((v, i) => scan[7 + i] !== v))
    return null;
  const header: Header = { width, height, sampling, quantisers: [], tables: [], scanAt };
  for (let c = 0; c < COMPONENTS; c++) {
    // Numbered 1, 2, 3, the components are YCbCr, with a JFIF header and without.
    const [id, factors, quantiser] = frame.subarray(6 + 3 * c, 9 + 3 * c);
    const [scanId, which] = scan.subarray(1 + 2 * c, 3 + 2 * c);
    if (id !== c + 1 || scanId !== id || (c > 0 && factors !== 0x11)) return null;
    const found = quantisers.get(quantiser!);
    const dc = tables.get(which! >> 4);
    const ac = tables.get(0x10 | (which! & 15));
    if (!found || !dc || !ac) return null;
    header.quantisers.push(found);
    header.tables.push({ dc, ac });
  }
  return header;
}

/** False: a table of codes that cannot be. */
function writeTables({ quantisers, tables }: Header): boolean {
  const view = new DataView(kernels.memory.buffer);
  quantisers.forEach((steps, c) =>
    steps.forEach((step, k) => view.setUint32(QUANTISERS_AT + 256 * c + 4 * k, ((2 * ZIGZAG[k]!) << 16) | step, true)),
  );
  return tables.every(
    ({ dc, ac }, c) =>
      writeTable(view, TABLES_AT + 2 * c * TABLE_BYTES, dc) &&
      writeTable(view, TABLES_AT + (2 * c + 1) * TABLE_BYTES, ac),
  );
}

/** Codes by length and value (T.81, annex C), as `decodeScan` looks for them. */
function writeTable(view: DataView, at: number, table: Uint8Array): boolean {
  const look = new Uint16Array(view.buffer, at, 1 << LOOK_BITS).fill(0);
  const symbols = table.subarray(CODE_BITS_MAX);
  new Uint8Array(view.buffer, at + SYMBOLS_AT, symbols.length).set(symbols);
  let code = 0;
  let i = 0;
  for (let length = 1; length <= CODE_BITS_MAX; length++) {
    const count = table[length - 1]!;
    // The code of ones only is not given (T.81, C.2).
    if (code + count > (1 << length) - 1) return false;
    view.setInt32(at + PLACE_AT + 4 * length, i - code, true);
    view.setInt32(at + LARGEST_AT + 4 * length, count ? code + count - 1 : -1, true);
    for (let k = 0; k < count; k++, i++, code++) {
      if (length > LOOK_BITS) continue;
      const from = code << (LOOK_BITS - length);
      look.fill((symbols[i]! << 8) | length, from, from + (1 << (LOOK_BITS - length)));
    }
    code <<= 1;
  }
  return true;
}
