import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '../..');
const built = (file: string): string => JSON.stringify(path.join(ROOT, 'dist', file));
const FILES = `require(${built('apps/inference/src/model/model-files.js')}).readModelFiles('models/manifest.json')`;
const MODEL = JSON.stringify(path.join(ROOT, 'models/eye-state-24.onnx'));
const LOAD = (runtime: string): string =>
  `require(${runtime}).InferenceSession.create(require('fs').readFileSync(${MODEL})).then((s) => s.release())`;

/** As the product loads models: on threads, on the main thread, and in the threads of the attack suite. */
const WAYS: Record<string, string> = {
  'the threads of a worker': `
    ${FILES}.then(async ({ bytes }) => {
      const { ThreadPool } = require(${built('apps/inference/src/threads/pool.js')});
      const pool = new ThreadPool({ threads: 1, models: bytes });
      await pool.start();
      await pool.stop();
    })`,
  'the threads of the attack suite': `
    ${FILES}.then(async ({ bytes }) => {
      const { AnalysisPool } = require(${built('tools/attacks/analysis-pool.js')});
      await (await AnalysisPool.start(bytes, 1)).stop();
    })`,
  'the main thread of eval and bench': `
    ${FILES}.then(async ({ bytes }) => {
      const { OnnxNets } = require(${built('apps/inference/src/model/onnx.js')});
      await (await OnnxNets.load(bytes)).release();
    })`,
  'a tool that uses the runtime itself': LOAD(built('apps/inference/src/model/runtime.js')),
};

/** With `CI` set the library is quiet anyway, and nothing here could fail. */
function filesLeftBy(script: string): string[] {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'telemetry-'));
  try {
    const { CI: _quiet, ORT_DISABLE_TELEMETRY: _off, XDG_CACHE_HOME: _cache, ...env } = process.env;
    const run = spawnSync(process.execPath, ['-e', script], {
      cwd: ROOT,
      env: { ...env, HOME: home },
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect({ status: run.status, stderr: run.stderr }).toEqual({ status: 0, stderr: '' });
    return fs.readdirSync(home, { recursive: true, encoding: 'utf8' });
  } finally {
    fs.rmSync(home, { recursive: true, force: true });
  }
}

describe('case 1: onnxruntime reports nothing to its maker', () => {
  jest.setTimeout(120_000);

  it('though it would, loaded past the place that forbids it', () => {
    expect(filesLeftBy(LOAD("'onnxruntime-node'")).join('\n')).toContain('onnxruntime.db');
  });

  it.each(Object.entries(WAYS))('from %s', (_way, script) => {
    expect(filesLeftBy(script)).toEqual([]);
  });

  it('and a thread does not load it if its main thread has not forbidden that', () => {
    const script = `new (require('node:worker_threads').Worker)(${built('apps/inference/src/model/runtime.js')})
      .on('error', (error) => process.exit(/forbidden telemetry/.test(error.message) ? 0 : 1))`;
    expect(filesLeftBy(script)).toEqual([]);
  });
});
