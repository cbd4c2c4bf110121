import { z } from 'zod';
import { CAPTURE_LIMITS, type ErrorCode } from '#contracts';
import { readImageHeader } from './image-header.js';

/** One frame of a step, still encoded. `tMs` counts from the step's first frame, by the client's clock. */
export interface Frame {
  tMs: number;
  bytes: Buffer;
}

export type ContainerOutcome =
  | { kind: 'ok'; frames: Frame[]; spanMs: number }
  | {
      kind: 'refused';
      code: Extract<
        ErrorCode,
        'invalid_request' | 'too_many_frames' | 'payload_too_large' | 'image_too_large' | 'unsupported_image'
      >;
    };

const HEADER_BYTES_MAX = 64 * 1024;
const T_MS_MAX = 60_000;
/** A camera's clock and its frames' jitter: a tenth above what is asked for, and two frames. */
const FPS_PLAUSIBLE = 1.1 * CAPTURE_LIMITS.fpsMax;
const FRAMES_SLACK = 2;
/** More entries than any capture may hold; which of the two limits holds is known to the caller. */
const FRAMES_PARSED_MAX = 10_000;

const headerSchema = z.strictObject({
  frames: z
    .array(z.strictObject({ tMs: z.number().min(0).max(T_MS_MAX), bytes: z.int().min(1) }))
    .min(1)
    .max(FRAMES_PARSED_MAX),
  device: z.strictObject({ model: z.string().max(120).optional() }).optional(),
});

/**
 * The body of one step: u32 big-endian length of the header, JSON header, then the frames one after the other. Reads
 * container headers only; every byte must be accounted for.
 *
 * @param framesMax 120, or 240 with extra time.
 */
export function parseFramesContainer(body: Buffer, framesMax: number): ContainerOutcome {
  if (body.length > CAPTURE_LIMITS.bytesMax) return refused('payload_too_large');
  const header = readHeader(body);
  if (!header) return refused('invalid_request');
  if (header.frames.length > framesMax) return refused('too_many_frames');

  const frames: Frame[] = [];
  let at = header.end;
  let before = -1;
  for (const { tMs, bytes } of header.frames) {
    if (bytes > CAPTURE_LIMITS.frameBytesMax) return refused('image_too_large');
    if (tMs <= before || at + bytes > body.length) return refused('invalid_request');
    frames.push({ tMs, bytes: body.subarray(at, at + bytes) });
    at += bytes;
    before = tMs;
  }
  if (at !== body.length) return refused('invalid_request');

  for (const frame of frames) {
    const image = readImageHeader(frame.bytes);
    if (!image) return refused('unsupported_image');
    if (image.width * image.height > CAPTURE_LIMITS.framePixelsMax) return refused('image_too_large');
  }
  const spanMs = before - (frames[0]?.tMs ?? 0);
  if (frames.length - 1 > (spanMs / 1000) * FPS_PLAUSIBLE + FRAMES_SLACK) return refused('invalid_request');
  return { kind: 'ok', frames, spanMs };
}

function readHeader(body: Buffer): (z.infer<typeof headerSchema> & { end: number }) | null {
  if (body.length < 4) return null;
  const length = body.readUInt32BE(0);
  if (length > HEADER_BYTES_MAX || 4 + length > body.length) return null;
  try {
    const parsed = headerSchema.safeParse(JSON.parse(body.toString('utf8', 4, 4 + length)));
    return parsed.success ? { ...parsed.data, end: 4 + length } : null;
  } catch {
    return null;
  }
}

const refused = (code: Extract<ContainerOutcome, { kind: 'refused' }>['code']): ContainerOutcome => ({
  kind: 'refused',
  code,
});
