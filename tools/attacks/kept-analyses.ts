import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { StepAnalysis } from '../../apps/inference/src/pipeline/analyse.js';
import type { Look } from './camera.js';

/** What only judges: another version of it leaves what the nets found as it is. */
const JUDGES = /^(judge-|gestures)/;

/**
 * Analyses in a folder, for the next run: with the same models and the same code in front of the judge, a film of the
 * same name and look gives the same numbers. Embeddings are among them: the folder is as private as the footage.
 */
export class KeptAnalyses {
  private readonly version: string;

  constructor(
    private readonly folder: string,
    modelDigest: string,
  ) {
    mkdirSync(folder, { recursive: true });
    const hash = createHash('sha256').update(modelDigest);
    const pipeline = path.join(__dirname, '../../apps/inference/src/pipeline');
    for (const name of readdirSync(pipeline).sort())
      if (name.endsWith('.js') && !JUDGES.test(name)) hash.update(readFileSync(path.join(pipeline, name)));
    this.version = hash.digest('hex');
  }

  find(key: string, look: Look): StepAnalysis | null {
    try {
      return deserialize(readFileSync(this.fileOf(key, look))) as StepAnalysis;
    } catch {
      return null;
    }
  }

  keep(key: string, look: Look, analysis: StepAnalysis): void {
    const file = this.fileOf(key, look);
    writeFileSync(`${file}.part`, serialize(analysis), { mode: 0o600 });
    renameSync(`${file}.part`, file);
  }

  private fileOf(key: string, look: Look): string {
    const name = createHash('sha256')
      .update(JSON.stringify([this.version, key, look]))
      .digest('hex');
    return path.join(this.folder, name);
  }
}
