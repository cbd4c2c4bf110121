import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { digestText, manifestSchema, MODEL_ROLES, type ModelEntry, type ModelManifest } from '#contracts';
import { refersToOtherFiles } from './onnx-references.js';
import { inputProblem, recognisersOf } from './model-inputs.js';
import type { ModelBytes } from './onnx.js';

/** A model folder that is not exactly what its manifest says. Names the file and the reason. */
export class ModelFilesError extends Error {
  constructor(why: string) {
    super(`models: ${why}`);
    this.name = 'ModelFilesError';
  }
}

export interface ModelFiles {
  manifest: ModelManifest;
  bytes: ModelBytes;
}

/**
 * Locates and verifies the models. Each file is opened once, without following a link, and read once: what was hashed
 * is what is loaded. Refuses whatever the manifest does not name, and models that would read other files.
 */
export async function readModelFiles(manifestPath: string): Promise<ModelFiles> {
  const stat = await lstat(path.dirname(manifestPath)).catch(() => null);
  if (stat?.isSymbolicLink()) throw new ModelFilesError('the folder is a link');
  const manifest = await readManifest(manifestPath);
  const folder = path.dirname(manifestPath);
  const entries = [...MODEL_ROLES.map((role) => manifest.models[role]), ...manifest.recognisers];
  const named = new Set(entries.map((entry) => entry.file));
  if (named.size < entries.length) throw new ModelFilesError('the manifest names a file twice');
  for (const file of await readdir(folder)) {
    if (/\.onnx/i.test(file) && !named.has(file)) throw new ModelFilesError(`${file} is not in the manifest`);
  }
  const nets: Partial<ModelBytes['nets']> = {};
  for (const role of MODEL_ROLES) nets[role] = await readVerified(folder, manifest.models[role]);
  const recognisers: ModelBytes['recognisers'][number][] = [];
  for (const [i, recogniser] of recognisersOf(manifest).entries())
    recognisers.push({ bytes: await readVerified(folder, manifest.recognisers[i]!), recogniser });
  const onePersonFrames = manifest.thresholds.onePerson.frames;
  return { manifest, bytes: { nets: nets as ModelBytes['nets'], recognisers, onePersonFrames } };
}

/** The name that templates and thresholds belong to. */
export const manifestDigest = (manifest: Pick<ModelManifest, 'models' | 'recognisers'>): string =>
  createHash('sha256').update(digestText(manifest)).digest('hex');

async function readManifest(manifestPath: string): Promise<ModelManifest> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(manifestPath, 'utf8'));
  } catch {
    throw new ModelFilesError('the manifest cannot be read');
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success)
    throw new ModelFilesError(
      `the manifest is wrong at ${parsed.error.issues.map((i) => i.path.join('.')).join(', ')}`,
    );
  const manifest = parsed.data;
  const digest = manifestDigest(manifest);
  if (digest !== manifest.digest)
    throw new ModelFilesError(`the digest of the manifest is not that of its models, which is ${digest}`);
  if (digest !== manifest.thresholds.models)
    throw new ModelFilesError('the thresholds of the manifest were measured with other models: calibrate');
  const problem = inputProblem(manifest);
  if (problem) throw new ModelFilesError(problem);
  return manifest;
}

async function readVerified(folder: string, entry: ModelEntry): Promise<Uint8Array> {
  let handle: FileHandle;
  try {
    handle = await open(path.join(folder, entry.file), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    const link = (error as NodeJS.ErrnoException).code === 'ELOOP';
    throw new ModelFilesError(`${entry.file} ${link ? 'is a link' : 'cannot be opened'}`);
  }
  try {
    const { size } = await handle.stat();
    if (size !== entry.bytes) throw new ModelFilesError(`${entry.file} has ${size} bytes, not ${entry.bytes}`);
    const bytes = await handle.readFile();
    if (createHash('sha256').update(bytes).digest('hex') !== entry.sha256)
      throw new ModelFilesError(`${entry.file} has another digest`);
    if (refersToOtherFiles(bytes)) throw new ModelFilesError(`${entry.file} keeps data outside of itself`);
    return bytes;
  } finally {
    await handle.close();
  }
}
