import { readFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { COMPILED, compileKernels } from './compile.js';

it('what is committed was made of the source beside it', () => {
  expect(readFileSync(path.join(repositoryRoot(), COMPILED), 'utf8')).toBe(compileKernels());
}, 120_000);
