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

describe('a CSV of people', () => {
  it.each([
    ['', 1, 'the first line must name the columns, email among them'],
    ['name\nAda', 1, 'the first line must name the columns, email among them'],
    ['email,shoe\na@example.org,44', 1, 'columns are email, roles, locale'],
    ['email,email\na@example.org,b@example.org', 1, 'a column is named twice'],
    ['email\na@example.org\n\nnobody', 4, 'email is not an address'],
    [
      'email,roles\r\na@example.org,security\r\nb@example.org,king',
      3,
      'roles are user, security, auditor, privacy, admin',
    ],
    ['email\n"a@example.org"\nA@example.org ', 3, 'the same address as in line 2'],
    ['email,locale\na@example.org,"x\ny"\nb@example.org', 4, 'has 1 columns, not 2'],
    ['email,locale\na@example.org,english!', 2, 'locale is not a language tag such as en'],
    ['email\n"a@example.org', 2, 'a quote is not closed'],
  ])('%j is refused at line %d, and nothing is done', async (csv, line, message) => {
    expect(await errorsOf(csv)).toContainEqual({ line, message });
  });

  it('is refused with all its errors', async () => {
    expect((await errorsOf('email\nx\ny\nz')).map(({ line }) => line)).toEqual([2, 3, 4]);
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
