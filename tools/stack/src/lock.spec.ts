import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isAlive, tryLock, waitForLock } from './lock.js';

describe('the lock', () => {
  let file: string;
  beforeEach(() => (file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'lock-')), 'lock')));
  afterEach(() => fs.rmSync(path.dirname(file), { recursive: true, force: true }));

  it('is held by one at a time and free after its release', async () => {
    const first = await tryLock(file);
    expect(first).toBeDefined();
    expect(await tryLock(file)).toBeUndefined();
    await first?.release();
    const second = await tryLock(file);
    expect(second).toBeDefined();
    await second?.release();
  });

  it('is waited for, and the wait is told once', async () => {
    const first = await tryLock(file);
    let told = 0;
    const waiting = waitForLock(file, () => told++);
    await new Promise((resolve) => setTimeout(resolve, 600));
    await first?.release();
    await (await waiting).release();
    expect(told).toBe(1);
  });

  it('of a killed process is free', async () => {
    // The holder is what tryLock starts: a flock whose input closes when its parent dies.
    const script = `require('child_process').spawn('flock', ['-x', '-n', '--no-fork', ${JSON.stringify(file)}, 'sh', '-c', 'echo held; exec cat'],
      { stdio: ['pipe', 'inherit', 'ignore'], detached: true }); setInterval(() => {}, 1000)`;
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(holder.stdout, 'data');
    expect(await tryLock(file)).toBeUndefined();
    holder.kill('SIGKILL');
    await (await waitForLock(file, () => undefined)).release();
  });

  it('a zombie is not alive, somebody else’s process is', async () => {
    expect(isAlive(process.pid)).toBe(true);
    expect(isAlive(1)).toBe(true);
    expect(isAlive(2 ** 22 + 1)).toBe(false);
  });
});
