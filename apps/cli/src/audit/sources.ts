import fs from 'node:fs';
import {
  type CheckpointRecord,
  type CheckpointSources,
  decodeEntry,
  type ExportLine,
  isIndexedAs,
  LogVerifier,
  type NoteVerifier,
  readCheckpointLine,
  readExportLine,
  recordOf,
  type StoredEntry,
  type VerifyReport,
} from '#audit-log';
import { CommandError } from '../command.js';
import type { LogRepository } from './log.repository.js';

type Progress = (entries: number, total: number | null) => void;
const PROGRESS_EVERY = 5_000;

/** Lines of checkpoints that were written outside the database; what is no checkpoint is an error, not passed over. */
export function readCheckpointFile(file: string): CheckpointRecord[] {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const hint = isMissing ? ' (the audit service writes the first one 60 s after the first entry)' : '';
    throw new CommandError(`the file of checkpoints cannot be read: ${file}${hint}`);
  }
  const lines = text.split('\n');
  // A line that a crash cut short is no checkpoint: it is the last one, or the whole one follows it.
  const isTorn = (line: string, next: string | undefined): boolean =>
    line.length > 0 && next?.startsWith(line) === true && readCheckpointLine(next) !== null;
  const whole = lines.slice(0, -1).filter((line, i) => readCheckpointLine(line) ?? !isTorn(line, lines[i + 1]));
  return whole.map((line) => readCheckpointLine(line) ?? { note: '', leaves: [] });
}

/** The stored log against its checkpoints, and every stored row against its own entry. */
export async function verifyStored(
  log: LogRepository,
  verifier: NoteVerifier | null,
  outside: CheckpointSources['outside'],
  progress: Progress,
): Promise<VerifyReport> {
  const check = new LogVerifier(verifier, { inside: await log.checkpoints(), outside });
  const days = await log.days();
  const total = await log.count();
  let read = 0;
  for await (const row of log.rows()) {
    const problem = addRow(check, row, days);
    if (problem) check.report(Number.isSafeInteger(row.seq) ? row.seq : null, 'not_indexed_as_it_is', problem);
    read += 1;
    if (read % PROGRESS_EVERY === 0) progress(read, total);
  }
  if (read < total) check.report(read, 'out_of_order', `${total - read} rows have no place in the order of the log`);
  return check.finish();
}

function addRow(check: LogVerifier, row: StoredEntry, days: ReadonlySet<string>): string | null {
  const encoded = typeof row.entry === 'string' ? row.entry : '';
  const entry = decodeEntry(encoded);
  const payload = Array.isArray(row.payload) ? row.payload : [];
  check.add(recordOf({ ...row, entry: encoded, payload }, entry?.payloadCommits ?? []));
  if (!entry) return null;
  if (!isIndexedAs(row, entry)) return `what stands beside entry ${entry.seq} for searching differs from the entry`;
  return days.has(row.day) ? null : `the day of entry ${entry.seq} is not listed, so a reader would not find it`;
}

/** An export. Its checkpoints come before its records, so one reading is enough. */
export async function verifyExport(
  file: string,
  verifier: NoteVerifier | null,
  outside: CheckpointSources['outside'],
  progress: Progress,
): Promise<VerifyReport> {
  const reader = new ExportReader(file, verifier, outside);
  let shown = 0;
  for await (const lines of linesOf(file)) {
    for (const line of lines) reader.read(line);
    if (reader.records - shown >= PROGRESS_EVERY) progress((shown = reader.records), null);
  }
  return reader.finish();
}

class ExportReader {
  records = 0;
  private isOpen = false;
  private check: LogVerifier | null = null;
  private readonly inside: CheckpointRecord[] = [];

  constructor(
    private readonly file: string,
    private readonly verifier: NoteVerifier | null,
    private readonly outside: CheckpointSources['outside'],
  ) {}

  read(line: string): void {
    const found = readExportLine(line);
    if (!this.isOpen) return this.open(found);
    if (found?.kind === 'checkpoint' && !this.check) return void this.inside.push(found.checkpoint);
    this.check ??= this.verifierOf();
    // A line that is no record stands for the entry that should be there.
    this.check.add(found?.kind === 'record' ? found.record : { entry: line, parts: [] });
    this.records += 1;
  }

  finish(): VerifyReport {
    if (!this.isOpen) throw new CommandError(`${this.file} is empty`);
    return (this.check ?? this.verifierOf()).finish();
  }

  private verifierOf(): LogVerifier {
    return new LogVerifier(this.verifier, { inside: this.inside, outside: this.outside });
  }

  private open(first: ExportLine | null): void {
    if (first?.kind !== 'header') throw new CommandError(`${this.file} is not an export of an audit log`);
    if (this.verifier && this.verifier.name !== first.origin) {
      throw new CommandError(`${this.file} is of the log ${first.origin}, the key of ${this.verifier.name}`);
    }
    this.isOpen = true;
  }
}

/** Lists of whole lines, so that no line has to be waited for by itself. */
async function* linesOf(file: string): AsyncGenerator<string[]> {
  const input = fs.createReadStream(file, { highWaterMark: 1 << 20, encoding: 'utf8' });
  try {
    await new Promise<void>((resolve, reject) => input.once('open', () => resolve()).once('error', reject));
  } catch {
    throw new CommandError(`the export cannot be read: ${file}`);
  }
  let rest = '';
  for await (const chunk of input as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield lines;
  }
  if (rest) yield [rest];
}
