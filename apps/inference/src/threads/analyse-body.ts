import type { Action } from '#contracts';
import { type DecodedFrame, samplesOf, type StepAnalyser } from '../pipeline/analyse.js';
import { type EncodedFrame, FramesError, parseFrames, withoutRepeats } from '../pipeline/frames.js';
import { judgeStep } from '../pipeline/judge-step.js';
import type { Picture } from '../pipeline/picture.js';
import { decode, DECODED_BYTES_MAX, type Decoder } from './decode.js';
import { forgetPicture } from './jpeg.js';
import type { StepOutcome } from './protocol.js';

/** A step's body → its verdict and samples. The body is overwritten, whatever happens. */
export async function analyseBody(
  analyser: StepAnalyser,
  body: Uint8Array,
  action: Action,
  onePersonCosine?: number,
  decoder: Decoder = OWN,
): Promise<StepOutcome> {
  try {
    const frames = withoutRepeats(parseFrames(body));
    const start = frames[0]?.tMs ?? 0;
    const analysis = await analyser.run(decodeAhead(frames, start, decoder), (frames.at(-1)?.tMs ?? 0) - start);
    return {
      verdict: judgeStep(analysis.track, samplesOf(analysis), action, onePersonCosine),
      embeddings: analysis.embeddings,
      antispoof: analysis.antispoof,
      frames: frames.length,
    };
  } catch (error) {
    if (!(error instanceof FramesError)) throw error;
    return { verdict: { kind: 'quality', code: 'unreadable' }, embeddings: [], antispoof: [], frames: 0 };
  } finally {
    body.fill(0);
    forgetPicture();
  }
}

const OWN: Decoder = { decode, ahead: 1 };
/**
 * Memory for pictures: the next one is written over the last, and all of it is overwritten when the step is through. Used
 * again, or each frame would leave a megabyte to the garbage collector. A thread has one task at a time.
 */
const spare: Uint8Array<ArrayBuffer>[] = [];

/** What was moved to a helper is empty here; the picture that came back lies in it. Memory of libvips is its own. */
function keep(memory: Uint8Array<ArrayBuffer>, picture: Picture | null): void {
  const buffer = picture && !Buffer.isBuffer(picture.data) ? picture.data.buffer : null;
  const isOurs = buffer instanceof ArrayBuffer && buffer.byteLength === DECODED_BYTES_MAX;
  if (!isOurs) picture?.data.fill(0);
  if (memory.byteLength > 0) spare.push(memory);
  else if (isOurs) spare.push(new Uint8Array(buffer));
}

/** The next frames are decoded while this one is looked at, where another thread does it: of libvips, or a helper. */
async function* decodeAhead(
  frames: readonly EncodedFrame[],
  startMs: number,
  decoder: Decoder,
): AsyncGenerator<DecodedFrame> {
  const begun: { picture: Promise<Picture | null>; memory: Uint8Array<ArrayBuffer> }[] = [];
  let next = 0;
  try {
    for (const { tMs } of frames) {
      for (; begun.length <= decoder.ahead && next < frames.length; next++) {
        const memory = spare.pop() ?? new Uint8Array(DECODED_BYTES_MAX);
        const picture = decoder.decode(frames[next]!.bytes, memory);
        // Thrown where it is waited for.
        picture.catch(() => undefined);
        begun.push({ picture, memory });
      }
      yield { tMs: tMs - startMs, picture: await begun[0]!.picture };
      const { picture, memory } = begun.shift()!;
      keep(memory, await picture);
    }
  } finally {
    // Also when the analysis fails: a thread must not end under libvips, and no picture is left behind.
    for (const { picture, memory } of begun) keep(memory, await picture.catch(() => null));
    for (const memory of spare) memory.fill(0);
  }
}
