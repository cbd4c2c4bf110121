/** One record of a CSV file. `line` is where it begins, as an editor counts, from 1. */
export type CsvRecord = { line: number; cells: string[] } | { line: number; problem: 'quote' };

const SEPARATORS = [',', ';', '\t'] as const;
/** A quoted cell may go on for so many lines. */
const CELL_LINES_MAX = 20;

/**
 * CSV as RFC 4180 has it and as spreadsheets write it: a byte order mark, lines that end in CRLF, LF or CR, commas,
 * semicolons or tabs between cells (as the first line has them, or as Excel's line `sep=;` says, which others write in quotes), quotes doubled within
 * quotes, line breaks in quoted cells, empty lines. A quote that is not closed spoils its own line and no other.
 *
 * @param names whether a first line, split so, names the columns: how the separator is told.
 */
export function readCsv(text: string, names: (cells: readonly string[]) => boolean): CsvRecord[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  const told = /^"?sep=(.)"?\s*$/i.exec(lines[0] ?? '')?.[1];
  let at = told === undefined ? 0 : 1;
  while (at < lines.length && lines[at]?.trim() === '') at++;
  const separator = told ?? SEPARATORS.find((one) => names(cellsOf(lines[at] ?? '', one) ?? [])) ?? ',';
  const records: CsvRecord[] = [];
  while (at < lines.length) {
    const line = at + 1;
    const { cells, taken } = recordAt(lines, at, separator);
    at += taken;
    if (cells === null) records.push({ line, problem: 'quote' });
    else if (cells.some((cell) => cell.trim() !== '')) records.push({ line, cells });
  }
  return records;
}

/** A line, and those after it that its open quote reaches over; null when it is closed by none of them. */
function recordAt(lines: readonly string[], at: number, separator: string): { cells: string[] | null; taken: number } {
  for (let taken = 1; taken <= CELL_LINES_MAX && at + taken <= lines.length; taken++) {
    const cells = cellsOf(lines.slice(at, at + taken).join('\n'), separator);
    if (cells !== null) return { cells, taken };
  }
  return { cells: null, taken: 1 };
}

/** Null when a quote is not closed, or is closed within a cell. A quote inside a cell without quotes is a character. */
function cellsOf(text: string, separator: string): string[] | null {
  const cells: string[] = [];
  for (let at = 0; ; at++) {
    const quoted = /^[ ]*"/.exec(text.slice(at));
    if (!quoted) {
      const end = text.indexOf(separator, at);
      cells.push(text.slice(at, end < 0 ? undefined : end));
      if (end < 0) return cells;
      at = end;
      continue;
    }
    const start = at + quoted[0].length;
    let end = start;
    while (end < text.length && (text[end] !== '"' || text[end + 1] === '"')) end += text[end] === '"' ? 2 : 1;
    if (end >= text.length) return null;
    cells.push(text.slice(start, end).replaceAll('""', '"'));
    at = end + 1 + (/^[ ]*/.exec(text.slice(end + 1))?.[0].length ?? 0);
    if (at >= text.length) return cells;
    if (text[at] !== separator) return null;
  }
}
