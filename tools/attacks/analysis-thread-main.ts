import { parentPort, workerData } from 'node:worker_threads';
import { OnnxNets } from '../../apps/inference/src/model/onnx.js';
import { type DecodedFrame, StepAnalyser } from '../../apps/inference/src/pipeline/analyse.js';
import { decode, prepareDecoder } from '../../apps/inference/src/threads/decode.js';
import { NativeGate } from '../../apps/inference/src/threads/native-gate.js';
import type { AnalysisMessage, AnalysisTask, AnalysisThreadData } from './analysis-pool.js';
import { filmed } from './camera.js';

/** Entry of a thread: films a film, then what a worker of the product does with the frames before it judges them. */
async function main(): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error('to be started as a worker thread');
  const say = (message: AnalysisMessage): void => port.postMessage(message);
  const { models, gate } = workerData as AnalysisThreadData;
  const { within } = new NativeGate(gate);
  prepareDecoder(within);
  const analyser = new StepAnalyser(await OnnxNets.load(models, within));
  const done = async ({ id, film, look, wanted }: AnalysisTask): Promise<AnalysisMessage> => {
    const frames = await filmed(film, look);
    if (wanted === 'frames') return { kind: 'frames', id, frames };
    const decoded = async function* (): AsyncGenerator<DecodedFrame> {
      for (const { tMs, jpeg } of frames) yield { tMs, picture: await decode(jpeg) };
    };
    return { kind: 'analysis', id, analysis: await analyser.run(decoded(), frames.at(-1)?.tMs ?? 0) };
  };
  port.on('message', (task: AnalysisTask) => {
    done(task).then(say, (error: unknown) =>
      say({ kind: 'failed', id: task.id, error: error instanceof Error ? error.message : 'unknown' }),
    );
  });
  say({ kind: 'ready' });
}

void main();
