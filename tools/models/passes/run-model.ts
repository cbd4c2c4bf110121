import { Worker } from 'node:worker_threads';
import '../../../apps/inference/src/model/no-telemetry.js';
import { createModel, encodeModel, floatTensor, type Model, type Node, valueInfo } from '../graph.js';

/** A small graph from `input` to `output`, both of one shape, with named float constants. */
export function smallModel(
  shape: readonly number[],
  nodes: Node[],
  constants: Record<string, number[][] | number[]>,
): Model {
  const initializers = Object.entries(constants).map(([name, values]) => {
    const perChannel = values.flat();
    return floatTensor(name, [perChannel.length, 1, 1], perChannel);
  });
  return createModel({
    nodes,
    initializers,
    inputs: [valueInfo('input', shape)],
    outputs: [valueInfo('output', shape)],
  });
}

export interface Answer {
  dims: number[];
  data: Float32Array;
}

/** What the runtime answers for a model's one input, by output name. */
export function runModel(model: Model, shape: readonly number[], data: Float32Array): Promise<Record<string, Answer>> {
  const runtime = require.resolve('onnxruntime-node');
  const workerData = { runtime, model: encodeModel(model), shape: [...shape], data };
  // The runtime checks typed arrays against its own realm, which a test runner's sandbox is not: a thread has one.
  const worker = new Worker(IN_THREAD, { eval: true, workerData });
  return new Promise((resolve, reject) => {
    worker.once('message', (answers: { name: string; dims: number[]; data: Float32Array }[]) => {
      resolve(Object.fromEntries(answers.map(({ name, ...answer }) => [name, answer])));
    });
    worker.once('error', reject);
  });
}

const IN_THREAD = `
const { parentPort, workerData } = require('node:worker_threads');
const { InferenceSession, Tensor } = require(workerData.runtime);
(async () => {
  const session = await InferenceSession.create(Buffer.from(workerData.model), { logSeverityLevel: 3 });
  const input = new Tensor('float32', Float32Array.from(workerData.data), workerData.shape);
  const results = await session.run({ [session.inputNames[0]]: input });
  parentPort.postMessage(Object.entries(results).map(([name, { dims, data }]) => ({ name, dims: [...dims], data })));
  await session.release();
})();
`;

/** Values that reach both signs and many sizes, the same on every run. */
export function wave(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => 3 * Math.sin(i * 1.7) * Math.cos(i * 0.31));
}
