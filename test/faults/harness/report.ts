import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { type Finding, isSkipped, type Skipped } from './scenario.js';

const HEAD = ['test', 'scenario', 'what was done', 'what was found', 'result', 'date', 'servers', 'machine'];
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

/** Puts the rows into the file: in place of those of the same name, else where their name belongs. */
export function writeRows(file: string, rows: readonly (Finding | Skipped)[], made: Made): void {
  const kept = existsSync(file) ? rowsOf(readFileSync(file, 'utf8')) : new Map<string, string>();
  for (const row of rows) kept.set(row.id, line(cells(row, made)));
  const ordered = [...kept].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })).map(([, text]) => text);
  writeFileSync(file, `${PREFACE}\n${[line(HEAD), line(HEAD.map(() => '---')), ...ordered].join('\n')}\n`);
}

function rowsOf(document: string): Map<string, string> {
  const lines = document.split('\n').filter((text) => /^\| T\d/.test(text));
  return new Map(lines.map((text) => [text.split('|')[1]?.trim() ?? '', text]));
}

function cells(row: Finding | Skipped, { date, servers }: Made): string[] {
  if (isSkipped(row)) return [row.id, row.scenario, '–', row.why, 'not run here', date, servers, machine()];
  return [row.id, row.scenario, row.injected, row.found, boundOf(row), date, servers, machine()];
}

const line = (cell: readonly string[]): string =>
  `| ${cell.map((text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
