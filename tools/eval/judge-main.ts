import { peakMemoryBytes } from '#testing';
import { readModelFiles } from '../../apps/inference/src/model/model-files.js';
import { OnnxNets } from '../../apps/inference/src/model/onnx.js';
import { StepAnalyser } from '../../apps/inference/src/pipeline/analyse.js';
import { analyseBody } from '../../apps/inference/src/threads/analyse-body.js';
import { prepareDecoder } from '../../apps/inference/src/threads/decode.js';
import type { JudgeMessage, JudgeOrder } from './judge.js';

const say = (message: JudgeMessage): void => void process.send!(message);
const rssPeakBytes = (): number => peakMemoryBytes() ?? process.resourceUsage().maxRSS * 1024;

async function main(manifestPath: string): Promise<void> {
  prepareDecoder();
  const { manifest, bytes } = await readModelFiles(manifestPath);
  const analyser = new StepAnalyser(await OnnxNets.load(bytes));
  process.on('message', ({ body }: JudgeOrder) => {
    analyseBody(analyser, body, 'blink', manifest.thresholds.onePerson.frames).then(
      ({ verdict }) => say({ kind: 'judged', verdict, rssPeakBytes: rssPeakBytes() }),
      (error: unknown) => say({ kind: 'failed', error: error instanceof Error ? error.message : 'unknown' }),
    );
  });
  say({ kind: 'ready', modelDigest: manifest.digest, rssPeakBytes: rssPeakBytes() });
}

main(process.argv[2] ?? '').catch((error: unknown) =>
  say({ kind: 'failed', error: error instanceof Error ? error.message : 'unknown' }),
);
