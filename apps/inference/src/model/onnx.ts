import { MODEL_ROLES, type ModelRole } from '#contracts';
import { ANTISPOOF_SIDE, EXPRESSION_SIDE, EYE_SIDE } from '../pipeline/crops.js';
import { DETECTOR_SIDE } from '../pipeline/detector.js';
import { MESH_SIDE } from '../pipeline/mesh.js';
import type { FaceModels, FaceNets } from '../pipeline/nets.js';
import { candidateTensor, type Recogniser } from '../pipeline/recognisers.js';
import type { Within } from '../threads/native-gate.js';
import { InferenceSession, Tensor } from './runtime.js';

/** Verified model files, and what must be known of the recognisers to use them. */
export interface ModelBytes {
  nets: Record<ModelRole, Uint8Array>;
  recognisers: readonly { bytes: Uint8Array; recogniser: Recogniser }[];
  /** Lowest cosine of two frames of one step that may show one person. */
  onePersonFrames: number;
}

const SHAPES: Record<ModelRole, readonly number[]> = {
  detector: [1, 3, DETECTOR_SIDE, DETECTOR_SIDE],
  mesh: [1, 3, MESH_SIDE, MESH_SIDE],
  antispoof: [1, 3, ANTISPOOF_SIDE, ANTISPOOF_SIDE],
  expression: [1, 3, EXPRESSION_SIDE, EXPRESSION_SIDE],
  eye: [1, 1, EYE_SIDE, EYE_SIDE],
};
const OPTIONS: InferenceSession.SessionOptions = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  // Measured in turns: one block a run for all activations is no faster (2 % at most either way), and 15 MB more a thread.
  enableMemPattern: false,
  graphOptimizationLevel: 'all',
  logSeverityLevel: 3,
};
const HAPPY = 1;
const CLOSED = 0;
const LIVE = 0;

/**
 * The models of one thread: loaded from bytes that were verified before, warmed, run, released. One session a model
 * with one thread: parallel work comes from threads, not from a session.
 */
export class OnnxNets implements FaceModels {
  readonly recognisers: readonly Recogniser[];

  private constructor(
    private readonly sessions: Record<ModelRole, InferenceSession>,
    private readonly embedders: readonly { session: InferenceSession; recogniser: Recogniser }[],
    private readonly within: Within,
  ) {
    this.recognisers = embedders.map(({ recogniser }) => recogniser);
  }

  /**
   * Creates the sessions and runs each once. Throws when a file is no model, or has other inputs or outputs.
   *
   * @param within is told of each call into the library, for a thread that may be ended from outside.
   */
  static async load(models: ModelBytes, within: Within = (call) => call()): Promise<OnnxNets> {
    const opened: InferenceSession[] = [];
    const open = async (bytes: Uint8Array): Promise<InferenceSession> => {
      const session = await within(() => InferenceSession.create(bytes, OPTIONS));
      opened.push(session);
      return session;
    };
    try {
      const sessions: Partial<Record<ModelRole, InferenceSession>> = {};
      for (const role of MODEL_ROLES) sessions[role] = await open(models.nets[role]);
      const embedders: OnnxNets['embedders'][number][] = [];
      for (const { bytes, recogniser } of models.recognisers)
        embedders.push({ session: await open(bytes), recogniser });
      const nets = new OnnxNets(sessions as Record<ModelRole, InferenceSession>, embedders, within);
      await nets.warm();
      return nets;
    } catch (error) {
      await Promise.allSettled(opened.map((s) => s.release()));
      throw error;
    }
  }

  async release(): Promise<void> {
    const all = [...Object.values(this.sessions), ...this.embedders.map(({ session }) => session)];
    await Promise.allSettled(all.map((s) => s.release()));
  }

  async detect(input: Float32Array): ReturnType<FaceNets['detect']> {
    const r = await this.run('detector', input);
    return {
      scores16: numbers(r, 'scores16', 512),
      scores8: numbers(r, 'scores8', 384),
      boxes16: numbers(r, 'boxes16', 512 * 16),
      boxes8: numbers(r, 'boxes8', 384 * 16),
    };
  }

  async mesh(input: Float32Array): ReturnType<FaceNets['mesh']> {
    const r = await this.run('mesh', input);
    return { landmarks: numbers(r, 'landmarks', 468 * 3), presence: numbers(r, 'presence', 1)[0] ?? 0 };
  }

  async embed(input: Float32Array, which = 0): Promise<Float32Array> {
    const embedder = this.embedders[which];
    if (!embedder) throw new RangeError(`the set has no recogniser ${which}`);
    const { side, length, format } = embedder.recogniser;
    const shape = [1, format.colour === 'grey' ? 1 : 3, side, side];
    const answer = await this.within(() => embedder.session.run({ input: new Tensor('float32', input, shape) }));
    return numbers(answer, 'embedding', length);
  }

  async live(input: Float32Array): Promise<number> {
    return numbers(await this.run('antispoof', input), 'probabilities', 3)[LIVE] ?? 0;
  }

  async happy(input: Float32Array): Promise<number> {
    return numbers(await this.run('expression', input), 'probabilities', 7)[HAPPY] ?? 0;
  }

  async eyeClosed(input: Float32Array): Promise<number> {
    return numbers(await this.run('eye', input), 'probabilities', 2)[CLOSED] ?? 0;
  }

  private async warm(): Promise<void> {
    const zeros = (role: ModelRole): Float32Array => new Float32Array(SHAPES[role].reduce((a, b) => a * b, 1));
    await this.detect(zeros('detector'));
    await this.mesh(zeros('mesh'));
    for (const [i, recogniser] of this.recognisers.entries()) await this.embed(candidateTensor(recogniser), i);
    await this.live(zeros('antispoof'));
    await this.happy(zeros('expression'));
    await this.eyeClosed(zeros('eye'));
  }

  private run(role: ModelRole, input: Float32Array): Promise<InferenceSession.OnnxValueMapType> {
    return this.within(() => this.sessions[role].run({ input: new Tensor('float32', input, SHAPES[role]) }));
  }
}

function numbers(outputs: InferenceSession.OnnxValueMapType, name: string, length: number): Float32Array {
  const value = outputs[name];
  if (!(value instanceof Tensor) || !(value.data instanceof Float32Array) || value.data.length !== length)
    throw new Error(`a model has no output ${name} of ${length} float32 numbers`);
  return value.data;
}
