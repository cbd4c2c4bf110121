import { KERNELS } from './kernels.wasm.js';

/** Where a picture lies, where its crop goes, and the part of the crop to make. */
type Place = [source: number, width: number, height: number, target: number, outWidth: number, x0: number, y0: number, x1: number, y1: number]; // prettier-ignore
type Map = [a: number, b: number, tx: number, c: number, d: number, ty: number];

/** What kernels/picture.ts exports. Addresses and distances are bytes. */
interface Kernels {
  memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  halve(source: number, sourceWidth: number, target: number, targetWidth: number, x0: number, y0: number, x1: number, y1: number): void; // prettier-ignore
  warpColour(...args: [...Place, ...Map, scale: number, offR: number, offG: number, offB: number, step: number, atR: number, atG: number, atB: number]): void; // prettier-ignore
  warpGrey(...args: [...Place, ...Map, scale: number, off: number, lumaR: number, lumaG: number, lumaB: number]): void;
}

/** The types of Node 20 do not name it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: object };
};

const PAGE_BYTES = 65_536;
export const FLOAT_BYTES = 4;

/** One instance a thread; its memory holds one pyramid, see `Pyramid`. */
export const kernels = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(KERNELS, 'base64')))
  .exports as Kernels;

/** Makes the memory so large at least. All views of it that were made before are empty afterwards. */
export function reserve(bytes: number): void {
  const missing = bytes - kernels.memory.buffer.byteLength;
  if (missing > 0) kernels.memory.grow(Math.ceil(missing / PAGE_BYTES));
}

export const bytesAt = (at: number, length: number): Uint8Array => new Uint8Array(kernels.memory.buffer, at, length);

/** The next address that vectors like. */
export const aligned = (at: number): number => (at + 15) & ~15;
