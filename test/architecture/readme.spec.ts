import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './source-files.js';

const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
const documents = ['README.md', 'CONTRIBUTING.md', ...readdirSync(path.join(ROOT, 'docs')).filter((f) => f.endsWith('.md')).map((f) => `docs/${f}`)]; // prettier-ignore

describe('README', () => {
  it('is read in one go: 120 lines and 20 of running it, and every other matter has a document that docs/README.md names', () => {
    const [running = ''] = /^## Running it\n[^]*?(?=^## )/m.exec(readme) ?? [];
    const lines = (text: string): number => text.trimEnd().split('\n').length;
    expect(lines(running)).toBeLessThanOrEqual(20);
    expect(lines(readme.replace(running, ''))).toBeLessThanOrEqual(120);
    const index = readFileSync(path.join(ROOT, 'docs/README.md'), 'utf8');
    const ofDocs = documents.filter((file) => file.startsWith('docs/') && file !== 'docs/README.md');
    expect(ofDocs.filter((file) => !index.includes(`(${path.basename(file)})`))).toEqual([]);
  });

  it.each(documents)('%s links to files that exist', (file) => {
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link]) => link ?? '');
    expect(links.filter((link) => !existsSync(path.join(ROOT, path.dirname(file), link)))).toEqual([]);
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
