import { parentPort, workerData } from 'node:worker_threads';
import { OnnxNets } from '../model/onnx.js';
import { StepAnalyser } from '../pipeline/analyse.js';
import { analyseBody } from './analyse-body.js';
import { prepareDecoder } from './decode.js';
import type { ThreadData, ThreadMessage, ThreadTask } from './protocol.js';

/** Entry of an analysis thread: its own sessions, one task at a time. Errors leave by name; texts may hold anything. */
async function main(): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error('to be started as a worker thread');
  const say = (message: ThreadMessage, moved: ArrayBuffer[] = []): void => port.postMessage(message, moved);
  prepareDecoder();
  const { models } = workerData as ThreadData;
  const nets = await OnnxNets.load(models);
  const analyser = new StepAnalyser(nets);
  port.on('message', (task: ThreadTask) => {
    void analyseBody(analyser, task.body, task.action, models.onePersonFrames).then(
      (outcome) =>
        say(
          { kind: 'done', id: task.id, outcome },
          outcome.embeddings.map((e) => e.embedding.buffer as ArrayBuffer),
        ),
      (error: unknown) => say({ kind: 'failed', id: task.id, error: error instanceof Error ? error.name : 'unknown' }),
    );
  });
  say({ kind: 'ready' });
}

void main();
