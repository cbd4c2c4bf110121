import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { manifestSchema, MODEL_ROLES, type ModelManifest } from '#contracts';
import { refersToOtherFiles } from './onnx-references.js';
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
  const manifest = await readManifest(manifestPath);
  const folder = path.dirname(manifestPath);
  const named = new Set(MODEL_ROLES.map((role) => manifest.models[role].file));
  for (const file of await readdir(folder)) {
    if (/\.onnx/i.test(file) && !named.has(file)) throw new ModelFilesError(`${file} is not in the manifest`);
  }
  const bytes: Partial<ModelBytes> = {};
  for (const role of MODEL_ROLES) bytes[role] = await readVerified(folder, manifest.models[role]);
  return { manifest, bytes: bytes as ModelBytes };
}

/** SHA-256 over the lines `role:sha256\n`, sorted by role: the name that templates and thresholds belong to. */
export function manifestDigest(models: ModelManifest['models']): string {
  const hash = createHash('sha256');
  for (const role of [...MODEL_ROLES].sort()) hash.update(`${role}:${models[role].sha256}\n`);
  return hash.digest('hex');
}

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
  if (manifestDigest(parsed.data.models) !== parsed.data.digest)
    throw new ModelFilesError('the digest of the manifest is not that of its models');
  return parsed.data;
}

async function readVerified(folder: string, entry: ModelManifest['models'][keyof ModelManifest['models']]) {
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
