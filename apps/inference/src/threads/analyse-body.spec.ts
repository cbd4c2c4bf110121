import { encodeStep } from '#testing';
import { type DecodedFrame, type StepAnalysis, StepAnalyser } from '../pipeline/analyse.js';
import type { FaceModels } from '../pipeline/nets.js';
import type { Picture } from '../pipeline/picture.js';
import { analyseBody } from './analyse-body.js';

const [WIDTH, HEIGHT] = [4, 4];
const PIXELS = WIDTH * HEIGHT * 3;
const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
const body = (frames: number): Buffer =>
  encodeStep(Array.from({ length: frames }, (_, i) => ({ tMs: 40 * i, jpeg: Buffer.from([0xff, 0xd8, i]) })));

/** Looks at the pictures and finds nothing in them; or fails at one of them. */
class Looking extends StepAnalyser {
  readonly seen: Uint8Array[] = [];
  constructor(private readonly failsAt = Infinity) {
    super({ recognisers: [] } as unknown as FaceModels);
  }

  override async run(frames: AsyncIterable<DecodedFrame>): Promise<StepAnalysis> {
    const track: StepAnalysis['track'] = { width: WIDTH, height: HEIGHT, unreadable: 0, frames: [] };
    for await (const { tMs, picture } of frames) {
      if (!picture) track.unreadable++;
      else this.seen.push(Uint8Array.from(picture.data));
      if (track.frames.length === this.failsAt) throw new Error('a net failed');
      track.frames.push({ tMs, face: null });
    }
    return { track, embeddings: [], unlike: [], antispoof: [] };
  }
}

describe('the pictures of a step', () => {
  const memories = new Set<Uint8Array>();
  /** As libvips gives them. */
  const foreign: Buffer[] = [];
  let decoded = 0;
  const decode = (_: Uint8Array, memory: Uint8Array<ArrayBuffer>): Promise<Picture | null> => {
    memories.add(memory);
    const i = ++decoded;
    const data = i % 3 ? memory.subarray(0, PIXELS) : Buffer.alloc(PIXELS);
    if (Buffer.isBuffer(data)) foreign.push(data);
    data.fill(i);
    return Promise.resolve(i % 4 ? { data, width: WIDTH, height: HEIGHT } : null);
  };

  it.each([
    ['looked at', Infinity, 11],
    ['not looked at, as the analysis fails', 2, 4],
  ])('%s are overwritten when it is through, and so is its body', async (_what, failsAt, ahead) => {
    decoded = 0;
    foreign.splice(0);
    const analyser = new Looking(failsAt);
    const bytes = body(11);
    const work = analyseBody(analyser, bytes, 'blink', undefined, { decode, ahead: Math.min(ahead, 4) });
    if (failsAt === Infinity) await expect(work).resolves.toMatchObject({ frames: 11 });
    else await expect(work).rejects.toThrow('a net failed');
    expect(isZero(bytes)).toBe(true);
    expect(analyser.seen.every((data) => data.every((v) => v > 0 && v === data[0]))).toBe(true);
    expect(analyser.seen.length).toBeGreaterThan(1);
    expect([...memories].every(isZero)).toBe(true);
    expect(foreign.length).toBeGreaterThan(0);
    // Those that decoding gave up hold nothing that was handed out.
    expect(foreign.filter((data) => data[0]! % 4).every(isZero)).toBe(true);
  });

  it('lie in the same memory from step to step', async () => {
    const before = memories.size;
    await analyseBody(new Looking(), body(11), 'blink', undefined, { decode, ahead: 4 });
    expect(memories.size).toBe(before);
  });
});
