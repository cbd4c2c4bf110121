import { readFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '#stack';
import { compileKernels, KERNELS } from './compile.js';

it.each(KERNELS)('what is committed was made of $source', (kernels) => {
  expect(readFileSync(path.join(repositoryRoot(), kernels.compiled), 'utf8')).toBe(compileKernels(kernels));
}, 120_000);
