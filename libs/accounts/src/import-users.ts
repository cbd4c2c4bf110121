import { z } from 'zod';
import { type Role, ROLES, roleSchema } from '#contracts';
import type { Accounts } from './accounts.js';
import { type CsvRecord, readCsv } from './csv-reader.js';
import { readEmail } from './email.js';
import { localeOf } from './locale.js';
import type { MailRepository } from './mail.repository.js';

export interface ImportLine {
  /** As an editor counts: the header is line 1. */
  line: number;
  email: string;
  outcome: 'invited' | 'would_invite' | 'exists';
}

interface ImportError {
  line: number;
  message: string;
}

export type ImportReport =
  /** `errors`: lines that were passed over. */
  | { kind: 'imported'; lines: ImportLine[]; errors: ImportError[] }
  /** The file as a whole says nothing: nothing was changed. */
  | { kind: 'refused'; errors: ImportError[] };

const COLUMNS = ['email', 'roles', 'locale'] as const;
const LINES_MAX = 10_000;
const HEADER = 'the first line must name the columns, email among them, between commas, semicolons or tabs';

interface Wanted {
  line: number;
  email: string;
  roles: Role[];
  locale?: string;
}

/**
 * Invites everybody in a CSV (`readCsv`) with the columns `email`, and if wanted `roles` (several between spaces, or
 * between commas or semicolons; spreadsheets begin a cell with a capital) and
 * `locale`. A line that is wrong is told and stops no other. An address that has an account is left as it is. `dryRun`
 * only looks.
 */
export async function importUsers(
  csv: string,
  o: { accounts: Accounts; mails: MailRepository; dryRun: boolean; onLine?: (done: number, of: number) => void },
): Promise<ImportReport> {
  const { wanted, errors, refused } = parsed(csv);
  if (refused) return { kind: 'refused', errors };
  const lines: ImportLine[] = [];
  for (const { line, ...account } of wanted) {
    const outcome = o.dryRun
      ? (await o.accounts.users.findByEmail(account.email))
        ? 'exists'
        : 'would_invite'
      : (await o.accounts.invite(account, o.mails)).kind === 'created'
        ? 'invited'
        : 'exists';
    lines.push({ line, email: account.email, outcome });
    o.onLine?.(lines.length, wanted.length);
  }
  return { kind: 'imported', lines, errors };
}

const namesOf = (cells: readonly string[]): string[] => cells.map((cell) => cell.trim().toLowerCase());

function parsed(csv: string): { wanted: Wanted[]; errors: ImportError[]; refused: boolean } {
  const [header, ...rows] = readCsv(csv, (cells) => namesOf(cells).includes('email'));
  const names = header && 'cells' in header ? namesOf(header.cells) : [];
  const message = headerProblem(names, rows.length);
  if (message !== null) return { wanted: [], errors: [{ line: header?.line ?? 1, message }], refused: true };

  const [errors, wanted]: [ImportError[], Wanted[]] = [[], []];
  const seen = new Map<string, number>();
  for (const row of rows) {
    const { problems, person } = personOf(row, names);
    const before = person && seen.get(person.email);
    if (before !== undefined) problems.push(`the same address as in line ${before}`);
    for (const message of problems) errors.push({ line: row.line, message });
    if (!person || problems.length > 0) continue;
    seen.set(person.email, row.line);
    wanted.push({ line: row.line, ...person });
  }
  return { wanted, errors, refused: false };
}

/** Columns without a name are what a spreadsheet leaves of cells that were emptied. */
function headerProblem(names: readonly string[], rows: number): string | null {
  const named = names.filter((name) => name !== '');
  if (!named.includes('email')) return HEADER;
  if (named.some((name) => !COLUMNS.some((column) => column === name))) return `columns are ${COLUMNS.join(', ')}`;
  if (new Set(named).size < named.length) return 'a column is named twice';
  return rows > LINES_MAX ? `at most ${LINES_MAX} people at once` : null;
}

function personOf(row: CsvRecord, names: readonly string[]): { problems: string[]; person?: Omit<Wanted, 'line'> } {
  if (!('cells' in row)) return { problems: ['a quote is not closed, or not at the end of its cell'] };
  // Spreadsheets leave cells out at the end of a line, or write empty ones beyond the last column.
  const nameless = row.cells.findIndex((cell, i) => cell.trim() !== '' && (names[i] ?? '') === '');
  if (nameless >= 0) return { problems: [`cell ${nameless + 1} belongs to no column`] };
  const cell = (name: (typeof COLUMNS)[number]): string => (row.cells[names.indexOf(name)] ?? '').trim();
  const problems: string[] = [];
  const email = readEmail(cell('email'));
  if (email.kind === 'malformed') problems.push('email is not an address');
  if (email.kind === 'unsupported') problems.push('no mail can be sent to such an address');
  const roles = z.array(roleSchema).safeParse(
    cell('roles')
      .toLowerCase()
      .split(/[\s,;]+/)
      .filter(Boolean),
  ).data;
  if (roles === undefined) problems.push(`roles are ${ROLES.join(', ')}`);
  const locale = localeOf(cell('locale'));
  if (email.kind !== 'ok' || roles === undefined) return { problems };
  return { problems, person: { email: email.email, roles, ...(locale === undefined ? {} : { locale }) } };
}
