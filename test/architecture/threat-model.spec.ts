import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT, typeScriptFiles } from './source-files.js';

const FOLDERS = ['apps', 'libs', 'test', 'tools', 'bench'];
const document = readFileSync(path.join(ROOT, 'docs/threat-model.md'), 'utf8');
const rows = [...document.matchAll(/^\| (T\d\d) \| (.+?) \| (.+?) \|/gm)].map(([, id = '', , where = '']) => ({
  id,
  where,
}));
/** Ids in titles of tests and names of scenarios; times such as 2026-11-01T00:00 are none. */
const ID = /\bT[0-5]\d\b(?!:)/g;

describe('docs/threat-model.md', () => {
  it('has one row for each id', () => {
    expect(rows.length).toBeGreaterThan(40);
    expect(rows.map(({ id }) => id).sort()).toEqual([...new Set(rows.map(({ id }) => id))].sort());
  });

  it('names files that exist', () => {
    const missing = rows.filter(({ where }) => /^[.\w/-]+\.\w+$/.test(where) && !existsSync(path.join(ROOT, where)));
    expect(missing).toEqual([]);
  });

  it('has a row for every id that a test, a scenario or a benchmark uses', () => {
    const used = new Set<string>();
    for (const { text } of typeScriptFiles(...FOLDERS)) for (const [id] of text.matchAll(ID)) used.add(id);
    const known = new Set(rows.map(({ id }) => id));
    expect([...used].filter((id) => !known.has(id))).toEqual([]);
  });

  it('names in its threats only ids that have a row', () => {
    const threats = document.slice(document.indexOf('## Threats'), document.indexOf('## Tests'));
    const known = new Set(rows.map(({ id }) => id));
    const named = [...threats.matchAll(/\bT\d\d\b/g)].map(([id]) => id);
    expect(named.length).toBeGreaterThan(30);
    expect(named.filter((id) => !known.has(id))).toEqual([]);
  });
});
