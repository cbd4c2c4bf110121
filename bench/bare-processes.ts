import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import type { BareAnswer, BareOptions, BareTask } from './bare.js';
import { bound } from './machine.js';

/** One bare loop in a process of its own, on one core. */
export class BareProcess {
  private readonly ended: Promise<never>;

  private constructor(private readonly child: ChildProcess) {
    this.ended = once(child, 'exit').then(() => {
      throw new Error('a bare loop ended; its reason stands above');
    });
    // Whoever waits for an answer is told; nobody does when it ends because we hung up.
    this.ended.catch(() => undefined);
  }

  static async start(core: number | null, options: BareOptions): Promise<BareProcess> {
    const program = path.join(repositoryRoot(), 'dist/bench/bare.js');
    const [command, args] = bound(core === null ? null : [core], process.execPath, [program, JSON.stringify(options)]);
    const started = new BareProcess(spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
    await started.answer();
    return started;
  }

  async run(task: BareTask): Promise<Extract<BareAnswer, { kind: 'done' }>> {
    this.child.send(task);
    const answer = await this.answer();
    if (answer.kind !== 'done') throw new Error('a bare loop answered out of turn');
    return answer;
  }

  /** It ends when we hang up. */
  stop(): void {
    if (this.child.connected) this.child.disconnect();
  }

  private async answer(): Promise<BareAnswer> {
    const message = new Promise<BareAnswer>((resolve) => this.child.once('message', resolve));
    return Promise.race([message, this.ended]);
  }
}

/** Frames a second of several processes that begin together, by the one that is done last. */
export async function framesPerSecond(processes: readonly BareProcess[], task: BareTask): Promise<number> {
  const from = performance.now();
  const answers = await Promise.all(processes.map((p) => p.run(task)));
  return (1000 * answers.reduce((sum, { frames }) => sum + frames, 0)) / (performance.now() - from);
}
