import * as ort from 'onnxruntime-node';
import { MODEL_ROLES, type ModelRole } from '#contracts';
import { ANTISPOOF_SIDE, EXPRESSION_SIDE, EYE_SIDE, RECOGNISER_SIDE } from '../pipeline/crops.js';
import { DETECTOR_SIDE } from '../pipeline/detector.js';
import { MESH_SIDE } from '../pipeline/mesh.js';
import type { FaceNets } from '../pipeline/nets.js';

/** Verified model files by role. */
export type ModelBytes = Record<ModelRole, Uint8Array>;

const SHAPES: Record<ModelRole, readonly number[]> = {
  detector: [1, 3, DETECTOR_SIDE, DETECTOR_SIDE],
  mesh: [1, 3, MESH_SIDE, MESH_SIDE],
  recogniser: [1, 3, RECOGNISER_SIDE, RECOGNISER_SIDE],
  antispoof: [1, 3, ANTISPOOF_SIDE, ANTISPOOF_SIDE],
  expression: [1, 3, EXPRESSION_SIDE, EXPRESSION_SIDE],
  eye: [1, 1, EYE_SIDE, EYE_SIDE],
};
const HAPPY = 1;
const CLOSED = 0;
const LIVE = 0;

/**
 * The models of one thread: loaded from bytes that were verified before, warmed, run, released. The only file that
 * imports onnxruntime. One session a model with one thread: parallel work comes from threads, not from a session.
 */
export class OnnxNets implements FaceNets {
  private constructor(private readonly sessions: Record<ModelRole, ort.InferenceSession>) {}

  /** Creates the sessions and runs each once. Throws when a file is no model or takes another input. */
  static async load(bytes: ModelBytes): Promise<OnnxNets> {
    const sessions: Partial<Record<ModelRole, ort.InferenceSession>> = {};
    try {
      for (const role of MODEL_ROLES)
        sessions[role] = await ort.InferenceSession.create(bytes[role], {
          intraOpNumThreads: 1,
          interOpNumThreads: 1,
          executionMode: 'sequential',
          graphOptimizationLevel: 'all',
          logSeverityLevel: 3,
        });
      const nets = new OnnxNets(sessions as Record<ModelRole, ort.InferenceSession>);
      await nets.warm();
      return nets;
    } catch (error) {
      await Promise.allSettled(Object.values(sessions).map((s) => s.release()));
      throw error;
    }
  }

  async release(): Promise<void> {
    await Promise.allSettled(Object.values(this.sessions).map((s) => s.release()));
  }

  async detect(input: Float32Array): ReturnType<FaceNets['detect']> {
    const r = await this.run('detector', input);
    return {
      scores16: numbers(r, 'scores16'),
      scores8: numbers(r, 'scores8'),
      boxes16: numbers(r, 'boxes16'),
      boxes8: numbers(r, 'boxes8'),
    };
  }

  async mesh(input: Float32Array): ReturnType<FaceNets['mesh']> {
    const r = await this.run('mesh', input);
    return { landmarks: numbers(r, 'landmarks'), presence: numbers(r, 'presence')[0] ?? 0 };
  }

  async embed(input: Float32Array): Promise<Float32Array> {
    return numbers(await this.run('recogniser', input), 'embedding');
  }

  async live(input: Float32Array): Promise<number> {
    return numbers(await this.run('antispoof', input), 'probabilities')[LIVE] ?? 0;
  }

  async happy(input: Float32Array): Promise<number> {
    return numbers(await this.run('expression', input), 'probabilities')[HAPPY] ?? 0;
  }

  async eyeClosed(input: Float32Array): Promise<number> {
    return numbers(await this.run('eye', input), 'probabilities')[CLOSED] ?? 0;
  }

  private async warm(): Promise<void> {
    const zeros = (role: ModelRole): Float32Array => new Float32Array(SHAPES[role].reduce((a, b) => a * b, 1));
    await this.detect(zeros('detector'));
    await this.mesh(zeros('mesh'));
    await this.embed(zeros('recogniser'));
    await this.live(zeros('antispoof'));
    await this.happy(zeros('expression'));
    await this.eyeClosed(zeros('eye'));
  }

  private run(role: ModelRole, input: Float32Array): Promise<ort.InferenceSession.OnnxValueMapType> {
    return this.sessions[role].run({ input: new ort.Tensor('float32', input, SHAPES[role]) });
  }
}

function numbers(outputs: ort.InferenceSession.OnnxValueMapType, name: string): Float32Array {
  const value = outputs[name];
  if (!(value instanceof ort.Tensor) || !(value.data instanceof Float32Array))
    throw new Error(`a model has no output ${name} of float32`);
  return value.data;
}
