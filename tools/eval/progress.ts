const BAR = 24;
const REDRAW_MS = 200;
const LINE_MS = 10_000;

export interface Progress {
  tick(n?: number): void;
  end(): void;
}

/** A bar on stderr: drawn in place on a terminal, a line every ten seconds elsewhere. Nothing goes to stdout. */
export function progress(label: string, total: number): Progress {
  const terminal = process.stderr.isTTY;
  const started = performance.now();
  let done = 0;
  let drawn = started;
  const draw = (end: boolean): void => {
    drawn = performance.now();
    const share = total > 0 ? Math.min(1, done / total) : 1;
    const seconds = (drawn - started) / 1000;
    const left = done > 0 && !end ? `, ${Math.ceil((seconds / done) * (total - done))} s left` : '';
    const bar = '█'.repeat(Math.round(share * BAR)).padEnd(BAR, '░');
    const text = `${label} ${bar} ${done}/${total}, ${Math.round(seconds)} s${left}`;
    process.stderr.write(terminal ? `\r\x1b[K${text}${end ? '\n' : ''}` : `${text}\n`);
  };
  return {
    tick(n = 1) {
      done += n;
      if (performance.now() - drawn > (terminal ? REDRAW_MS : LINE_MS)) draw(false);
    },
    end() {
      draw(true);
    },
  };
}
