import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import type { StepVerdict } from '#contracts';

/** What the process is asked: the body of a step. */
export interface JudgeOrder {
  body: Uint8Array;
}
/** `ready` once, after every model ran; then an answer a body. `rssPeakBytes` of the process up to now. */
export type JudgeMessage =
  | { kind: 'ready'; modelDigest: string; rssPeakBytes: number }
  | { kind: 'judged'; verdict: StepVerdict; rssPeakBytes: number }
  | { kind: 'failed'; error: string };

/** The process ended before it answered. */
export class JudgeLostError extends Error {
  override name = 'JudgeLostError';
}

/**
 * The worker's step analysis in a process of its own, so that what it makes of a picture can be watched from outside:
 * how much memory it ever held, and whether it ended.
 */
export class Judge {
  modelDigest = '';
  rssPeakBytes = 0;

  private constructor(private readonly child: ChildProcess) {}

  static async start(manifestPath: string): Promise<Judge> {
    const child = fork(path.join(__dirname, 'judge-main.js'), [manifestPath], {
      serialization: 'advanced',
      // Threads of libvips and of Node would each keep freed memory to themselves.
      env: { PATH: process.env.PATH, MALLOC_ARENA_MAX: '2' },
      execArgv: ['--max-semi-space-size=2'],
    });
    const judge = new Judge(child);
    const first = await judge.answer();
    if (first.kind !== 'ready') throw new Error(first.kind === 'failed' ? first.error : 'not ready');
    judge.modelDigest = first.modelDigest;
    return judge;
  }

  /** Throws JudgeLostError when the process ended over it. */
  async verdict(body: Uint8Array): Promise<StepVerdict> {
    const answer = this.answer();
    this.child.send({ body } satisfies JudgeOrder);
    const message = await answer;
    if (message.kind !== 'judged') throw new JudgeLostError(message.kind);
    return message.verdict;
  }

  stop(): void {
    this.child.kill('SIGKILL');
  }

  private answer(): Promise<JudgeMessage> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null, signal: string | null): void =>
        reject(new JudgeLostError(`the process that judges ended (${signal ?? code})`));
      this.child.once('exit', ended);
      this.child.once('message', (message: JudgeMessage) => {
        this.child.off('exit', ended);
        if (message.kind !== 'failed') this.rssPeakBytes = Math.max(this.rssPeakBytes, message.rssPeakBytes);
        resolve(message);
      });
    });
  }
}
