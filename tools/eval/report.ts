import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';

export interface Table {
  head: string[];
  rows: string[][];
}

/** What a command has to say in prose and figures. */
export interface Section {
  paragraphs: string[];
  table?: Table;
  notes?: string[];
}

export interface SectionHead {
  /** Also the name by which a later run replaces the section. */
  title: string;
  command: string;
  date: string;
  modelDigest: string;
}

const PREFACE = `# Accuracy

Written by \`npm run -s eval -- COMMAND … --markdown docs/accuracy.md\`, a section a run; not typed by hand. All bounds are
exact (Clopper–Pearson) at 95 %. FMR: false match rate; FNMR: false non-match rate; APCER and BPCER: attacks not denied
and genuine presentations denied. Figures hold for the data named in their section and no further: measure on your own
people with the same commands.
`;

/** Two decimals, or two significant digits of what is smaller. */
export function percent(share: number): string {
  const value = share * 100;
  return `${value === 0 || value >= 0.095 ? value.toFixed(2) : value.toPrecision(2)} %`;
}

/** Puts the section into the file: in place of the one with the same title, else at the end. */
export function writeSection(file: string, head: SectionHead, section: Section): void {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : PREFACE;
  writeFileSync(file, withSection(before, head, section));
}

export function withSection(document: string, head: SectionHead, section: Section): string {
  const begin = `<!-- eval:begin ${head.title} -->`;
  const end = `<!-- eval:end ${head.title} -->`;
  const text = `${begin}\n\n${sectionText(head, section)}\n${end}\n`;
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) return `${document.trimEnd()}\n\n${text}`;
  return document.slice(0, from) + text + document.slice(to + end.length).replace(/^\n/, '');
}

const machine = (): string => `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}, Node ${process.versions.node}`;

function sectionText(head: SectionHead, { paragraphs, table, notes }: Section): string {
  const parts = [
    `## ${head.title}`,
    `${head.date}, \`${head.command}\`, models \`${head.modelDigest.slice(0, 12)}\`, ${machine()}.`,
    ...paragraphs.filter((p) => p !== ''),
  ];
  if (table) parts.push(tableText(table));
  if (notes && notes.length > 0) parts.push(notes.map((n) => `- ${n}`).join('\n'));
  return `${parts.join('\n\n')}\n`;
}

export function tableText({ head, rows }: Table): string {
  const line = (cells: string[]): string => `| ${cells.map((c) => c.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
