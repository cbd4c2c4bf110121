import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { type Finding, isSkipped, type Row } from './scenario.js';

const HEAD = ['test', 'scenario', 'what was done', 'what was found', 'result', 'took', 'date', 'servers', 'machine'];
const PREFACE = `# Reliability

Written by \`npm run faults\`, a row a test; not typed by hand. Each row was made on real processes and real servers: what
is killed is killed with SIGKILL, what is cut is cut. A run of some tests (\`npm run faults -- --only T21\`) replaces their
rows and keeps the others. Where nothing went wrong in n trials, the true rate is at most 3/n at 95 %: that bound stands
beside the result. In the workers everything is the product's but the models: what these would find is
written into the frames.
`;

export interface Made {
  date: string;
  servers: string;
}

const machine = (): string => `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}, Node ${process.versions.node}`;

/** At most 3/n, of which nothing was seen (the rule of three). */
export const boundOf = ({ ok, trials }: Finding): string => {
  if (!ok) return '**failed**';
  return trials === undefined ? 'passed' : `passed, 0 of ${trials}: ≤ ${percent(Math.min(1, 3 / trials))}`;
};

const percent = (share: number): string => `${Number((share * 100).toPrecision(2))} %`;

/** The document. Each row is written when it is made, in place of the one of the same name. */
export class Report {
  constructor(
    private readonly file: string,
    private readonly made: Made,
  ) {}

  write(row: Row, took: string): void {
    const rows = this.read();
    rows.set(row.id, line(cells(row, took, this.made)));
    this.store(rows);
  }

  /** A test was made from its first row to its last: what else stands there of it is of another day. */
  forgetOthers(testId: string, own: readonly Row[]): void {
    const rows = this.read();
    for (const id of rows.keys()) if (id.split(' ')[0] === testId && !own.some((row) => row.id === id)) rows.delete(id);
    this.store(rows);
  }

  private read(): Map<string, string> {
    const lines = existsSync(this.file) ? readFileSync(this.file, 'utf8').split('\n') : [];
    const rows = lines.filter((text) => /^\| T\d/.test(text));
    return new Map(rows.map((text) => [text.split('|')[1]?.trim() ?? '', text]));
  }

  private store(rows: ReadonlyMap<string, string>): void {
    const ordered = [...rows].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })).map(([, text]) => text);
    writeFileSync(this.file, `${PREFACE}\n${[line(HEAD), line(HEAD.map(() => '---')), ...ordered].join('\n')}\n`);
  }
}

function cells(row: Row, took: string, { date, servers }: Made): string[] {
  const told = isSkipped(row) ? ['–', row.why, 'not run here'] : [row.injected, row.found, boundOf(row)];
  return [row.id, row.scenario, ...told, took, date, servers, machine()];
}

const line = (cell: readonly string[]): string =>
  `| ${cell.map((text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
