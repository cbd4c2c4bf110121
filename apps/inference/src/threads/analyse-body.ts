import type { Action } from '#contracts';
import { type DecodedFrame, samplesOf, type StepAnalyser } from '../pipeline/analyse.js';
import { type EncodedFrame, FramesError, parseFrames, withoutRepeats } from '../pipeline/frames.js';
import { judgeStep } from '../pipeline/judge-step.js';
import { decode, DECODED_SIDE_MAX } from './decode.js';
import { forgetPicture } from './jpeg.js';
import type { StepOutcome } from './protocol.js';

/** A step's body → its verdict and samples. The body is overwritten, whatever happens. */
export async function analyseBody(
  analyser: StepAnalyser,
  body: Uint8Array,
  action: Action,
  onePersonCosine?: number,
): Promise<StepOutcome> {
  try {
    const frames = withoutRepeats(parseFrames(body));
    const start = frames[0]?.tMs ?? 0;
    const analysis = await analyser.run(decodeAhead(frames, start), (frames.at(-1)?.tMs ?? 0) - start);
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

const NOTHING = new Uint8Array(0);
/** One task a thread at a time: the picture that is looked at, and the next. Whoever looked at one overwrites it. */
const PICTURES = [0, 1].map(() => new Uint8Array(DECODED_SIDE_MAX * DECODED_SIDE_MAX * 3));

/** The next frame is decoded while this one is looked at, where libvips does it, on a thread of its own. */
async function* decodeAhead(frames: readonly EncodedFrame[], startMs: number): AsyncGenerator<DecodedFrame> {
  let next = decode(frames[0]!.bytes, PICTURES[0]);
  try {
    for (let i = 0; i < frames.length; i++) {
      const picture = await next;
      next = decode(frames[i + 1]?.bytes ?? NOTHING, PICTURES[(i + 1) % 2]);
      yield { tMs: frames[i]!.tMs - startMs, picture };
    }
  } finally {
    // Also when the analysis fails: a thread must not end under libvips, and no picture is left behind.
    (await next)?.data.fill(0);
  }
}
