import { CAPTURE_LIMITS, frameTimes, frameTimeSchema } from '#contracts';
import { z } from 'zod';

/** One encoded frame of a step: the time since the step's first frame and a view of its bytes. */
export interface EncodedFrame {
  tMs: number;
  bytes: Uint8Array;
}

/** A body that does not hold what its header says. The gateway checks first, so this is rare. */
export class FramesError extends Error {
  constructor(why: string) {
    super(`body of a step: ${why}`);
    this.name = 'FramesError';
  }
}

const HEADER_BYTES_MAX = 64 * 1024;

const headerSchema = z.object({
  frames: z
    .array(z.object({ tMs: frameTimeSchema, bytes: z.int().min(1).max(CAPTURE_LIMITS.frameBytesMax) }))
    .min(1)
    .max(CAPTURE_LIMITS.framesMaxExtraTime),
});

/** Without the frames that repeat an earlier one byte for byte, as a camera never does: they would only stretch a step. */
export function withoutRepeats(frames: readonly EncodedFrame[]): EncodedFrame[] {
  const byLength = new Map<number, Uint8Array[]>();
  return frames.filter(({ bytes }) => {
    const alike = byLength.get(bytes.length) ?? [];
    byLength.set(bytes.length, alike);
    if (alike.some((other) => Buffer.compare(other, bytes) === 0)) return false;
    alike.push(bytes);
    return true;
  });
}

/**
 * Wire format: u32 big-endian header length, JSON header `{"frames":[{"tMs","bytes"}],…}`, then the pictures one after
 * the other. The times are what `frameTimes` makes of them. The frames are views of the body, nothing is copied. Throws FramesError.
 */
export function parseFrames(body: Uint8Array): EncodedFrame[] {
  if (body.length < 4) throw new FramesError('too short');
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const headerLength = view.getUint32(0);
  if (headerLength > HEADER_BYTES_MAX || 4 + headerLength > body.length) throw new FramesError('header length');
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body.buffer, body.byteOffset + 4, headerLength).toString('utf8'));
  } catch {
    throw new FramesError('header is not JSON');
  }
  const header = headerSchema.safeParse(json);
  if (!header.success) throw new FramesError('header fields');
  let at = 4 + headerLength;
  const times = frameTimes(header.data.frames.map((f) => f.tMs));
  if (times === null) throw new FramesError('times do not rise');
  const frames = header.data.frames.map((f, i) => {
    const bytes = body.subarray(at, at + f.bytes);
    at += f.bytes;
    return { tMs: times[i] ?? 0, bytes };
  });
  if (at !== body.length) throw new FramesError('length');
  return frames;
}
