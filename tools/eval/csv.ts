import { readFileSync } from 'node:fs';
import path from 'node:path';
import { UsageError } from './fault.js';

/** One row: its values by column and the line it stands on, for messages. */
export interface Row {
  line: number;
  values: Record<string, string>;
}

/** Reads a CSV file with a header; see `parseCsv`. */
export function readCsv(file: string, required: readonly string[], optional: readonly string[] = []): Row[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    throw new UsageError(`${file} cannot be read`);
  }
  return parseCsv(text, path.basename(file), required, optional);
}

/**
 * RFC 4180: comma, quotes doubled inside quotes, CRLF or LF, a byte order mark is skipped, empty lines too. Throws
 * UsageError with the file's name and the line for a missing or unknown column, an empty required value, a row that is
 * too short or too long, or an open quote.
 */
export function parseCsv(
  text: string,
  name: string,
  required: readonly string[],
  optional: readonly string[] = [],
): Row[] {
  const records = recordsOf(text.replace(/^\uFEFF/, ''), name);
  const header = records.shift();
  if (!header) throw new UsageError(`${name}: empty; the first line must name ${required.join(',')}`);
  const columns = header.fields.map((f) => f.trim());
  for (const column of required)
    if (!columns.includes(column)) throw new UsageError(`${name}:${header.line}: no column "${column}"`);
  for (const [i, column] of columns.entries()) {
    if (![...required, ...optional].includes(column))
      throw new UsageError(`${name}:${header.line}: unknown column "${column}"`);
    if (columns.indexOf(column) !== i) throw new UsageError(`${name}:${header.line}: column "${column}" twice`);
  }
  return records.map(({ line, fields }) => {
    if (fields.length !== columns.length)
      throw new UsageError(`${name}:${line}: ${fields.length} values, not ${columns.length}`);
    const values = Object.fromEntries(columns.map((c, i) => [c, fields[i]!.trim()]));
    for (const column of required)
      if (values[column] === '') throw new UsageError(`${name}:${line}: "${column}" is empty`);
    return { line, values };
  });
}

/** A number of a row, or UsageError with its line. */
export function numberOf(row: Row, column: string, name: string): number {
  const text = row.values[column] ?? '';
  const value = Number(text);
  if (text === '' || !Number.isFinite(value))
    throw new UsageError(`${name}:${row.line}: "${column}" is not a number: ${text}`);
  return value;
}

function recordsOf(text: string, name: string): { line: number; fields: string[] }[] {
  const records: { line: number; fields: string[] }[] = [];
  let fields: string[] = [];
  let field = '';
  let quoted = false;
  let line = 1;
  let startLine = 1;
  const endRecord = (): void => {
    fields.push(field);
    field = '';
    if (fields.length > 1 || fields[0]!.trim() !== '') records.push({ line: startLine, fields });
    fields = [];
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '\n') line++;
    if (quoted) {
      if (c !== '"') field += c;
      else if (text[i + 1] === '"') {
        field += '"';
        i++;
      } else quoted = false;
    } else if (c === '"' && field.trim() === '') {
      quoted = true;
      field = '';
    } else if (c === ',') {
      fields.push(field);
      field = '';
    } else if (c === '\n') {
      endRecord();
      startLine = line;
    } else if (c !== '\r') field += c;
  }
  if (quoted) throw new UsageError(`${name}:${startLine}: a quote is not closed`);
  endRecord();
  return records;
}
