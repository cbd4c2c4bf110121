import { CAPTURE_LIMITS } from '#contracts';
import { encodeStep } from '#testing';

const FRAMES = 10;
export const STILL_FRAME_MS = 50;
/** A still becomes a step of so many milliseconds. */
export const STILL_STEP_MS = (FRAMES - 1) * STILL_FRAME_MS;
const HEADER_BYTES = 1_024;

/**
 * The body of a step that shows one picture again and again, or as often as a body may hold it. A camera never sends the
 * same bytes twice, and the product counts them once, so a number is put behind each: decoders stop before it.
 *
 * @param first the first of these numbers; bodies of one attempt must not share any.
 */
export function stillStep(picture: Uint8Array, first = 0): Buffer {
  const size = picture.length + 4;
  const fit = Math.floor((CAPTURE_LIMITS.bytesMax - HEADER_BYTES) / size);
  const frames = Array.from({ length: Math.max(1, Math.min(FRAMES, fit)) }, (_, i) => {
    const mark = Buffer.alloc(4);
    mark.writeUInt32BE(first + i);
    // What is as large as it may be stays so; nothing else is refused for the number behind it.
    const bytes = size > CAPTURE_LIMITS.frameBytesMax || picture.length === 0 ? [picture] : [picture, mark];
    return { tMs: i * STILL_FRAME_MS, jpeg: Buffer.concat(bytes) };
  });
  return encodeStep(frames);
}
