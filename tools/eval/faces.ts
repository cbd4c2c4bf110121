import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type ModelManifest } from '#contracts';
import type { AntispoofSample } from '../../apps/inference/src/pipeline/analyse.js';
import { readModelFiles } from '../../apps/inference/src/model/model-files.js';
import { OnnxNets } from '../../apps/inference/src/model/onnx.js';
import { antispoofInput, ANTISPOOF_SIDE, recogniserInput } from '../../apps/inference/src/pipeline/crops.js';
import {
  decodeDetections,
  type Detection,
  DETECTOR_SIDE,
  detectorInput,
} from '../../apps/inference/src/pipeline/detector.js';
import { findFace, type MeshReading, prominence } from '../../apps/inference/src/pipeline/find-face.js';
import {
  type Landmarks,
  MESH_SIDE,
  meshInput,
  type Region,
  toPicture,
} from '../../apps/inference/src/pipeline/mesh.js';
import { type Picture, Pyramid } from '../../apps/inference/src/pipeline/picture.js';
import { candidateTensor, joined, meanFace } from '../../apps/inference/src/pipeline/recognisers.js';
import { decodePhoto, prepareDecoder } from '../../apps/inference/src/threads/decode.js';
import { repositoryRoot } from '#stack';
import { MissingFilesError } from './fault.js';
import { progress } from './progress.js';

export interface Models {
  manifest: ModelManifest;
  nets: OnnxNets;
  /** Milliseconds from the bytes of a picture to its embedding, one thread; a picture each. */
  spent: number[];
}

/** The manifest that was asked for, that of the environment, or the shipped one. */
export const manifestPathOf = (asked: string | undefined): string =>
  asked ?? (process.env.MODEL_MANIFEST || path.join(repositoryRoot(), 'models/manifest.json'));

/** The product's own models, verified as the worker does it. */
export async function loadModels(manifestPath: string | undefined): Promise<Models> {
  prepareDecoder();
  const { manifest, bytes } = await readModelFiles(manifestPathOf(manifestPath));
  return { manifest, nets: await OnnxNets.load(bytes), spent: [] };
}

/** Throws MissingFilesError with every file that is not below `root`. */
export function requireFiles(root: string, files: Iterable<string>): void {
  const missing = [...new Set(files)].filter((f) => !existsSync(path.join(root, f)));
  if (missing.length > 0) throw new MissingFilesError(missing.map((f) => path.join(root, f)));
}

export type Embedding = { kind: 'face'; vector: Float32Array } | { kind: 'unreadable' } | { kind: 'no_face' };

/** Which face of a picture with several is taken. */
export type FaceChoice = 'central' | 'largest';

/** What is found in one picture: its own embedding, and the mean with its mirror image's where that was asked for. */
interface Embedded {
  own: Embedding;
  mirrored: Embedding | null;
}

/**
 * Stills → embeddings by the product's functions: decode, detect, mesh, mesh again in the tracked crop, align, embed. A
 * frame of a capture is also refused for its pose or for a second face; a still is not, there is no other to choose.
 * Of several faces the large and central one is taken, as in a capture.
 */
class Embedder {
  private readonly detectorTensor = new Float32Array(DETECTOR_SIDE * DETECTOR_SIDE * 3);
  private readonly meshTensor = new Float32Array(MESH_SIDE * MESH_SIDE * 3);
  private readonly faceTensors: readonly Float32Array[];

  constructor(
    private readonly nets: OnnxNets,
    private readonly options: Pick<EmbedOptions, 'mirror' | 'face'>,
  ) {
    this.faceTensors = nets.recognisers.map(candidateTensor);
  }

  async embed(bytes: Uint8Array): Promise<Embedded> {
    const picture = await decodePhoto(bytes);
    if (!picture) return { own: { kind: 'unreadable' }, mirrored: { kind: 'unreadable' } };
    const source = new Pyramid(picture);
    const landmarks = await this.find(source);
    if (!landmarks) return { own: { kind: 'no_face' }, mirrored: { kind: 'no_face' } };
    const { recognisers } = this.nets;
    for (const [i, recogniser] of recognisers.entries())
      recogniserInput(source, landmarks, recogniser, this.faceTensors[i]!);
    const own = await this.embedding();
    if (!this.options.mirror) return { own: { kind: 'face', vector: own }, mirrored: null };
    for (const [i, { side }] of recognisers.entries()) mirrorRows(this.faceTensors[i]!, side);
    const both = meanFace(recognisers, [own, await this.embedding()]);
    return { own: { kind: 'face', vector: own }, mirrored: { kind: 'face', vector: both } };
  }

  private async embedding(): Promise<Float32Array> {
    const embeddings: Float32Array[] = [];
    for (const [i, tensor] of this.faceTensors.entries()) embeddings.push(await this.nets.embed(tensor, i));
    return joined(this.nets.recognisers, embeddings);
  }

