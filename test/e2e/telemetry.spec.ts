import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { performCapture, RecordedPerson } from '#testing';
import { hasStrace, LOOKUP, outwardCalls, TRACE_CALLS } from '../outward-calls.js';
import { startWorld } from './world.js';

const ROOT = path.resolve(__dirname, '../..');
const MODEL = JSON.stringify(path.join(ROOT, 'models/eye-state-24.onnx'));
/** Loads the runtime past the place that forbids it to report, and stays. */
const UNFORBIDDEN = `
  require('onnxruntime-node').InferenceSession.create(require('fs').readFileSync(${MODEL}));
  setInterval(() => {}, 1000);`;

/**
 * What each of these Node processes runs before anything of its own: it waits until strace follows it, so that no call is
 * missed. Threads run this file as well, and are followed as children of their process.
 */
const HOOK = `
  if (require('node:worker_threads').isMainThread) {
    const fs = require('node:fs');
    const { NODE_OPTIONS: _hook, ...env } = process.env;
    const trace = process.env.TRACE_FOLDER + '/' + process.pid;
    const args = ${JSON.stringify(TRACE_CALLS)}.concat('-o', trace, '-p', String(process.pid));
    require('node:child_process').spawn('strace', args, { env, stdio: 'ignore', detached: true }).unref();
    while (/TracerPid:\\t0/.test(fs.readFileSync('/proc/self/status', 'utf8')))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    fs.writeFileSync(trace + '.followed', process.argv[1] ?? '');
  }`;

/** With `CI` set the library is quiet anyway; the processes of the stack do not get it from us. */
(hasStrace ? describe : describe.skip)('case 1: the running service reports to nobody', () => {
  jest.setTimeout(400_000);
  let dir: string;
  let control: ChildProcess | undefined;
  const watched = (name: string): { home: string; env: Record<string, string> } => {
    const folders = { home: path.join(dir, name, 'home'), traces: path.join(dir, name, 'traces') };
    for (const folder of Object.values(folders)) fs.mkdirSync(folder, { recursive: true });
    const hook = path.join(dir, 'hook.cjs');
    fs.writeFileSync(hook, HOOK);
    return {
      home: folders.home,
      env: { HOME: folders.home, NODE_OPTIONS: `--require=${hook}`, TRACE_FOLDER: folders.traces },
    };
  };
  const traces = (env: Record<string, string>): string[] => fs.readdirSync(env.TRACE_FOLDER!);
  const calls = (env: Record<string, string>): string[] =>
    traces(env).flatMap((file) => outwardCalls(path.join(env.TRACE_FOLDER!, file)));

  beforeAll(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'reports-'));
  });
  afterAll(() => {
    control?.kill('SIGKILL');
    fs.rmSync(dir, { recursive: true, force: true });
  });

  it('gateway, audit and a worker that has judged a face ask for no name, no other machine, and leave no file', async () => {
    const { home, env } = watched('service');
    const world = await startWorld({ name: 'telemetry', env });
    try {
      const owner = await world.enrolledUser('owner@example.org');
      const attempt = await performCapture(owner, new RecordedPerson(world.media, 'franck', 7), 'attempts');
      expect(attempt.end?.body.status).toBe('verified');

      // Only now, so that both are watched together: the same runtime, followed in the same way, has to be seen to ask.
      const other = watched('control');
      control = spawn(process.execPath, ['-e', UNFORBIDDEN], { cwd: ROOT, env: { PATH: process.env.PATH, ...other.env } });
      const from = performance.now();
      while (calls(other.env).length === 0 && performance.now() - from < 120_000) await sleep(100);
      expect(calls(other.env).join('\n')).toMatch(LOOKUP);
      expect(fs.readdirSync(other.home, { recursive: true }).join('\n')).toContain('onnxruntime');
      await sleep(2 * (performance.now() - from));

      const followed = traces(env)
        .filter((file) => file.endsWith('.followed'))
        .map((file) => fs.readFileSync(path.join(env.TRACE_FOLDER!, file), 'utf8'));
      for (const app of ['gateway', 'inference', 'audit'])
        expect(followed.some((file) => file.includes(`apps/${app}/`))).toBe(true);
      expect(calls(env)).toEqual([]);
      expect(fs.readdirSync(home, { recursive: true })).toEqual([]);
    } finally {
      await world.stop();
    }
  }); // prettier-ignore
});
