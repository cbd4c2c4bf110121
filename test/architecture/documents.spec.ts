import { readFileSync } from 'node:fs';
import path from 'node:path';
import { EVENT_TYPES } from '#contracts';
import { DOCUMENTS } from '../../tools/docs/documents.js';
import { ROOT } from './source-files.js';

describe('documents made from the code', () => {
  it.each(Object.entries(DOCUMENTS))('%s is what the code says; else: npm run docs:build', (file, make) => {
    expect(readFileSync(path.join(ROOT, file), 'utf8')).toBe(make());
  });

  it('docs/events.md has every type of event once, and no other', () => {
    const lines = readFileSync(path.join(ROOT, 'docs/events.md'), 'utf8').split('\n');
    const cells = lines.filter((line) => line.startsWith('| `')).map((line) => line.split('|')[1] ?? '');
    const types = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, type]) => type));
    expect(types.sort()).toEqual([...EVENT_TYPES].sort());
  });
});
