import type { Accounts } from './accounts.js';
import { importUsers } from './import-users.js';
import type { MailRepository } from './mail.repository.js';
import { isCommonPassword } from './passwords.js';

/** Only what refuses a file is looked at here; what an import does is shown on a real database. */
const untouched = new Proxy(
  {},
  {
    get: () => {
      throw new Error('touched');
    },
  },
) as Accounts;
const errorsOf = async (csv: string) => {
  const report = await importUsers(csv, {
    accounts: untouched,
    mails: untouched as unknown as MailRepository,
    dryRun: false,
  });
  return report.kind === 'refused' ? report.errors : [];
};

const HEADER = 'the first line must name the columns, email among them, between commas, semicolons or tabs';
const people = (...emails: string[]) => emails.map((email) => expect.objectContaining({ email }) as object);

/** Looks only: what an import does is shown on a real database. */
const lookedAt = async (csv: string) => {
  const users = { findByEmail: () => Promise.resolve(null) };
  return importUsers(csv, { accounts: { users } as unknown as Accounts, mails: untouched as unknown as MailRepository, dryRun: true }); // prettier-ignore
};

describe('a CSV of people', () => {
  it.each([
    ['', 1, HEADER],
    ['name\nAda', 1, HEADER],
    ['email,shoe\na@example.org,44', 1, 'columns are email, roles, locale'],
    ['email,email\na@example.org,b@example.org', 1, 'a column is named twice'],
    [`email\n${'a@example.org\n'.repeat(10_001)}`, 1, 'at most 10000 people at once'],
  ])('%.20j… is refused as a whole, and nothing is done', async (csv, line, message) => {
    expect(await errorsOf(csv)).toEqual([{ line, message }]);
  });

  it.each([
    ['email\na@example.org\n\nnobody', 4, 'email is not an address'],
    ['email\na@example.org\njörg@example.org', 3, 'no mail can be sent to such an address'],
    ['email,roles\r\na@example.org,security\r\nb@example.org,king', 3, 'roles are user, security, auditor, privacy, admin'], // prettier-ignore
    ['email\n"a@example.org"\nA@example.org ', 3, 'the same address as in line 2'],
    ['email\na@bücher.example\na@xn--bcher-kva.example', 3, 'the same address as in line 2'],
    ['email,roles\na@example.org,\nb@example.org,,security', 3, 'cell 3 belongs to no column'],
    [
      'email,roles\n"b@example.org,\na@example.org,"security"',
      2,
      'a quote is not closed, or not at the end of its cell',
    ],
    ['email\na@example.org\n"b@example.org', 3, 'a quote is not closed, or not at the end of its cell'],
    ['email\n"b@example.org"x\na@example.org', 2, 'a quote is not closed, or not at the end of its cell'],
  ])('case 20: of %j line %d is told, and the others are taken', async (csv, line, message) => {
    const report = await lookedAt(csv);
    expect(report).toMatchObject({
      kind: 'imported',
      lines: [{ outcome: 'would_invite' }],
      errors: [{ line, message }],
    });
  });

  it.each([
    ['of Excel where the comma is the decimal sign', 'email;roles;locale\r\nada@example.org;security;de\r\n'],
    ['with tabs', 'email\troles\tlocale\r\nada@example.org\tsecurity\tde\r\n'],
    ['with lines that end in CR', 'email,roles,locale\rada@example.org,security,de\r'],
    ['with a byte order mark', '\uFEFFemail,roles,locale\r\nada@example.org,security,de'],
    ['with the separator in a line of its own', 'sep=;\r\nemail;roles;locale\r\nada@example.org;security;de'],
    ['with that line in quotes', '"sep=;"\r\nemail;roles;locale\r\nada@example.org;security;de'],
    ['with roles in capitals, between commas', 'email;roles;locale\nada@example.org;Security, AUDITOR;de'],
    ['all in quotes', '"email";"roles";"locale"\n"ada@example.org";"security";"de"'],
    ['with columns that were emptied', 'email,roles,locale,,\nada@example.org,security,de,,\n,,,,\n,,,,\n'],
    ['with cells above the table left empty', '\n\nemail,roles,locale\nada@example.org,security,de'],
    ['with other columns first, in capitals', 'Locale,EMAIL,Roles\nde_DE,Ada@example.org,security'],
    ['with a locale that is none', 'email,roles,locale\nada@example.org,security,???'],
    ['with a line break in a cell', 'email,roles,locale\n"ada@example.org","security\nauditor",de'],
    ['with cells left out at the end', 'email,roles,locale\nada@example.org'],
  ])('case 20: a file %s is read', async (_, csv) => {
    expect(await lookedAt(csv)).toMatchObject({ kind: 'imported', lines: people('ada@example.org'), errors: [] });
  });

  it('names every line that is wrong', async () => {
    const report = await lookedAt('email\nx\ny\nz');
    expect(report.errors.map(({ line }) => line)).toEqual([2, 3, 4]);
  });
});

describe('passwords everybody tries', () => {
  it.each([
    '123456789012',
    'QWERTY123456',
    'aaaaaaaaaaaaaaaa',
    'abababababababab',
    'ada.lovelace@example.org',
    'ada.lovelaceada.lovelace1',
  ])('%s is one', (password) => {
    expect(isCommonPassword(password, 'ada.lovelace@example.org')).toBe(true);
  });
  it.each(['correct horse battery staple', 'gj38dkw0qlxz', 'пароль-из-кириллицы'])('%s is none', (password) => {
    expect(isCommonPassword(password, 'ada.lovelace@example.org')).toBe(false);
  });
});
