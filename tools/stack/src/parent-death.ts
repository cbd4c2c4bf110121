import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

interface Wrapped {
  command: string;
  args: string[];
  /** To be called once the child runs. */
  register: (child: ChildProcess) => void;
}

/**
 * Makes a child die when this process dies, even of SIGKILL. Linux does it in the kernel (`setpriv --pdeathsig`, which
 * execs, so that the pid stays the child's own); elsewhere a small watcher notices that the pipe from us has closed.
 */
export function dieWithParent(command: string, args: string[]): Wrapped {
  if (kernelDoesIt()) {
    return { command: 'setpriv', args: ['--pdeathsig', 'KILL', '--', command, ...args], register: () => undefined };
  }
  return {
    command,
    args,
    register: (child) => {
      const { pid } = child;
      const watch = watcher();
      watch.stdin?.write(`+${pid}\n`);
      child.once('exit', () => watch.stdin?.write(`-${pid}\n`));
    },
  };
}

let setpriv: boolean | undefined;
function kernelDoesIt(): boolean {
  // Tried and not just looked for: busybox has a setpriv without this option.
  setpriv ??= process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0;
  return setpriv;
}

const WATCHER = `
  const pids = new Set();
  const lines = require('node:readline').createInterface({ input: process.stdin });
  lines.on('line', (line) => (line[0] === '+' ? pids.add(+line.slice(1)) : pids.delete(+line.slice(1))));
  lines.on('close', () => { for (const pid of pids) try { process.kill(pid, 'SIGKILL'); } catch {} process.exit(); });
  for (const s of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(s, () => {});`;

let running: ChildProcess | undefined;
function watcher(): ChildProcess {
  if (!running) {
    running = spawn(process.execPath, ['-e', WATCHER], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    running.unref();
    (running.stdin as { unref?(): void } | null)?.unref?.();
    running.stdin?.on('error', () => undefined);
  }
  return running;
}
