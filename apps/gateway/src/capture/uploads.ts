import { Inject, Injectable } from '@nestjs/common';
import { CAPTURE_LIMITS } from '#contracts';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { Problem } from '../http/problem.js';

/** A body is held as it came and, while it is handed over, as its sealed copy. */
const COPIES = 2;
/** A step's window is short: whoever finds the memory taken should ask again soon. */
const RETRY_AFTER_SECONDS = 1;

/**
 * One body of a step on its way in, or waiting for its turn. `isWhole` tells whether all of it has reached this process:
 * from then on it is no longer ended by a later one.
 */
export class Upload {
  readonly settled: Promise<void>;
  private settle!: () => void;
  private refusal: Problem | null = null;
  private onEnded: ((problem: Problem) => void) | null = null;
  private heldBytes = 0;

  constructor(
    /** The body before this one that had arrived whole, until it is settled; null: nothing to wait for. */
    readonly turn: Promise<void> | null,
    private readonly isWhole: () => boolean,
    private readonly budget: Budget,
  ) {
    this.settled = new Promise((resolve) => (this.settle = resolve));
  }

  /** Called at most once, when a later upload ends this one; at once if that has happened already. */
  whenEnded(onEnded: (problem: Problem) => void): void {
    if (this.refusal) onEnded(this.refusal);
    else this.onEnded = onEnded;
  }

  /** False: it has arrived whole, and the later one must wait for it. */
  end(): boolean {
    if (this.isWhole()) return false;
    this.refusal = new Problem('upload_replaced');
    this.onEnded?.(this.refusal);
    return true;
  }

  /** Takes memory for a body of so many bytes; what was not announced may be as long as a body may be. Throws `busy`. */
  hold(announcedBytes: number | null): void {
    if (this.refusal) throw this.refusal;
    const bytes = announcedBytes ?? CAPTURE_LIMITS.bytesMax;
    if (bytes > CAPTURE_LIMITS.bytesMax) throw new Problem('payload_too_large');
    if (!this.budget.take(COPIES * bytes)) throw new Problem('busy', { retryAfterSeconds: RETRY_AFTER_SECONDS });
    this.heldBytes = COPIES * bytes;
  }

  /** Whatever became of it: its memory is free, and who waits for it goes on. */
  done(): void {
    this.budget.giveBack(this.heldBytes);
    this.heldBytes = 0;
    this.settle();
  }
}

/** How much of bodies this process holds at most, bytes. */
class Budget {
  private taken = 0;
  constructor(private readonly max: number) {}

  take(bytes: number): boolean {
    if (this.taken + bytes > this.max) return false;
    this.taken += bytes;
    return true;
  }
  giveBack(bytes: number): void {
    this.taken -= bytes;
  }
}

/** The uploads of this process: one in flight a session, and all of them within UPLOAD_BYTES_MAX. */
@Injectable()
export class Uploads {
  private readonly newest = new Map<string, Upload>();
  private readonly budget: Budget;

  constructor(@Inject(GATEWAY_CONFIG) config: Pick<GatewayConfig, 'UPLOAD_BYTES_MAX'>) {
    this.budget = new Budget(config.UPLOAD_BYTES_MAX);
  }

  /** Ends the session's upload before this one unless that has arrived whole; then this one waits for it. */
  async during<T>(sessionId: string, isWhole: () => boolean, work: (upload: Upload) => Promise<T>): Promise<T> {
    const before = this.newest.get(sessionId);
    const turn = !before ? null : before.end() ? before.turn : before.settled;
    const upload = new Upload(turn, isWhole, this.budget);
    this.newest.set(sessionId, upload);
    try {
      return await work(upload);
    } finally {
      upload.done();
      if (this.newest.get(sessionId) === upload) this.newest.delete(sessionId);
    }
  }
}