  private async find(source: Pyramid): Promise<Landmarks | null> {
    const map = detectorInput(source, this.detectorTensor);
    const output = await this.nets.detect(this.detectorTensor);
    const found = await findFace(
      (scoreMin) => decodeDetections(output, map, scoreMin),
      (region) => this.landmarks(source, region),
      (d) => (this.options.face === 'largest' ? d.width : prominence(d, source.base)),
    );
    return found?.landmarks ?? null;
  }

  private async landmarks(source: Pyramid, region: Region): Promise<MeshReading> {
    const map = meshInput(source, region, this.meshTensor);
    const { landmarks, presence } = await this.nets.mesh(this.meshTensor);
    return { landmarks: toPicture(landmarks, map), presence };
  }
}

function mirrorRows(tensor: Float32Array, side: number): void {
  for (let at = 0; at < tensor.length; at += side) tensor.subarray(at, at + side).reverse();
}

/** Smallest face, in pixels, that the anti-spoof is asked about; as in the product (`pipeline/analyse.ts`). */
const ANTISPOOF_FACE_PX_MIN = 80;

/**
 * P(live) of one picture by both crops, by the product's functions; null without a face that is large enough. A capture
 * takes frontal frames only, a still has no other to offer, so its pose is not asked for.
 */
export async function livenessOf(nets: OnnxNets, picture: Picture | null): Promise<AntispoofSample | null> {
  if (!picture) return null;
  const source = new Pyramid(picture);
  const tensor = new Float32Array(DETECTOR_SIDE * DETECTOR_SIDE * 3);
  const map = detectorInput(source, tensor);
  const weight = (d: Detection): number => prominence(d, picture);
  const face = decodeDetections(await nets.detect(tensor), map).sort((a, b) => weight(b) - weight(a))[0];
  if (!face || face.width < ANTISPOOF_FACE_PX_MIN) return null;
  const crop = new Float32Array(ANTISPOOF_SIDE * ANTISPOOF_SIDE * 3);
  antispoofInput(source, face, 2.7, crop);
  const near = await nets.live(crop);
  antispoofInput(source, face, 4.0, crop);
  return { tMs: 0, near, far: await nets.live(crop) };
}

export interface EmbedOptions {
  /** Takes the mean with the embedding of the mirrored crop: to be measured, the product does not do it. */
  mirror: boolean;
  face: FaceChoice;
  /** Embeddings are kept here between runs. They are biometric data: the caller chose the place. */
  cache: string | undefined;
}

/** Every file once. Order of the answer as asked. */
export async function embedFiles(
  models: Models,
  root: string,
  files: readonly string[],
  options: EmbedOptions,
): Promise<Map<string, Embedding>> {
  requireFiles(root, files);
  const { mirror, face, cache } = options;
  const own = `${models.manifest.digest}+${face}`;
  const wanted = mirror ? `${own}+mirror` : own;
  const known = new EmbeddingCache(cache);
  const embedder = new Embedder(models.nets, options);
  const bar = progress('images', files.length);
  const out = new Map<string, Embedding>();
  try {
    for (const file of files) {
      const bytes = readFileSync(path.join(root, file));
      const digest = createHash('sha256').update(bytes).digest('hex');
      let found = known.get(wanted, digest);
      if (!found) {
        const from = performance.now();
        const embedded = await embedder.embed(bytes);
        models.spent.push(performance.now() - from);
        known.put(own, digest, embedded.own);
        if (embedded.mirrored) known.put(`${own}+mirror`, digest, embedded.mirrored);
        found = mirror && embedded.mirrored ? embedded.mirrored : embedded.own;
      }
      out.set(file, found);
      bar.tick();
    }
  } finally {
    bar.end();
    known.save();
  }
  return out;
}

/** A line an embedding: how it was made, digest of the file, what was found, vector in base64. */
class EmbeddingCache {
  private readonly entries = new Map<string, Embedding>();
  private added: string[] = [];

  constructor(private readonly file: string | undefined) {
    if (!file || !existsSync(file)) return;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const [made, digest, kind, vector] = line.split(' ');
      if (!made || !digest || !kind) continue;
      if (kind === 'face') this.entries.set(`${made} ${digest}`, { kind, vector: floats(vector ?? '') });
      else if (kind === 'no_face' || kind === 'unreadable') this.entries.set(`${made} ${digest}`, { kind });
    }
  }

  get(made: string, digest: string): Embedding | undefined {
    return this.entries.get(`${made} ${digest}`);
  }

  put(made: string, digest: string, e: Embedding): void {
    const key = `${made} ${digest}`;
    if (!this.file || this.entries.has(key)) return;
    this.entries.set(key, e);
    const vector = e.kind === 'face' ? ` ${Buffer.from(e.vector.buffer).toString('base64')}` : '';
    this.added.push(`${key} ${e.kind}${vector}\n`);
  }

  save(): void {
    if (!this.file || this.added.length === 0) return;
    writeFileSync(this.file, this.added.join(''), { flag: 'a', mode: 0o600 });
    this.added = [];
  }
}

function floats(base64: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  return new Float32Array(bytes.buffer);
}
