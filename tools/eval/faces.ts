import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type ModelManifest } from '#contracts';
import { readModelFiles } from '../../apps/inference/src/model/model-files.js';
import { OnnxNets } from '../../apps/inference/src/model/onnx.js';
import { recogniserInput, RECOGNISER_SIDE } from '../../apps/inference/src/pipeline/crops.js';
import { decodeDetections, DETECTOR_SIDE, detectorInput } from '../../apps/inference/src/pipeline/detector.js';
import {
  type Landmarks,
  MESH_SIDE,
  meshInput,
  type Region,
  regionOfDetection,
  regionOfLandmarks,
  toPicture,
} from '../../apps/inference/src/pipeline/mesh.js';
import { Pyramid } from '../../apps/inference/src/pipeline/picture.js';
import { meanDirection, normalise } from '../../apps/inference/src/pipeline/vector.js';
import { decode, prepareDecoder } from '../../apps/inference/src/threads/decode.js';
import { repositoryRoot } from '#stack';
import { MissingFilesError } from './fault.js';
import { progress } from './progress.js';

/** As in the product (`pipeline/analyse.ts`). */
const PRESENCE_MIN = 0.5;

export interface Models {
  manifest: ModelManifest;
  nets: OnnxNets;
}

/** The product's own models, verified as the worker does it. */
export async function loadModels(manifestPath: string | undefined): Promise<Models> {
  prepareDecoder();
  const { manifest, bytes } = await readModelFiles(manifestPath ?? path.join(repositoryRoot(), 'models/manifest.json'));
  return { manifest, nets: await OnnxNets.load(bytes) };
}

/** Throws MissingFilesError with every file that is not below `root`. */
export function requireFiles(root: string, files: Iterable<string>): void {
  const missing = [...new Set(files)].filter((f) => !existsSync(path.join(root, f)));
  if (missing.length > 0) throw new MissingFilesError(missing.map((f) => path.join(root, f)));
}

export type Embedding = { kind: 'face'; vector: Float32Array } | { kind: 'unreadable' } | { kind: 'no_face' };

/**
 * Stills → embeddings by the product's functions: decode, detect, largest face, mesh, mesh again in the tracked crop,
 * align, embed. No frame is refused for its pose or sharpness as a capture would do, since there is no other to choose.
 */
export class Embedder {
  private readonly detectorTensor = new Float32Array(DETECTOR_SIDE * DETECTOR_SIDE * 3);
  private readonly meshTensor = new Float32Array(MESH_SIDE * MESH_SIDE * 3);
  private readonly faceTensor = new Float32Array(RECOGNISER_SIDE * RECOGNISER_SIDE * 3);

  /** @param mirror the mean with the embedding of the mirrored crop: to be measured, the product does not do it. */
  constructor(
    private readonly nets: OnnxNets,
    private readonly mirror: boolean,
  ) {}

  async embed(bytes: Uint8Array): Promise<Embedding> {
    const picture = await decode(bytes);
    if (!picture) return { kind: 'unreadable' };
    const source = new Pyramid(picture);
    const map = detectorInput(source, this.detectorTensor);
    const found = decodeDetections(await this.nets.detect(this.detectorTensor), map);
    const largest = found.sort((a, b) => b.width - a.width)[0];
    let landmarks = largest ? await this.landmarks(source, regionOfDetection(largest)) : null;
    if (landmarks) landmarks = await this.landmarks(source, regionOfLandmarks(landmarks));
    if (!landmarks) return { kind: 'no_face' };
    recogniserInput(source, landmarks, this.faceTensor);
    const own = normalise(await this.nets.embed(this.faceTensor));
    if (!this.mirror) return { kind: 'face', vector: own };
    mirrorRows(this.faceTensor);
    return { kind: 'face', vector: meanDirection([own, normalise(await this.nets.embed(this.faceTensor))]) };
  }

  private async landmarks(source: Pyramid, region: Region): Promise<Landmarks | null> {
    const map = meshInput(source, region, this.meshTensor);
    const { landmarks, presence } = await this.nets.mesh(this.meshTensor);
    return presence >= PRESENCE_MIN ? toPicture(landmarks, map) : null;
  }
}

function mirrorRows(tensor: Float32Array): void {
  for (let at = 0; at < tensor.length; at += RECOGNISER_SIDE) tensor.subarray(at, at + RECOGNISER_SIDE).reverse();
}

export interface EmbedOptions {
  mirror: boolean;
  /** Embeddings are kept here between runs. They are biometric data: the caller chose the place. */
  cache: string | undefined;
}

/** Every file once. Order of the answer as asked. */
export async function embedFiles(
  models: Models,
  root: string,
  files: readonly string[],
  { mirror, cache }: EmbedOptions,
): Promise<Map<string, Embedding>> {
  requireFiles(root, files);
  const known = new EmbeddingCache(cache, `${models.manifest.digest}${mirror ? '+mirror' : ''}`);
  const embedder = new Embedder(models.nets, mirror);
  const bar = progress('images', files.length);
  const out = new Map<string, Embedding>();
  try {
    for (const file of files) {
      const bytes = readFileSync(path.join(root, file));
      const digest = createHash('sha256').update(bytes).digest('hex');
      const found = known.get(digest) ?? (await embedder.embed(bytes));
      known.put(digest, found);
      out.set(file, found);
      bar.tick();
    }
  } finally {
    bar.end();
    known.save();
  }
  return out;
}

/** A line an image: models, digest of the file, what was found, vector in base64. */
class EmbeddingCache {
  private readonly entries = new Map<string, Embedding>();
  private added: string[] = [];

  constructor(
    private readonly file: string | undefined,
    private readonly models: string,
  ) {
    if (!file || !existsSync(file)) return;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const [of, digest, kind, vector] = line.split(' ');
      if (of !== models || !digest || !kind) continue;
      if (kind === 'face') this.entries.set(digest, { kind, vector: floats(vector ?? '') });
      else if (kind === 'no_face' || kind === 'unreadable') this.entries.set(digest, { kind });
    }
  }

  get(digest: string): Embedding | undefined {
    return this.entries.get(digest);
  }

  put(digest: string, e: Embedding): void {
    if (!this.file || this.entries.has(digest)) return;
    this.entries.set(digest, e);
    const vector = e.kind === 'face' ? ` ${Buffer.from(e.vector.buffer).toString('base64')}` : '';
    this.added.push(`${this.models} ${digest} ${e.kind}${vector}\n`);
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
