import { z } from 'zod';
import { CAPTURE_LIMITS, type ErrorCode, frameTimes, frameTimeSchema } from '#contracts';
import { FRAME_SAMPLES_MAX, readImageHeader, stepSamplesMax } from './image-header.js';

/** One frame of a step, still encoded. `tMs` counts from the step's first frame, by the client's clock (`frameTimes`). */
export interface Frame {
  tMs: number;
  bytes: Buffer;
}

/** The body of one step, read and found to be in order as far as container headers show. */
export interface FramesContainer {
  /** All of it, as it came: its digest names the step's input. */
  body: Buffer;
  frames: Frame[];
  spanMs: number;
}

export type ContainerRefusal = Extract<
  ErrorCode,
  | 'invalid_request'
  | 'frame_times_unusable'
  | 'too_many_frames'
  | 'payload_too_large'
  | 'image_too_large'
  | 'unsupported_image'
>;

export type ContainerOutcome = { kind: 'ok'; container: FramesContainer } | { kind: 'refused'; code: ContainerRefusal };

const HEADER_BYTES_MAX = 64 * 1024;
const SPAN_MS_MAX = 60_000;
/** A camera's clock and its frames' jitter: a tenth above what is asked for, and two frames. */
const FPS_PLAUSIBLE = 1.1 * CAPTURE_LIMITS.fpsMax;
const FRAMES_SLACK = 2;

const headerSchema = z.strictObject({
  frames: z.array(z.strictObject({ tMs: frameTimeSchema, bytes: z.int().min(1) })).min(1),
  device: z.strictObject({ model: z.string().max(120).optional() }).optional(),
});
type Header = Pick<z.infer<typeof headerSchema>, 'frames'>;

/**
 * Reads the body of one step as it arrives: u32 big-endian length of the header, JSON header, then the frames one after
 * the other. Looks at container headers only; every byte must be accounted for. Says no with the first byte that
 * settles it: four megabytes of what cannot be taken are neither kept nor waited for.
 */
export class FramesReader {
  private readonly body: Buffer;
  private filled = 0;
  private header: Header | null = null;
  private readonly frames: Frame[] = [];
  /** Of the frames so far: what decoding them costs. */
  private samples = 0;
  /** Where the next frame begins. */
  private at = 0;

  /** @param length of the whole body; null if it was not announced. Memory is taken for all of it, touched as it fills. */
  constructor(private readonly length: number | null) {
    const size = length ?? CAPTURE_LIMITS.bytesMax;
    this.body = Buffer.allocUnsafeSlow(size > CAPTURE_LIMITS.bytesMax ? 0 : size);
  }

  /** The next bytes; a refusal is final, and nothing may be pushed after it. */
  push(chunk: Buffer): ContainerRefusal | null {
    if (this.filled + chunk.length > this.body.length) return 'payload_too_large';
    this.filled += chunk.copy(this.body, this.filled);
    return this.look();
  }

  /** After the last byte. */
  end(): ContainerOutcome {
    const last = this.frames.at(-1);
    const complete = last !== undefined && this.frames.length === this.header?.frames.length && this.at === this.filled;
    if (!complete) return { kind: 'refused', code: 'invalid_request' };
    const spanMs = last.tMs - (this.frames[0]?.tMs ?? 0);
    return { kind: 'ok', container: { body: this.body.subarray(0, this.filled), frames: this.frames, spanMs } };
  }

  private look(): ContainerRefusal | null {
    if (!this.header) {
      const header = this.readHeader();
      if (typeof header === 'string') return header;
      if (!header) return null;
      this.header = header;
    }
    let next = this.header.frames[this.frames.length];
    while (next && this.at + next.bytes <= this.filled) {
      const bytes = this.body.subarray(this.at, this.at + next.bytes);
      const image = readImageHeader(bytes);
      if (!image) return 'unsupported_image';
      if (image.width * image.height > CAPTURE_LIMITS.framePixelsMax) return 'image_too_large';
      if (image.samples > FRAME_SAMPLES_MAX) return 'unsupported_image';
      this.samples += image.samples;
      if (this.samples > stepSamplesMax(this.header.frames.length)) return 'image_too_large';
      this.frames.push({ tMs: next.tMs, bytes });
      this.at += bytes.length;
      next = this.header.frames[this.frames.length];
    }
    return null;
  }

  /** Null while it is not all there. */
  private readHeader(): Header | ContainerRefusal | null {
    if (this.filled < 4) return null;
    const length = this.body.readUInt32BE(0);
    if (length > HEADER_BYTES_MAX) return 'invalid_request';
    this.at = 4 + length;
    if (this.at > this.filled) return null;
    const header = headerOf(this.body.toString('utf8', 4, this.at));
    return header === null ? 'invalid_request' : (this.refusalOf(header) ?? withTimes(header));
  }

  private refusalOf({ frames }: Header): ContainerRefusal | null {
    // Whether it is a user with extra time, the caller knows.
    if (frames.length > CAPTURE_LIMITS.framesMaxExtraTime) return 'too_many_frames';
    if (frames.some(({ bytes }) => bytes > CAPTURE_LIMITS.frameBytesMax)) return 'image_too_large';
    const total = frames.reduce((sum, { bytes }) => sum + bytes, this.at);
    return this.length !== null && total !== this.length ? 'invalid_request' : null;
  }
}

/** A client's clock is a hint: what it says is put in order, or refused under a code of its own. */
function withTimes({ frames }: Header): Header | ContainerRefusal {
  const times = frameTimes(frames.map(({ tMs }) => tMs));
  const spanMs = times?.at(-1) ?? 0;
  const tooMany = frames.length - 1 > (spanMs / 1000) * FPS_PLAUSIBLE + FRAMES_SLACK;
  if (times === null || spanMs > SPAN_MS_MAX || tooMany) return 'frame_times_unusable';
  return { frames: frames.map(({ bytes }, i) => ({ tMs: times[i] ?? 0, bytes })) };
}

/** A body that is all there. */
export function readFramesContainer(body: Buffer): ContainerOutcome {
  const reader = new FramesReader(body.length);
  const code = reader.push(body);
  return code === null ? reader.end() : { kind: 'refused', code };
}

function headerOf(text: string): Header | null {
  try {
    const parsed = headerSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
