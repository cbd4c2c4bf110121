import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';

export interface Lock {
  release(): Promise<void>;
}

/**
 * A lock that cannot become stale. `flock` (util-linux) holds it in a child whose input we keep open: whatever ends us
 * also ends the child, and the kernel drops the lock. Undefined when somebody else has it.
 */
export async function tryLock(file: string): Promise<Lock | undefined> {
  return flockWorks() ? tryFlock(file) : tryPidFile(file);
}

/** Waits for the lock; `onWait` is called once if somebody else has it now. */
export async function waitForLock(file: string, onWait: () => void): Promise<Lock> {
  for (let told = false; ; told = true) {
    const lock = await tryLock(file);
    if (lock) return lock;
    if (!told) onWait();
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

let flock: boolean | undefined;
function flockWorks(): boolean {
  flock ??= spawnSync('flock', ['--version']).status === 0;
  return flock;
}

async function tryFlock(file: string): Promise<Lock | undefined> {
  // `detached`: Ctrl-C in a terminal reaches the whole process group, and the lock must outlast our own clean-up.
  const holder = spawn(
    'flock',
    ['--exclusive', '--nonblock', '--no-fork', file, 'sh', '-c', 'echo held; exec cat >/dev/null'],
    {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    },
  );
  holder.stdin.on('error', () => undefined);
  const exited = once(holder, 'exit');
  const held = await Promise.race([once(holder.stdout, 'data').then(() => true), exited.then(() => false)]);
  if (!held) return undefined;
  holder.unref();
  return {
    async release() {
      holder.ref();
      holder.stdin.end();
      await exited;
    },
  };
}

/** Where there is no flock: a file with our pid, ignored when that process is gone. */
function tryPidFile(file: string): Lock | undefined {
  const lock = `${file}.pid`;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      fs.writeFileSync(lock, String(process.pid), { flag: 'wx' });
      return { release: async () => fs.rmSync(lock, { force: true }) };
    } catch {
      if (isAlive(Number(fs.readFileSync(lock, 'utf8')))) return undefined;
      fs.rmSync(lock, { force: true });
    }
  }
  return undefined;
}

/** A zombie counts as dead: without an init process in the container it would stay for ever. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    return !/^State:\s+[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}
