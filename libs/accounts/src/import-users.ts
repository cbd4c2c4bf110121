import { z } from 'zod';
import { type Role, ROLES, roleSchema } from '#contracts';
import type { Accounts } from './accounts.js';
import type { MailRepository } from './mail.repository.js';
import { emailSchema, localeSchema } from './passwords.js';

export interface ImportLine {
  /** As an editor counts: the header is line 1. */
  line: number;
  email: string;
  outcome: 'invited' | 'would_invite' | 'exists';
}

export type ImportReport =
  | { kind: 'imported'; lines: ImportLine[] }
  /** Nothing was changed. */
  | { kind: 'refused'; errors: { line: number; message: string }[] };

const COLUMNS = ['email', 'roles', 'locale'] as const;
const LINES_MAX = 10_000;
const ERRORS_MAX = 100;

interface Wanted {
  line: number;
  email: string;
  roles: Role[];
  locale?: string;
}

/**
 * Invites everybody in a CSV (RFC 4180) with the columns `email`, and if wanted `roles` (separated by spaces) and
 * `locale`. One bad line and nothing is done. An address that has an account is left as it is. `dryRun` only looks.
 */
export async function importUsers(
  csv: string,
  o: { accounts: Accounts; mails: MailRepository; dryRun: boolean; onLine?: (done: number, of: number) => void },
): Promise<ImportReport> {
  const { wanted, errors } = parsed(csv);
  if (errors.length > 0) return { kind: 'refused', errors: errors.slice(0, ERRORS_MAX) };
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
  return { kind: 'imported', lines };
}

function parsed(csv: string): { wanted: Wanted[]; errors: { line: number; message: string }[] } {
  const errors: { line: number; message: string }[] = [];
  const wanted: Wanted[] = [];
  const seen = new Map<string, number>();
  const [header, ...rows] = recordsOf(csv.replace(/^\uFEFF/, ''), errors);
  const names = header?.cells.map((cell) => cell.trim().toLowerCase()) ?? [];
  const unknown = names.filter((name) => !COLUMNS.some((column) => column === name));
  if (!names.includes('email'))
    errors.push({ line: 1, message: 'the first line must name the columns, email among them' });
  else if (unknown.length > 0) errors.push({ line: 1, message: `columns are ${COLUMNS.join(', ')}` });
  else if (new Set(names).size < names.length) errors.push({ line: 1, message: 'a column is named twice' });
  if (rows.length > LINES_MAX) errors.push({ line: LINES_MAX + 2, message: `at most ${LINES_MAX} people at once` });
  if (errors.length > 0) return { wanted, errors };

  for (const { line, cells } of rows) {
    const problem = (message: string): void => void errors.push({ line, message });
    const cell = (name: (typeof COLUMNS)[number]): string => (cells[names.indexOf(name)] ?? '').trim();
    if (cells.length !== names.length) {
      problem(`has ${cells.length} columns, not ${names.length}`);
      continue;
    }
    const email = emailSchema.safeParse(cell('email')).data;
    const roles = z.array(roleSchema).safeParse(cell('roles').split(/\s+/).filter(Boolean)).data;
    const locale = cell('locale');
    if (email === undefined) problem('email is not an address');
    if (roles === undefined) problem(`roles are ${ROLES.join(', ')}`);
    if (locale !== '' && !localeSchema.safeParse(locale).success) problem('locale is not a language tag such as en');
    const before = email === undefined ? undefined : seen.get(email);
    if (before !== undefined) problem(`the same address as in line ${before}`);
    if (email === undefined || roles === undefined) continue;
    if (before === undefined) seen.set(email, line);
    wanted.push({ line, email, roles, ...(locale === '' ? {} : { locale }) });
  }
  return { wanted, errors };
}

interface CsvRecord {
  line: number;
  cells: string[];
}

/** Quoted cells may hold commas, doubled quotes and line breaks; empty lines are none. */
function recordsOf(text: string, errors: { line: number; message: string }[]): CsvRecord[] {
  const records: CsvRecord[] = [];
  let line = 1;
  let start = 1;
  let cells: string[] = [];
  let cell = '';
  let quoted = false;
  const endRecord = (): void => {
    cells.push(cell);
    if (cells.length > 1 || cell.trim() !== '') records.push({ line: start, cells });
    cells = [];
    cell = '';
    start = line + 1;
  };
  for (let i = 0; i < text.length; i++) {
    const character = text[i] ?? '';
    if (quoted) {
      if (character === '"' && text[i + 1] === '"') {
        cell += '"';
        i++;
      } else if (character === '"') quoted = false;
      else cell += character;
    } else if (character === '"' && cell === '') quoted = true;
    else if (character === ',') {
      cells.push(cell);
      cell = '';
    } else if (character === '\n') endRecord();
    else if (character !== '\r') cell += character;
    if (character === '\n') line++;
  }
  if (quoted) errors.push({ line: start, message: 'a quote is not closed' });
  endRecord();
  return records;
}
