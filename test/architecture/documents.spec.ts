import { readFileSync } from 'node:fs';
import path from 'node:path';
import { DOCUMENTS } from '../../tools/docs/documents.js';
import { ROOT } from './source-files.js';

describe('documents made from the code', () => {
  it.each(Object.entries(DOCUMENTS))('%s is what the code says; else: npm run docs:build', (file, make) => {
    expect(readFileSync(path.join(ROOT, file), 'utf8')).toBe(make());
  });
});
