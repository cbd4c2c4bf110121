import type { MessagePort } from 'node:worker_threads';
import type { FaceModels, FaceNets } from '../pipeline/nets.js';

/** The nets that run on samples of a step: nothing waits for them before its end, so another thread can run them. */
type Sampled = 'embed' | 'live';

interface Question {
  id: number;
  net: Sampled;
  /** Which recogniser. */
  which: number;
  input: Float32Array<ArrayBuffer>;
}
/** `output` is null when the net failed. */
interface Answer {
  id: number;
  output: Float32Array | number | null;
}

/** The own nets of a thread; those of samples run on a helper while there is one. */
export class AssistedNets implements FaceModels {
  private helper: MessagePort | null = null;
  private readonly waiting = new Map<number, (answer: Answer['output']) => void>();
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
    helper?.on('message', ({ id, output }: Answer) => this.settle(id, output));
    // The other thread ended: what it was asked will not be answered.
    helper?.on('close', () => [...this.waiting.keys()].forEach((id) => this.settle(id, null)));
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

  private unlessCancelled<T>(run: (input: Float32Array) => Promise<T>): (input: Float32Array) => Promise<T> {
    return (input) => (this.cancelled ? Promise.reject(new Error('the task was given up')) : run(input));
  }

  private sampled(net: Sampled, input: Float32Array, which = 0): Promise<Answer['output']> {
    if (this.cancelled) return Promise.reject(new Error('the task was given up'));
    if (!this.helper) return runAndWipe(this.own, net, input, which);
    const id = this.nextId++;
    // Tensors of samples are whole buffers of their own, see `FaceNets`.
    const question: Question = { id, net, which, input: input as Question['input'] };
    this.helper.postMessage(question, [question.input.buffer]);
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }

  private settle(id: number, output: Answer['output']): void {
    this.waiting.get(id)?.(output);
    this.waiting.delete(id);
  }
}

/** The helping side, beside whatever task this thread may get meanwhile. */
export function assist(nets: FaceNets, port: MessagePort): void {
  port.on('message', ({ id, net, which, input }: Question) => {
    const say = (output: Answer['output']): void => port.postMessage({ id, output } satisfies Answer);
    runAndWipe(nets, net, input, which).then(say, () => say(null));
  });
}

async function runAndWipe(
  nets: FaceNets,
  net: Sampled,
  input: Float32Array,
  which: number,
): Promise<Float32Array | number> {
  try {
    return await (net === 'embed' ? nets.embed(input, which) : nets.live(input));
  } finally {
    input.fill(0);
  }
}
