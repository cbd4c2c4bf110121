import { keepAlive } from './keep-alive.js';
import { ManagedProcess } from './process.js';

/** Real: processes and signals. */

const BACKOFF = { first: 50, max: 200, steadyAfter: 60_000 };
const SAID = /starts again in ([\d.]+) s/;

function processOf(script: string): ManagedProcess {
  return new ManagedProcess({ name: 'a-worker', command: process.execPath, args: ['-e', script], env: process.env });
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error('did not happen within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const waits = (lines: string[]): number[] => lines.flatMap((line) => SAID.exec(line)?.slice(1).map(Number) ?? []);

describe('13.1: a process that dies does not stay dead', () => {
  it('starts again after a SIGKILL, each time, and says so; not when it was ended on purpose', async () => {
    const worker = processOf('setInterval(() => {}, 1000)');
    const lines: string[] = [];
    await worker.start();
    const end = keepAlive(
      worker,
      () => worker.start(),
      (line) => lines.push(line),
      BACKOFF,
    );
    try {
      for (let i = 1; i <= 2; i++) {
        const { pid } = worker;
        process.kill(pid, 'SIGKILL');
        await until(() => worker.pid !== pid && worker.running);
        expect(waits(lines)).toHaveLength(i);
      }
      await worker.kill('SIGTERM');
      await new Promise((resolve) => setTimeout(resolve, 3 * BACKOFF.max));
      expect(worker.running).toBe(false);
      expect(waits(lines)).toHaveLength(2);
    } finally {
      end();
      await worker.kill('SIGKILL');
    }
  }, 30_000);

  it('waits longer each time for one that does not stay up, to a bound, and no more after the end', async () => {
    const worker = processOf('process.exit(3)');
    const lines: string[] = [];
    const end = keepAlive(
      worker,
      () => worker.start(),
      (line) => lines.push(line),
      BACKOFF,
    );
    await until(() => waits(lines).length >= 4);
    end();
    expect(waits(lines).slice(0, 4)).toEqual([0.05, 0.1, 0.2, 0.2]);
    const said = lines.length;
    await new Promise((resolve) => setTimeout(resolve, 3 * BACKOFF.max));
    expect(worker.running).toBe(false);
    expect(lines).toHaveLength(said);
  }, 30_000);

  it('starts over with the shortest wait once it stayed up', async () => {
    const worker = processOf('setTimeout(() => process.exit(1), 300)');
    const lines: string[] = [];
    const end = keepAlive(
      worker,
      () => worker.start(),
      (line) => lines.push(line),
      { ...BACKOFF, steadyAfter: 100 },
    );
    await until(() => waits(lines).length >= 3);
    end();
    await worker.kill('SIGKILL');
    expect(waits(lines).slice(0, 3)).toEqual([0.05, 0.05, 0.05]);
  }, 30_000);

  it('goes on when the program cannot be run for a while', async () => {
    const worker = processOf('setInterval(() => {}, 1000)');
    const lines: string[] = [];
    let fails = 2;
    const start = (): Promise<void> => (fails-- > 0 ? Promise.reject(new Error('cannot run')) : worker.start());
    await worker.start();
    const end = keepAlive(worker, start, (line) => lines.push(line), BACKOFF);
    try {
      process.kill(worker.pid, 'SIGKILL');
      await until(() => waits(lines).length === 3 && worker.running);
      expect(lines.filter((line) => line === 'cannot run')).toHaveLength(2);
    } finally {
      end();
      await worker.kill('SIGKILL');
    }
  }, 30_000);
});
