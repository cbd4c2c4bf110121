import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { dieWithParent } from './parent-death.js';

const LINES_KEPT = 200;
const LOG_BYTES_MAX = 5_000_000;

export interface ProcessSpec {
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  cwd?: string;
  /** Whom to run as; only root can ask for it. */
  user?: { uid: number; gid: number };
  /** Written to the process's standard input, which is then closed. For configuration that must not show in `ps`. */
  input?: string;
  logFile?: string;
}

/** One child process that can be started, killed and started again, that never outlives us, and whose output is kept. */
export class ManagedProcess extends EventEmitter<{ died: [how: string] }> {
  private child: ChildProcess | undefined;
  private exited: Promise<void> = Promise.resolve();
  private ending = false;
  /** How it ended the last time: its exit code, or the signal it died of. */
  ended: string | undefined;
  private readonly kept: string[] = [];

  constructor(readonly spec: ProcessSpec) {
    super();
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  get running(): boolean {
    return this.child !== undefined;
  }

  /** The last lines it wrote, oldest first. */
  get lines(): string[] {
    return [...this.kept];
  }

  /** Resolves when the operating system has started it; readiness is the caller's to find out. */
  async start(): Promise<void> {
    if (this.child) throw new Error(`${this.spec.name} is running already`);
    const { command, args, register } = dieWithParent(this.spec.command, this.spec.args);
    const child = spawn(command, args, {
      ...this.spec.user,
      cwd: this.spec.cwd,
      env: this.spec.env,
      // Ctrl-C in a terminal reaches the whole process group: servers that end by it are gone before what needs them is.
      detached: true,
      stdio: [this.spec.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    this.ending = false;
    this.child = child;
    this.collect(child);
    this.exited = new Promise((resolve) => {
      // `close` and not `exit`: the last lines a dying process wrote are what one wants to read.
      child.once('close', (code, signal) => {
        this.child = undefined;
        this.ended = signal ?? String(code);
        resolve();
        if (!this.ending) this.emit('died', signal ? `was killed by ${signal}` : `exited with code ${code}`);
      });
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      this.child = undefined;
      throw new Error(`${this.spec.name}: cannot run ${command}`, { cause: error });
    }
    register(child);
    child.stdin?.on('error', () => undefined).end(this.spec.input);
  }

  /** Sends a signal and resolves when the process is dead. Not reported as an unexpected death. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    this.ending = true;
    this.child?.kill(signal);
    await this.exited;
  }

  /** A signal that only changes how it runs (SIGSTOP, SIGCONT, SIGHUP): nothing to wait for. */
  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  /** Asks it to end; forces it after `graceMs`. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 20_000): Promise<void> {
    const force = setTimeout(() => this.child?.kill('SIGKILL'), graceMs);
    await this.kill(signal);
    clearTimeout(force);
  }

  /** Polls `ready` until it holds; fails with the process's own last words if it ends first. */
  async waitUntil(ready: () => Promise<boolean>, timeoutMs: number, everyMs = 25): Promise<void> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      if (!this.child) throw new Error(`${this.spec.name} ended before it was ready${this.lastWords()}`);
      if (await ready()) return;
      if (performance.now() > until) {
        throw new Error(`${this.spec.name} is not ready after ${timeoutMs / 1000} s${this.lastWords()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  }

  lastWords(count = 20): string {
    return this.kept.length ? `; its last lines:\n  ${this.kept.slice(-count).join('\n  ')}` : ' and wrote nothing';
  }

  private collect(child: ChildProcess): void {
    const file = this.spec.logFile && openLog(this.spec.logFile);
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      readline.createInterface({ input: stream }).on('line', (line) => {
        this.kept.push(line);
        if (this.kept.length > LINES_KEPT) this.kept.shift();
        if (file) file.write(`${line}\n`);
      });
    }
    if (file) child.once('close', () => file.end());
  }
}

function openLog(file: string): fs.WriteStream {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const size = fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) fs.renameSync(file, `${file}.1`);
  return fs.createWriteStream(file, { flags: 'a', mode: 0o600 });
}
