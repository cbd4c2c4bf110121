import type { Action } from '#contracts';
import { type DecodedFrame, samplesOf, type StepAnalyser } from '../pipeline/analyse.js';
import { type EncodedFrame, FramesError, parseFrames, withoutRepeats } from '../pipeline/frames.js';
import { judgeStep } from '../pipeline/judge-step.js';
import type { Picture } from '../pipeline/picture.js';
import { decode, DECODED_SIDE_MAX, type Decoder } from './decode.js';
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
/** One task a thread at a time: the picture that is looked at, and the next. Whoever looked at one overwrites it. */
const PICTURES = [0, 1].map(() => new Uint8Array(DECODED_SIDE_MAX * DECODED_SIDE_MAX * 3));

/** The next frames are decoded while this one is looked at, where another thread does it: of libvips, or a helper. */
async function* decodeAhead(
  frames: readonly EncodedFrame[],
  startMs: number,
  decoder: Decoder,
): AsyncGenerator<DecodedFrame> {
  const begun: Promise<Picture | null>[] = [];
  let next = 0;
  try {
    for (const { tMs } of frames) {
      for (; begun.length <= decoder.ahead && next < frames.length; next++) {
        const picture = decoder.decode(frames[next]!.bytes, PICTURES[next % PICTURES.length]);
        // Thrown where it is waited for.
        picture.catch(() => undefined);
        begun.push(picture);
      }
      yield { tMs: tMs - startMs, picture: await begun.shift()! };
    }
  } finally {
    // Also when the analysis fails: a thread must not end under libvips, and no picture is left behind.
    for (const end of await Promise.allSettled(begun)) if (end.status === 'fulfilled') end.value?.data.fill(0);
  }
}
