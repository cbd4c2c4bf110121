import { spawnSync } from 'node:child_process';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '../..');
const built = (file: string): string => JSON.stringify(path.join(ROOT, 'dist', file));

/** Threads are made to end at once, wherever they are: in a run of a net, in libvips, or while they load models. */
const SCRIPT = `
const { readModelFiles } = require(${built('apps/inference/src/model/model-files.js')});
const { ThreadPool } = require(${built('apps/inference/src/threads/pool.js')});
const { encodeStep } = require(${built('libs/testing/src/index.js')});
const fs = require('node:fs');
const sharp = require('sharp');
(async () => {
  const { bytes } = await readModelFiles('models/manifest.json');
  const jpeg = fs.readFileSync('test/media/franck/neutral-1/003.jpg');
  const unusual = await sharp(jpeg).webp().toBuffer();
  const pool = new ThreadPool({ threads: 2, models: bytes, taskMs: 40, endMs: 0 });
  await pool.start();
  let lost = 0;
  for (let i = 0; i < 8; i++) {
    while (!pool.ready) await new Promise((resolve) => setTimeout(resolve, 20));
    const one = i % 2 ? unusual : jpeg;
    const frames = Array.from({ length: 60 }, (_, n) => ({ tMs: 40 * n, jpeg: Buffer.concat([one, Buffer.from([n])]) }));
    await pool.analyse(encodeStep(frames), 'blink').catch(() => lost++);
  }
  const loading = new ThreadPool({ threads: 1, models: bytes, endMs: 0 });
  const started = loading.start().catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await Promise.all([loading.stop(), pool.stop(), started]);
  console.log('lost ' + lost);
})();
`;

it('13.1: a thread that is made to end within native code does not take the process with it', () => {
  const run = spawnSync(process.execPath, ['-e', SCRIPT], { cwd: ROOT, encoding: 'utf8', timeout: 110_000 });
  expect({ status: run.status, signal: run.signal, stderr: run.stderr }).toEqual({
    status: 0,
    signal: null,
    stderr: '',
  });
  expect(run.stdout).toMatch(/^lost [1-8]$/m);
}, 120_000);
