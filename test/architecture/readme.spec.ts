import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ERROR_TABLE } from '../../apps/gateway/src/http/error-table.js';
import { ROOT } from './source-files.js';

const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');

describe('README', () => {
  it('lists every error code with its status and meaning, and no other', () => {
    const rows = [...readme.matchAll(/^\| `(\w+)` \| (\d+) \| (.+) \|$/gm)].map(([, code, status, title]) => ({
      code,
      status: Number(status),
      title,
    }));
    const table = Object.entries(ERROR_TABLE).map(([code, { status, title }]) => ({ code, status, title }));
    const byCode = (a: { code?: string }, b: { code?: string }): number => String(a.code).localeCompare(String(b.code));
    expect(rows.sort(byCode)).toEqual(table.sort(byCode));
  });

  it('names only npm scripts that exist', () => {
    const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const named = [...readme.matchAll(/npm run (?:-s )?([\w:]*\w)/g)].map(([, name]) => name ?? '');
    expect(named.length).toBeGreaterThan(2);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });
});
