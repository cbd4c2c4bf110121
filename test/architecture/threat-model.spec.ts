import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT, typeScriptFiles } from './source-files.js';

const FOLDERS = ['apps', 'libs', 'test', 'tools', 'bench'];
const document = readFileSync(path.join(ROOT, 'docs/threat-model.md'), 'utf8');
const split = document.indexOf('Not there yet');
const rowsOf = (text: string): { id: string; where: string }[] =>
  [...text.matchAll(/^\| (T\d\d) \| .+? \| (.*?) \|/gm)].map(([, id = '', where = '']) => ({ id, where }));
const tested = rowsOf(document.slice(0, split));
const untested = rowsOf(document.slice(split));
const rows = [...tested, ...untested];
/** Ids in titles of tests and names of scenarios; times such as 2026-11-01T00:00 are none. */
const ID = /\bT[0-5]\d\b(?!:)/g;

describe('docs/threat-model.md', () => {
  it('has one row for each id', () => {
    expect(rows.length).toBeGreaterThan(40);
    expect(rows.map(({ id }) => id).sort()).toEqual([...new Set(rows.map(({ id }) => id))].sort());
  });

  it('names a file that exists and names the id', () => {
    const names = ({ id, where }: { id: string; where: string }): boolean =>
      existsSync(path.join(ROOT, where)) && readFileSync(path.join(ROOT, where), 'utf8').includes(id);
    expect(tested.filter((row) => !names(row))).toEqual([]);
  });

  it('gives a reason for every row without a test', () => {
    expect(untested.length).toBeGreaterThan(0);
    expect(untested.filter(({ where }) => where.length < 10)).toEqual([]);
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
