import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { release } from '../memory.js';
import { OnnxNets } from '../model/onnx.js';
import { StepAnalyser } from '../pipeline/analyse.js';
import { analyseBody } from './analyse-body.js';
import { assist, AssistedNets } from './assist.js';
import { prepareDecoder } from './decode.js';
import { NativeGate } from './native-gate.js';
import type { ThreadData, ThreadMessage, ThreadOrder, ThreadTask } from './protocol.js';

/** Entry of an analysis thread: its own sessions, one task at a time. Errors leave by name; texts may hold anything. */
async function main(): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error('to be started as a worker thread');
  const say = (message: ThreadMessage, moved: ArrayBuffer[] = []): void => port.postMessage(message, moved);
  const { models, gate: memory } = workerData as ThreadData;
  const gate = new NativeGate(memory);
  prepareDecoder(gate.within);
  const nets = await OnnxNets.load(models, gate.within);
  const assisted = new AssistedNets(nets);
  const analyser = new StepAnalyser(assisted);
  let task: Promise<void> = Promise.resolve();
  let taskId: number | null = null;
  const helped = new Map<MessagePort, () => void>();
  port.on('message', (order: ThreadOrder) => {
    if (order.kind === 'task') {
      for (const leave of helped.values()) leave();
      task = run(order);
    } else if (order.kind === 'assist') {
      helped.set(order.port, assist(nets, order.port));
      order.port.once('close', () => helped.delete(order.port));
    } else if (order.kind === 'cancel') {
      // The task may have ended while the order was on its way.
      if (order.id === taskId) assisted.cancel();
    } else {
      assisted.cancel();
      // Ends this thread only, and between two native calls, those for another thread's task included.
      void task.then(async () => {
        gate.close();
        await gate.untilIdle();
        process.exit(0);
      });
    }
  });
  async function run({ id, body, action, helper }: ThreadTask): Promise<void> {
    taskId = id;
    try {
      const outcome = await assisted.with(helper, () =>
        analyseBody(analyser, body, action, models.onePersonFrames, assisted),
      );
      const moved = outcome.embeddings.map((e) => e.embedding.buffer as ArrayBuffer);
      say({ kind: 'done', id, outcome }, moved);
    } catch (error) {
      say({ kind: 'failed', id, error: error instanceof Error ? error.name : 'unknown' });
    } finally {
      release(body);
      taskId = null;
    }
  }
  say({ kind: 'ready' });
}

void main();
