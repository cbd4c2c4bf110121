import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RetryableError } from '#queue';
import type { ModelBytes } from '../model/onnx.js';
import { ThreadPool } from './pool.js';

/** A real thread with another program: the body's first byte says what happens. The models are tested elsewhere. */
const PROGRAM = `
const { parentPort } = require('node:worker_threads');
parentPort.on('message', ({ kind, id, body }) => {
  if (kind === 'assist') return;
  if (kind === 'stop') process.exit(0);
  if (kind === 'cancel') return parentPort.postMessage({ kind: 'failed', id, error: 'given up' });
  if (body[0] === 1) process.exit(1);
  if (body[0] === 2) for (;;);
  if (body[0] === 3) throw new Error('canary');
  if (body[0] === 5) return;
  if (body[0] === 4) return parentPort.postMessage({ kind: 'failed', id, error: 'TypeError' });
  parentPort.postMessage({ kind: 'done', id, outcome: { verdict: { kind: 'done' }, embeddings: [], antispoof: [], frames: body.length } });
});
if (process.env.TEMPLATE_KEK) throw new Error('secrets here');
parentPort.postMessage({ kind: 'ready' });
`;

describe('thread pool', () => {
  let folder: string;
  let pool: ThreadPool;
  const start = async (threads: number, program = PROGRAM): Promise<ThreadPool> => {
    const file = path.join(folder, 'thread.cjs');
    await writeFile(file, program);
    pool = new ThreadPool({ threads, models: {} as ModelBytes, taskMs: 500, file });
    await pool.start();
    return pool;
  };
  const run = (first: number) => pool.analyse(Uint8Array.from([first, 0, 0]), 'blink');
  const untilReady = async (): Promise<void> => {
    while (!pool.ready) await new Promise((resolve) => setTimeout(resolve, 20));
  };

  beforeEach(async () => {
    process.env.TEMPLATE_KEK = 'canary';
    folder = await mkdtemp(path.join(tmpdir(), 'pool-'));
  });
  afterEach(async () => {
    delete process.env.TEMPLATE_KEK;
    await pool.stop();
    await rm(folder, { recursive: true });
  });

  it('runs more tasks than it has threads, and moves the bytes away', async () => {
    await start(2);
    expect(pool.ready).toBe(true);
    const body = new Uint8Array(new ArrayBuffer(5));
    const moved = pool.analyse(body, 'smile');
    expect(body.length).toBe(0);
    const shared = Buffer.from('shared memory').subarray(2, 6);
    const others = await Promise.all([pool.analyse(shared, 'smile'), run(0), run(0)]);
    expect([(await moved).frames, ...others.map((o) => o.frames)]).toEqual([5, 4, 3, 3]);
    expect([...shared]).toEqual([0, 0, 0, 0]);
  });

  it.each([
    ['exits', 1],
    ['hangs', 2],
    ['throws', 3],
  ])('replaces a thread that %s; its task can be retried, the others go on', async (_, first) => {
    await start(2);
    const lost = run(first);
    const fine = Promise.all([run(0), run(0), run(0)]);
    await expect(lost).rejects.toBeInstanceOf(RetryableError);
    expect(await fine).toHaveLength(3);
    await untilReady();
    expect((await run(0)).frames).toBe(3);
  });

  it('keeps a thread whose task failed, and tells only the kind of the error', async () => {
    await start(1);
    await expect(run(4)).rejects.toThrow('analysis failed: TypeError');
    expect(pool.ready).toBe(true);
    expect((await run(0)).frames).toBe(3);
  });

  it('gives up what is not wanted any more, waiting or in work, and nothing else', async () => {
    await start(1);
    const [inWork, waiting] = [new AbortController(), new AbortController()];
    const first = pool.analyse(Uint8Array.from([5]), 'blink', inWork.signal);
    const shared = Buffer.from([9, 0, 8, 8]).subarray(1);
    const second = pool.analyse(shared, 'blink', waiting.signal);
    const third = run(0);
    waiting.abort();
    await expect(second).rejects.toBeInstanceOf(RetryableError);
    expect([...shared]).toEqual([0, 0, 0]);
    inWork.abort();
    await expect(first).rejects.toThrow('given up');
    expect((await third).frames).toBe(3);
    await expect(pool.analyse(Uint8Array.from([0]), 'blink', AbortSignal.abort())).rejects.toThrow();
    expect((await run(0)).frames).toBe(3);
  });

  it('does not start when a thread cannot, and takes nothing when stopped', async () => {
    await expect(start(1, 'process.exit(1)')).rejects.toBeInstanceOf(RetryableError);
    await start(1);
    await pool.stop();
    await expect(run(0)).rejects.toBeInstanceOf(RetryableError);
  });
});
