import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const CHUNK = 64 * 1024;
const POLL_MS = 10;

type Line = Record<string, unknown> & { msg?: unknown };

/** Reads on in a log that an app is writing, and remembers when it first said what. */
export class AppLog {
  private readonly said = new Map<string, number>();
  private readonly buffer = Buffer.alloc(CHUNK);
  private at = 0;
  private rest = '';

  /** @param keyOf what a line says, if it is of interest. */
  constructor(
    private readonly file: string,
    private readonly keyOf: (line: Line) => string | null,
  ) {}

  /** Clock time in ms when the app said so; null: not until `waitMs` from now. */
  async when(key: string, waitMs = 0): Promise<number | null> {
    for (const until = performance.now() + waitMs; ; await sleep(POLL_MS)) {
      this.read();
      const at = this.said.get(key);
      if (at !== undefined || performance.now() >= until) return at ?? null;
    }
  }

  private read(): void {
    if (!existsSync(this.file)) return;
    const fd = openSync(this.file, 'r');
    try {
      for (let n; (n = readSync(fd, this.buffer, 0, CHUNK, this.at)) > 0; this.at += n)
        this.rest += this.buffer.toString('utf8', 0, n);
    } finally {
      closeSync(fd);
    }
    const lines = this.rest.split('\n');
    this.rest = lines.pop() ?? '';
    for (const text of lines) this.take(text);
  }

  private take(text: string): void {
    const from = text.indexOf('{');
    if (from < 0) return;
    let line: Line;
    try {
      line = JSON.parse(text.slice(from)) as Line;
    } catch {
      return;
    }
    const key = this.keyOf(line);
    if (key !== null && !this.said.has(key)) this.said.set(key, Date.parse(String(line.time)));
  }
}
