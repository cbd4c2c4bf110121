import { once } from 'node:events';
import net from 'node:net';
import { Worker } from 'node:worker_threads';
import { withinRunTime } from './run-time.js';

const late = (): Error => new Error('late');
const after = <T>(ms: number, value: T): Promise<T> => new Promise((resolve) => setTimeout(resolve, ms, value));

/** Keeps this thread from doing anything else, as a busy machine does. */
function holdUp(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

it('gives what was answered in time', async () => {
  await expect(withinRunTime(after(60, 'answer'), 500, late)).resolves.toBe('answer');
});

it('passes on what failed in time', async () => {
  await expect(withinRunTime(Promise.reject(new Error('no')), 500, late)).rejects.toThrow('no');
});

it('gives up on what does not answer', async () => {
  await expect(withinRunTime(new Promise(() => undefined), 120, late)).rejects.toThrow('late');
});

it('reads an answer that came while the process was held up for longer than the limit', async () => {
  // A server in a thread of its own: it is not held up.
  const server = new Worker(
    `const net = require('node:net');
     const { parentPort } = require('node:worker_threads');
     const server = net.createServer((socket) => setTimeout(() => socket.end('answer'), 200));
     server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
    { eval: true },
  );
  const [port] = (await once(server, 'message')) as [number];
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const answer = new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
  const waited = withinRunTime(answer, 150, late);
  holdUp(600);
  await expect(waited).resolves.toBe('answer');
  await server.terminate();
});
