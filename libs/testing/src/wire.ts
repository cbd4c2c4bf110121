import type { Frame } from './media.js';

/** The body of one step: u32 big-endian header length, JSON header, then the images one after the other. */
export function encodeStep(frames: Frame[], extra: Record<string, unknown> = {}): Buffer {
  const header = Buffer.from(
    JSON.stringify({ frames: frames.map(({ tMs, jpeg }) => ({ tMs, bytes: jpeg.length })), ...extra }),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  return Buffer.concat([length, header, ...frames.map(({ jpeg }) => jpeg)]);
}
