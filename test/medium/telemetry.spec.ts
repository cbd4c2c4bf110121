import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasStrace, LOOKUP, outwardCalls, TRACE_CALLS } from '../outward-calls.js';

const ROOT = path.resolve(__dirname, '../..');
const built = (file: string): string => JSON.stringify(path.join(ROOT, 'dist', file));
const FILES = `require(${built('apps/inference/src/model/model-files.js')}).readModelFiles('models/manifest.json')`;
const MODEL = JSON.stringify(path.join(ROOT, 'models/eye-state-24.onnx'));
const LOAD = (runtime: string): string =>
  `require(${runtime}).InferenceSession.create(require('fs').readFileSync(${MODEL})).then((s) => s.release())`;

/** As the product loads models: on threads, on the main thread, and in the threads of the attack suite. */
const WAYS: Record<string, string> = {
  'the threads of a worker, which analyse a step': `
    ${FILES}.then(async ({ bytes }) => {
      const { ThreadPool } = require(${built('apps/inference/src/threads/pool.js')});
      const { encodeStep, Media } = require(${built('libs/testing/src/index.js')});
      const media = new Media('test/media');
      const film = await media.load(media.takes('franck', 'smile')[0].segment);
      const pool = new ThreadPool({ threads: 1, models: bytes });
      await pool.start();
      const { frames } = await pool.analyse(encodeStep(film), 'smile');
      await pool.stop();
      if (!(frames > 0)) throw new Error('no frame was analysed');
    })`,
  'what the gateway and audit are made of': `
    Promise.all([${built('apps/gateway/src/app.module.js')}, ${built('apps/audit/src/app.module.js')}].map((file) => require(file)))`,
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
  'a test, whose process has read the configuration of Jest': `
    (require(${JSON.stringify(path.join(ROOT, 'jest.config.cjs'))}), ${LOAD("'onnxruntime-node'")})`,
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

/** Runs a script that does not end by itself under strace, until it has been seen to ask, or for so long after it is done. */
async function asked(script: string, quietMs: number): Promise<{ calls: string[]; afterMs: number }> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'look-ups-'));
  const trace = path.join(home, 'trace');
  const { CI: _quiet, ORT_DISABLE_TELEMETRY: _off, XDG_CACHE_HOME: _cache, ...env } = process.env;
  const calls = (): string[] => outwardCalls(trace);
  const args = [...TRACE_CALLS, '-o', trace, process.execPath, '-e'];
  const stay = `Promise.resolve(${script.trim()}).then(() => { console.log('done'); setInterval(() => {}, 1000); })`;
  const child = spawn('strace', [...args, stay], { cwd: ROOT, env: { ...env, HOME: home }, detached: true });
  try {
    let said = '';
    child.stdout.on('data', (bytes: Buffer) => (said += String(bytes)));
    child.stderr.on('data', (bytes: Buffer) => (said += String(bytes)));
    while (!said.includes('done')) {
      if (child.exitCode !== null) throw new Error(said);
      await sleep(50);
    }
    const from = performance.now();
    while (calls().length === 0 && performance.now() - from < quietMs) await sleep(100);
    return { calls: calls(), afterMs: performance.now() - from };
  } finally {
    const ended = child.exitCode === null ? once(child, 'exit') : null;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await ended;
    fs.rmSync(home, { recursive: true, force: true });
  }
}

(hasStrace ? describe : describe.skip)('case 1: onnxruntime asks for nobody', () => {
  jest.setTimeout(300_000);
  /** Of the script, with the sessions left open: on its own the runtime reports some seconds after it has loaded. */
  let usualMs = 0;
  beforeAll(async () => {
    const open = `require('onnxruntime-node').InferenceSession.create(require('fs').readFileSync(${MODEL}))`;
    const { calls, afterMs } = await asked(open, 120_000);
    expect(calls.join('\n')).toMatch(LOOKUP);
    usualMs = afterMs;
  });

  it.each(Object.entries(WAYS))('from %s, for twice as long as it takes to ask when nothing forbids it', async (_way, script) => {
    expect((await asked(script, 2 * usualMs + 2_000)).calls).toEqual([]);
  }); // prettier-ignore
});
