const CLOSED = 1 << 30;
const LOOK_MS = 20;

/** Wraps each call that leaves JavaScript: a run of a net, the decoding of a picture by libvips. */
export type Within = <T>(call: () => Promise<T>) => Promise<T>;

/**
 * Tells a thread and its owner whether native code is at work in it. A thread that is terminated meanwhile takes the
 * whole process with it: the native code comes back, may not touch JavaScript any more, and its `Napi::Error` is caught
 * by nobody. Both sides look at one number: how many calls are under way, and whether new ones may begin.
 */
export class NativeGate {
  private readonly state: Int32Array;

  constructor(readonly memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.state = new Int32Array(memory);
  }

  readonly within: Within = async (call) => {
    if (Atomics.add(this.state, 0, 1) >= CLOSED) {
      Atomics.sub(this.state, 0, 1);
      throw new Error('the thread is about to end');
    }
    try {
      return await call();
    } finally {
      Atomics.sub(this.state, 0, 1);
    }
  };

  /** No native call begins from here on. */
  close(): void {
    Atomics.or(this.state, 0, CLOSED);
  }

  get isIdle(): boolean {
    return (Atomics.load(this.state, 0) & ~CLOSED) === 0;
  }

  /** Whether all calls have ended, after at most so long. */
  async untilIdle(timeoutMs = Infinity): Promise<boolean> {
    for (const until = performance.now() + timeoutMs; !this.isIdle;) {
      if (performance.now() > until) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return true;
  }
}
