import type { MessagePort } from 'node:worker_threads';
import type { FaceModels, FaceNets } from '../pipeline/nets.js';
import type { Picture } from '../pipeline/picture.js';
import { decode, type Decoder } from './decode.js';
import { forgetPicture } from './jpeg.js';

/** The nets that run on samples of a step: nothing waits for them before its end, so another thread can run them. */
type Sampled = 'embed' | 'live';

interface Run {
  net: Sampled;
  /** Which recogniser. */
  which: number;
  input: Float32Array<ArrayBuffer>;
}
interface Decoding {
  net: 'decode';
  bytes: Uint8Array<ArrayBuffer>;
  /** For the pixels. */
  memory: Uint8Array<ArrayBuffer>;
}
interface Question {
  id: number;
  asked: Run | Decoding;
}
type Output = Float32Array | number | { picture: Picture | null };
/** `output` is null when it failed. */
interface Answer {
  id: number;
  output: Output | null;
}
/** The helper has a task of its own: it answers what it was asked, and wants to be asked nothing more. */
interface Leaving {
  leaving: true;
}

/** So many pictures may wait: a helper is busy with a net for the time of two or three frames. */
const HELPED_AHEAD = 4;

/** The own nets of a thread; those of samples run on a helper while there is one, which also decodes. */
export class AssistedNets implements FaceModels, Decoder {
  private helper: MessagePort | null = null;
  private readonly waiting = new Map<number, (output: Output | null) => void>();
  private nextId = 0;
  private cancelled = false;

  readonly detect: FaceNets['detect'];
  readonly mesh: FaceNets['mesh'];
  readonly happy: FaceNets['happy'];
  readonly eyeClosed: FaceNets['eyeClosed'];

  readonly recognisers: FaceModels['recognisers'];

  constructor(private readonly own: FaceModels) {
    this.recognisers = own.recognisers;
    this.detect = this.unlessCancelled((input) => own.detect(input));
    this.mesh = this.unlessCancelled((input) => own.mesh(input));
    this.happy = this.unlessCancelled((input) => own.happy(input));
    this.eyeClosed = this.unlessCancelled((input) => own.eyeClosed(input));
  }

  /** No net runs any more for the task in work: it fails at its next one, and overwrites what it has on its way out. */
  cancel(): void {
    this.cancelled = true;
  }

  /** Runs one task with a helper, or with none. */
  async with<T>(helper: MessagePort | null, task: () => Promise<T>): Promise<T> {
    this.cancelled = false;
    this.helper = helper;
    helper?.on('message', (said: Answer | Leaving) => {
      if ('leaving' in said) this.helper = null;
      else this.settle(said.id, said.output);
    });
    // The other thread ended: what it was asked will not be answered, and it is asked nothing more.
    helper?.on('close', () => {
      if (this.helper === helper) this.helper = null;
      [...this.waiting.keys()].forEach((id) => this.settle(id, null));
    });
    try {
      return await task();
    } finally {
      this.helper = null;
      helper?.close();
    }
  }

  async embed(input: Float32Array, which = 0): Promise<Float32Array> {
    const output = await this.sampled('embed', input, which);
    if (!(output instanceof Float32Array)) throw new Error('a net failed on the helping thread');
    return output;
  }

  async live(input: Float32Array): Promise<number> {
    const output = await this.sampled('live', input);
    if (typeof output !== 'number') throw new Error('a net failed on the helping thread');
    return output;
  }

  get ahead(): number {
    return this.helper ? HELPED_AHEAD : 1;
  }

  async decode(bytes: Uint8Array, memory: Uint8Array<ArrayBuffer>): Promise<Picture | null> {
    if (!this.helper) return decode(bytes, memory);
    // Its part of the body is copied out, which is little; the memory is moved there, and back with the picture.
    const copy = new Uint8Array(bytes);
    const output = await this.ask(this.helper, { net: 'decode', bytes: copy, memory }, [copy.buffer, memory.buffer]);
    if (output === null || typeof output !== 'object' || !('picture' in output))
      throw new Error('a picture was not decoded on the helping thread');
    return output.picture;
  }

  private unlessCancelled<T>(run: (input: Float32Array) => Promise<T>): (input: Float32Array) => Promise<T> {
    return (input) => (this.cancelled ? Promise.reject(new Error('the task was given up')) : run(input));
  }

  private sampled(net: Sampled, input: Float32Array, which = 0): Promise<Output | null> {
    if (this.cancelled) return Promise.reject(new Error('the task was given up'));
    // Tensors of samples are whole buffers of their own, see `FaceNets`.
    const run: Run = { net, which, input: input as Run['input'] };
    return this.helper ? this.ask(this.helper, run, [run.input.buffer]) : runNet(this.own, run);
  }

  private ask(helper: MessagePort, asked: Question['asked'], moved: ArrayBuffer[]): Promise<Output | null> {
    const id = this.nextId++;
    helper.postMessage({ id, asked } satisfies Question, moved);
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }

  private settle(id: number, output: Output | null): void {
    this.waiting.get(id)?.(output);
    this.waiting.delete(id);
  }
}

/**
 * The helping side, until the one helped is through.
 *
 * @returns to be called when this thread gets a task: somebody's long step must not slow down another's.
 */
export function assist(nets: FaceNets, port: MessagePort): () => void {
  port.on('message', ({ id, asked }: Question) => {
    const say = (output: Output | null, moved: ArrayBuffer[] = []): void =>
      port.postMessage({ id, output } satisfies Answer, moved);
    const failed = (): void => say(null);
    if (asked.net !== 'decode') {
      const ran = runNet(nets, asked).finally(() => asked.input.fill(0));
      return void ran.then((output) => say(output), failed);
    }
    decodeAndWipe(asked).then((picture) => say({ picture }, picture ? [picture.data.buffer] : []), failed);
  });
  port.on('close', forgetPicture);
  return () => port.postMessage({ leaving: true } satisfies Leaving);
}

const runNet = (nets: FaceNets, { net, which, input }: Run): Promise<Float32Array | number> =>
  net === 'embed' ? nets.embed(input, which) : nets.live(input);

/** In memory that can be moved, as that of libvips cannot. */
async function decodeAndWipe({
  bytes,
  memory,
}: Decoding): Promise<(Picture & { data: Uint8Array<ArrayBuffer> }) | null> {
  const picture = await decode(bytes, memory);
  bytes.fill(0);
  if (!picture) return null;
  const { data, width, height } = picture;
  if (data.buffer === memory.buffer) return { data: memory.subarray(0, data.length), width, height };
  const copy = new Uint8Array(data);
  data.fill(0);
  return { data: copy, width, height };
}
